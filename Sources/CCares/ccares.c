// What later versions call deprecated is all that 1.18 has.
#define CARES_NO_DEPRECATED
#include "ccares.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>

// A resolver that does not answer is asked again, and the next one too.
enum { TRIES = 2, MOST_SERVERS = 3 };

typedef struct {
    int status;
    int is_done;
    size_t record_limit, length_limit;
    void *context;
    void (*found)(void *context, const uint8_t *bytes, size_t length);
} search;

static pthread_once_t library = PTHREAD_ONCE_INIT;
static int library_status;

static void start_library(void) { library_status = ares_library_init(ARES_LIB_INIT_ALL); }

// The strings of one record belong together (RFC 1035 section 3.3.14 leaves it open; dnsaddr has it so).
static void tell(const search *search, const struct ares_txt_ext *records) {
    size_t told = 0;
    const struct ares_txt_ext *next = records;
    while (next && told < search->record_limit) {
        const struct ares_txt_ext *first = next;
        size_t length = 0;
        do {
            length += next->length;
            next = next->next;
        } while (next && !next->record_start);
        told++;
        if (length == 0 || length > search->length_limit) continue;
        uint8_t *bytes = malloc(length);
        if (!bytes) return;
        size_t at = 0;
        for (const struct ares_txt_ext *part = first; part != next; part = part->next) {
            memcpy(bytes + at, part->txt, part->length);
            at += part->length;
        }
        search->found(search->context, bytes, length);
        free(bytes);
    }
}

static void answered(void *context, int status, int timeouts, unsigned char *answer, int length) {
    (void)timeouts;
    search *search = context;
    search->is_done = 1;
    search->status = status;
    if (status != ARES_SUCCESS) return;
    struct ares_txt_ext *records = NULL;
    search->status = ares_parse_txt_reply_ext(answer, length, &records);
    if (search->status == ARES_SUCCESS) tell(search, records);
    ares_free_data(records);
}

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Waits with poll(2), for which no descriptor is too large.
static void turn(ares_channel channel, long long until) {
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct pollfd waiting[ARES_GETSOCK_MAXNUM];
    // The macros for its bits shift a signed one out of its range.
    unsigned mask = (unsigned)ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM);
    nfds_t count = 0;
    for (int index = 0; index < ARES_GETSOCK_MAXNUM; index++) {
        short events = (mask >> index & 1 ? POLLIN : 0) | (mask >> (index + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0);
        if (events) waiting[count++] = (struct pollfd){.fd = sockets[index], .events = events};
    }
    long long left = until - now_ms();
    struct timeval most = {.tv_sec = left > 0 ? left / 1000 : 0, .tv_usec = left > 0 ? left % 1000 * 1000 : 0}, wait;
    struct timeval *next = ares_timeout(channel, &most, &wait);
    int ready = poll(waiting, count, (int)(next->tv_sec * 1000 + (next->tv_usec + 999) / 1000));
    if (ready <= 0) return ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    for (nfds_t index = 0; index < count; index++) {
        int failed = waiting[index].revents & (POLLERR | POLLHUP);
        ares_process_fd(channel, waiting[index].revents & POLLIN || failed ? waiting[index].fd : ARES_SOCKET_BAD,
                        waiting[index].revents & POLLOUT ? waiting[index].fd : ARES_SOCKET_BAD);
    }
}

int dep2p_dns_text(const char *name, int timeout_ms, size_t record_limit, size_t length_limit, void *context,
                   void (*found)(void *context, const uint8_t *bytes, size_t length)) {
    pthread_once(&library, start_library);
    if (library_status != ARES_SUCCESS) return library_status;
    struct ares_options options = {.timeout = timeout_ms / (TRIES * MOST_SERVERS), .tries = TRIES};
    ares_channel channel;
    int status = ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    if (status != ARES_SUCCESS) return status;
    search search = {.status = ARES_ETIMEOUT,
                     .record_limit = record_limit,
                     .length_limit = length_limit,
                     .context = context,
                     .found = found};
    long long until = now_ms() + timeout_ms;
    ares_query(channel, name, C_IN, T_TXT, answered, &search);
    while (!search.is_done && now_ms() < until) turn(channel, until);
    // What comes of it from here on is nothing to the caller: the callback is told of it once more.
    if (!search.is_done) {
        ares_cancel(channel);
        search.status = ARES_ETIMEOUT;
    }
    ares_destroy(channel);
    return search.status;
}

int dep2p_dns_is_absent(int error) {
    return error == ARES_ENOTFOUND || error == ARES_ENODATA || error == ARES_EBADNAME;
}

const char *dep2p_dns_message(int error) { return ares_strerror(error); }
