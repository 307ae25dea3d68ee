#include "proofs.h"

#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// usage: fuzz proofs [--bare]                every known attack, each in a process of its own
//        fuzz random SECONDS SEED [--bare]   random frames
//
// The victim is a connection of our door; with --bare one of ngtcp2 without the guard, to see what that stops.

void fuzz_random(pair *self);

/// In one process.
enum { CONNECTIONS = 50 };

static pair *make(uint64_t seed) {
    pair *self = calloc(1, sizeof *self);
    self->random = seed;
    self->now = UINT64_C(1000000000000);
    self->credentials = credentials_make();
    self->settings = (dep2p_quic_settings){
        .initial_rtt = 30000000, .handshake_timeout = UINT64_C(10000000000), .max_idle_timeout = UINT64_C(30000000000),
        .initial_max_data = 1 << 20, .initial_max_stream_data = 1 << 18,
        .max_stream_window = 1 << 20, .max_streams_bidi = 32, .random_seed = seed | 1, .datagram_size = 1472,
        .use_bbr = (int)(seed & 1)};
    return self;
}

static void dispose(pair *self) {
    pair_close(self);
    dep2p_credentials_free(self->credentials);
    free(self);
}

static const char *outcome(pair *self) {
    if (self->victim->quic && self->victim->quic->refusal) return self->victim->quic->refusal;
    if (!self->victim->is_over) return "lives on";
    return self->victim->quic->last_failure ? ngtcp2_strerror(self->victim->quic->last_failure) : "closed";
}

/// Runs in a process of its own: 0 when it came to its end.
static int apart(const char *name, void (*body)(void *), void *argument) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        body(argument);
        exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) printf("%-28s KILLED by signal %d\n", name, WTERMSIG(status));
    return status;
}

static int is_bare;

static void run_proof(void *argument) {
    const proof *one = argument;
    pair *self = make(2);
    self->hides_parameters = one->hides_parameters;
    if (!pair_open(self, one->victim_is_server, is_bare)) exit(1);
    one->run(self);
    int is_expected = is_bare || strcmp(outcome(self), one->expected) == 0;
    printf("%-28s %s%s\n", one->name, outcome(self), is_expected ? "" : ", which is not what was expected");
    dispose(self);
    if (!is_expected) exit(1);
}

static uint64_t handshakes, endings;

static void run_random(void *argument) {
    uint64_t seed = *(const uint64_t *)argument;
    for (uint64_t i = seed; i < seed + CONNECTIONS; i++) {
        pair *self = make(i);
        self->settings.fixed_datagram_size = i % 5 == 0;
        self->loss = i % 3 ? 0 : 50;
        if (!pair_open(self, (int)(i >> 1 & 1), is_bare)) exit(1);
        fuzz_random(self);
        handshakes += (uint64_t)self->victim->is_established;
        endings += (uint64_t)self->victim->is_over;
        dispose(self);
    }
    if (getenv("FUZZ_VERBOSE")) printf("%llu shaken, %llu ended\n", (unsigned long long)handshakes, (unsigned long long)endings);
}

static int random_for(int seconds, uint64_t seed) {
    time_t end = time(NULL) + seconds;
    uint64_t connections = 0;
    int failed = 0;
    for (; time(NULL) < end && !failed; seed += CONNECTIONS, connections += CONNECTIONS) {
        char name[64];
        snprintf(name, sizeof name, "seed %llu", (unsigned long long)seed);
        failed = apart(name, run_random, &seed) != 0;
    }
    printf("%llu connections, %s\n", (unsigned long long)connections, failed ? "FAILED" : "none brought the victim down");
    return failed;
}

int main(int count, char **arguments) {
    is_bare = count > 1 && strcmp(arguments[count - 1], "--bare") == 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count > 3 && strcmp(arguments[1], "random") == 0)
        return random_for(atoi(arguments[2]), strtoull(arguments[3], NULL, 0));
    int failed = 0;
    if (count > 1 && strcmp(arguments[1], "proofs") == 0)
        for (size_t i = 0; i < proof_count; i++) failed |= apart(proofs[i].name, run_proof, (void *)&proofs[i]);
    return failed ? 1 : 0;
}
