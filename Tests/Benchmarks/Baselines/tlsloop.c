// A tight OpenSSL TLS 1.3 over TCP loop on loopback: the baseline of the stream, latency and handshake rows.
//
// usage: tlsloop throughput MIB        one way, 256 KiB writes        -> seconds, CPU of each side
//        tlsloop latency ROUNDS        1 KiB request, 1 KiB reply     -> median and p99 in microseconds
//        tlsloop pipelined REQUESTS    the same, 64 requests in flight -> requests a second
//        tlsloop handshake ROUNDS      connect, mutual handshake, echo -> median in microseconds
//        tlsloop idle CONNECTIONS      that many idle connections      -> KiB of the server a connection
//
// Two processes, TLS_AES_128_GCM_SHA256, certificates on both sides (Ed25519, made at start), TCP_NODELAY.
// Prints one JSON object.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { block = 256 * 1024, message = 1024, depth = 64 };

static void die(const char *what) {
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static double cpu_of(int who) {
    struct rusage usage;
    getrusage(who, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int accept_any(int preverified, X509_STORE_CTX *context) {
    (void)preverified;
    (void)context;
    return 1;  // self-signed on purpose: the other side's key is what a peer-to-peer program checks
}

static SSL_CTX *make_context(const SSL_METHOD *method) {
    SSL_CTX *context = SSL_CTX_new(method);
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *certificate = X509_new();
    if (!context || !key || !certificate) die("context");
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)"loop", -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    if (!X509_sign(certificate, key, NULL)) die("sign");
    if (SSL_CTX_use_certificate(context, certificate) != 1 || SSL_CTX_use_PrivateKey(context, key) != 1) die("key");
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    if (SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1) die("cipher");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return context;
}

static SSL *start(SSL_CTX *context, int socket, int server) {
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, socket);
    if ((server ? SSL_accept(ssl) : SSL_connect(ssl)) != 1) die(server ? "accept" : "connect");
    return ssl;
}

static int dial(const struct sockaddr_in *address) {
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (descriptor < 0 || connect(descriptor, (const struct sockaddr *)address, sizeof *address) < 0) die("dial");
    return descriptor;
}

static void read_all(SSL *ssl, unsigned char *bytes, int count) {
    for (int done = 0; done < count;) {
        int length = SSL_read(ssl, bytes + done, count - done);
        if (length <= 0) die("read");
        done += length;
    }
}

static void write_all(SSL *ssl, const unsigned char *bytes, int count) {
    if (SSL_write(ssl, bytes, count) != count) die("write");
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/// Resident memory of this process in KiB.
static long resident(void) {
    long pages = 0, total = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &total, &pages) != 2) die("statm");
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void serve_idle(int listener, SSL_CTX *context, long count) {
    unsigned char byte = 0;
    long before = 0;
    for (long index = 0; index < count; index++) {
        int socket = accept(listener, NULL, NULL);
        if (socket < 0) die("accept");
        SSL *ssl = start(context, socket, 1);
        write_all(ssl, &byte, 1);
        if (index == 0) before = resident();  // the first connection pays for what all share
    }
    double each = count > 1 ? (resident() - before) / (double)(count - 1) : 0;
    printf("{\"mode\":\"idle\",\"connections\":%ld,\"kib_per_connection\":%.1f}\n", count, each);
    fflush(stdout);
}

static void serve(int listener, const char *mode, long count) {
    static unsigned char bytes[block];
    SSL_CTX *context = make_context(TLS_server_method());
    if (strcmp(mode, "idle") == 0) {
        serve_idle(listener, context, count);
        return;
    }
    long connections = strcmp(mode, "handshake") == 0 ? count : 1;
    for (long index = 0; index < connections; index++) {
        int socket = accept(listener, NULL, NULL);
        if (socket < 0) die("accept");
        SSL *ssl = start(context, socket, 1);
        if (strcmp(mode, "throughput") == 0) {
            for (long left = count * 1024 * 1024; left > 0;) {
                int length = SSL_read(ssl, bytes, block);
                if (length <= 0) die("read");
                left -= length;
            }
            write_all(ssl, bytes, 1);
        } else if (strcmp(mode, "handshake") == 0) {
            read_all(ssl, bytes, 1);  // the client knows by the echo that its certificate was accepted
            write_all(ssl, bytes, 1);
        } else {
            for (long request = 0; request < count; request++) {
                read_all(ssl, bytes, message);
                write_all(ssl, bytes, message);
            }
        }
        // Wait for the client's close: its last bytes must not meet a reset.
        SSL_read(ssl, bytes, 1);
        SSL_free(ssl);
        close(socket);
    }
}

static void print_samples(const char *mode, double *samples, long count) {
    qsort(samples, count, sizeof *samples, compare);
    printf("{\"mode\":\"%s\",\"count\":%ld,\"median_us\":%.2f,\"p99_us\":%.2f}\n", mode, count,
           samples[count / 2] * 1e6, samples[count * 99 / 100] * 1e6);
}

static void run_throughput(SSL *ssl, long mebibytes, pid_t server) {
    static unsigned char bytes[block];
    double started = now();
    for (long left = mebibytes * 1024 * 1024; left > 0; left -= block) write_all(ssl, bytes, block);
    read_all(ssl, bytes, 1);
    double seconds = now() - started;
    SSL_shutdown(ssl);
    waitpid(server, NULL, 0);
    printf("{\"mode\":\"throughput\",\"mib\":%ld,\"seconds\":%.4f,\"mib_per_second\":%.1f,\"sender_cpu\":%.3f,"
           "\"receiver_cpu\":%.3f}\n",
           mebibytes, seconds, mebibytes / seconds, cpu_of(RUSAGE_SELF), cpu_of(RUSAGE_CHILDREN));
}

static void run_requests(SSL *ssl, const char *mode, long count) {
    static unsigned char bytes[message];
    double *samples = calloc(count, sizeof *samples);
    if (strcmp(mode, "latency") == 0) {
        for (long index = 0; index < count; index++) {
            double started = now();
            write_all(ssl, bytes, message);
            read_all(ssl, bytes, message);
            samples[index] = now() - started;
        }
        print_samples(mode, samples, count);
    } else {
        double started = now();
        for (long sent = 0, received = 0; received < count; received++) {
            for (; sent < count && sent - received < depth; sent++) write_all(ssl, bytes, message);
            read_all(ssl, bytes, message);
        }
        double seconds = now() - started;
        printf("{\"mode\":\"pipelined\",\"count\":%ld,\"depth\":%d,\"per_second\":%.0f}\n", count, depth,
               count / seconds);
    }
    free(samples);
    SSL_shutdown(ssl);
}

static void run_handshakes(SSL_CTX *context, const struct sockaddr_in *address, long count) {
    unsigned char byte = 0;
    double *samples = calloc(count, sizeof *samples);
    for (long index = 0; index < count; index++) {
        double started = now();
        int socket = dial(address);
        SSL *ssl = start(context, socket, 0);
        write_all(ssl, &byte, 1);
        read_all(ssl, &byte, 1);
        samples[index] = now() - started;
        SSL_shutdown(ssl);
        SSL_free(ssl);
        close(socket);
    }
    print_samples("handshake", samples, count);
    free(samples);
}

static void open_idle(SSL_CTX *context, const struct sockaddr_in *address, long count) {
    unsigned char byte;
    for (long index = 0; index < count; index++) read_all(start(context, dial(address), 0), &byte, 1);
}

int main(int argc, char **argv) {
    if (argc != 3 || atol(argv[2]) <= 0) {
        fprintf(stderr, "usage: tlsloop throughput|latency|pipelined|handshake|idle COUNT\n");
        return 64;
    }
    const char *mode = argv[1];
    long count = atol(argv[2]);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16) < 0)
        die("listen");
    getsockname(listener, (struct sockaddr *)&address, &length);
    signal(SIGPIPE, SIG_IGN);

    pid_t server = fork();
    if (server < 0) die("fork");
    if (server == 0) {
        serve(listener, mode, count);
        return 0;
    }
    close(listener);
    SSL_CTX *context = make_context(TLS_client_method());
    if (strcmp(mode, "handshake") == 0) {
        run_handshakes(context, &address, count);
    } else if (strcmp(mode, "idle") == 0) {
        open_idle(context, &address, count);
    } else {
        SSL *ssl = start(context, dial(&address), 0);
        if (strcmp(mode, "throughput") == 0) {
            run_throughput(ssl, count, server);
            return 0;
        }
        run_requests(ssl, mode, count);
    }
    int status = 0;
    return waitpid(server, &status, 0) < 0 || status != 0;
}
