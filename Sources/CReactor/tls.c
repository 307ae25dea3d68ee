#include "creactor.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct dep2p_tls {
    SSL *ssl;
    int descriptor;
    int is_server;
    /// Whether the first record was looked at.
    int has_begun;
    /// Whether bytes are lost: there was no memory for them.
    int is_broken;
    /// Bytes of the record at hand that OpenSSL has not read yet.
    size_t due;
    /// What was read from the socket and waits, while the intake is another's.
    uint8_t *kept;
    size_t kept_count;
    /// Records that the socket has not taken, from `unsent_start` on: they go before all else.
    uint8_t *unsent;
    size_t unsent_start, unsent_count;
};

/// ALPN (RFC 7301): what middleboxes expect on port 443, so that they let it pass.
static const uint8_t application_protocols[] = "\x08http/1.1";
enum { PROTOCOLS_LENGTH = sizeof application_protocols - 1 };

/// All that TLS 1.3 has, the fastest first: what is inside is encrypted by QUIC, with keys of the same length.
static const char ciphersuites[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

/// Of a record (RFC 8446 5.1, 5.2).
enum { HEADER = 5, LARGEST_RECORD = HEADER + 16384 + 256, HANDSHAKE = 22 };
/// OpenSSL makes room for all of a ClientHello, 128 KiB of which are allowed, once its length is there. Ours have 300 bytes,
/// with keys that withstand quantum computers 1,800.
enum { LONGEST_HELLO = 16384, HELLO_HEADER = 4, CLIENT_HELLO = 1 };

/// Most calls leave no error behind, and to clear the whole list takes 700 instructions.
static void clear_errors(void) {
    if (ERR_peek_error() != 0) ERR_clear_error();
}

// ---- reading ahead ----

/// Where every connection's bytes come in: several records a system call, the header of each would take one of its own.
///
/// OpenSSL's own reading ahead has such room for each connection, and keeps it while a part of a record is there, however
/// small: a relay's thousand of them would have 66 KiB each. Here what has come of a record has the memory that it takes.
/// Used on the network thread alone; it belongs to one connection after the other.
static struct {
    dep2p_tls *owner;
    size_t start, end;
    uint8_t bytes[4 * LARGEST_RECORD];
} intake;

/// What its owner has not read yet gets memory of its own.
static void vacate(void) {
    dep2p_tls *owner = intake.owner;
    size_t count = intake.end - intake.start;
    if (owner && count > 0) {
        owner->kept = malloc(count);
        if (owner->kept) {
            memcpy(owner->kept, intake.bytes + intake.start, count);
            owner->kept_count = count;
        } else {
            owner->is_broken = 1;
        }
    }
    intake.owner = NULL;
    intake.start = intake.end = 0;
}

static void occupy(dep2p_tls *self) {
    if (intake.owner == self) return;
    vacate();
    intake.owner = self;
    if (!self->kept) return;
    memcpy(intake.bytes, self->kept, self->kept_count);
    intake.end = self->kept_count;
    free(self->kept);
    self->kept = NULL;
    self->kept_count = 0;
}

static void forget(dep2p_tls *self) {
    if (intake.owner == self) {
        intake.owner = NULL;
        intake.start = intake.end = 0;
    }
    free(self->kept);
}

/// Bytes of the record in front once it is whole, 0 before. What is none goes to OpenSSL as it is, which says so.
static size_t whole_record(const uint8_t *bytes, size_t count) {
    if (count < HEADER) return 0;
    size_t size = HEADER + ((size_t)bytes[3] << 8 | bytes[4]);
    if (bytes[0] < 20 || bytes[0] > 24 || bytes[1] != 3 || size > LARGEST_RECORD) return count;
    return count < size ? 0 : size;
}

/// Whether a record begins a ClientHello that is not larger than any there is.
static int is_hello(const uint8_t *bytes, size_t size) {
    const uint8_t *message = bytes + HEADER;
    return size >= HEADER + HELLO_HEADER && bytes[0] == HANDSHAKE && message[0] == CLIENT_HELLO &&
           ((size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3]) <= LONGEST_HELLO;
}

/// Has a whole record in front of the intake. 1, or 0 with errno when there is none.
static int next_record(dep2p_tls *self) {
    errno = EIO;
    while (!self->is_broken) {
        size_t count = intake.end - intake.start;
        size_t size = whole_record(intake.bytes + intake.start, count);
        if (size > 0) {
            if (self->is_server && !self->has_begun && !is_hello(intake.bytes + intake.start, size)) return 0;
            self->has_begun = 1;
            self->due = size;
            return 1;
        }
        // There is room for three more beside what has come of it.
        memmove(intake.bytes, intake.bytes + intake.start, count);
        intake.start = 0;
        intake.end = count;
        ssize_t got = recv(self->descriptor, intake.bytes + count, sizeof intake.bytes - count, MSG_DONTWAIT);
        if (got <= 0) {
            int error = got < 0 ? errno : EIO;
            vacate();
            errno = error;
            return 0;
        }
        intake.end += (size_t)got;
    }
    return 0;
}

static int holds_record(const dep2p_tls *self) {
    if (self->due > 0) return 1;
    if (intake.owner == self) return whole_record(intake.bytes + intake.start, intake.end - intake.start) > 0;
    return whole_record(self->kept, self->kept_count) > 0;
}

// ---- writing several records at once ----

/// Records of one dep2p_tls_write on their way into one system call: after each of its own the kernel would send, wake the
/// other side and be answered. Used on the network thread alone.
static struct {
    dep2p_tls *owner;
    size_t count;
    uint8_t bytes[DEP2P_TLS_RECORDS * LARGEST_RECORD];
} outlet;

static ssize_t send_now(const dep2p_tls *self, const uint8_t *bytes, size_t count) {
    return send(self->descriptor, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int is_full(void) { return errno == EAGAIN || errno == EINTR; }

/// What an earlier write has left. 1 once all of it is gone, else 0 with errno.
static int send_rest(dep2p_tls *self) {
    while (self->unsent_count > 0) {
        ssize_t count = send_now(self, self->unsent + self->unsent_start, self->unsent_count);
        if (count < 0) return 0;
        self->unsent_start += (size_t)count;
        self->unsent_count -= (size_t)count;
    }
    free(self->unsent);
    self->unsent = NULL;
    return 1;
}

/// What the socket does not take of the outlet gets memory of its own.
static void send_outlet(dep2p_tls *self) {
    size_t count = outlet.count;
    ssize_t sent = count > 0 ? send_now(self, outlet.bytes, count) : 0;
    outlet.owner = NULL;
    outlet.count = 0;
    if (sent < 0 && !is_full()) {
        self->is_broken = 1;
        return;
    }
    size_t start = sent > 0 ? (size_t)sent : 0;
    if (start == count) return;
    self->unsent = malloc(count - start);
    if (!self->unsent) {
        self->is_broken = 1;
        return;
    }
    memcpy(self->unsent, outlet.bytes + start, count - start);
    self->unsent_start = 0;
    self->unsent_count = count - start;
}

// ---- a socket BIO that never raises SIGPIPE, as OpenSSL's own does ----

static int socket_write(BIO *bio, const char *data, size_t length, size_t *written) {
    dep2p_tls *self = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *written = 0;
    if (outlet.owner == self) {
        if (length > sizeof outlet.bytes - outlet.count) {
            BIO_set_retry_write(bio);
            return 0;
        }
        memcpy(outlet.bytes + outlet.count, data, length);
        outlet.count += length;
        *written = length;
        return 1;
    }
    ssize_t count = send_rest(self) ? send_now(self, (const uint8_t *)data, length) : -1;
    if (count > 0) {
        *written = (size_t)count;
        return 1;
    }
    if (count < 0 && is_full()) BIO_set_retry_write(bio);
    return 0;
}

/// Whole records only, so that OpenSSL holds no part of one.
static int socket_read(BIO *bio, char *data, size_t capacity, size_t *got) {
    dep2p_tls *self = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *got = 0;
    occupy(self);
    if (self->due == 0 && !next_record(self)) {
        if (errno == EAGAIN || errno == EINTR) BIO_set_retry_read(bio);
        return 0;
    }
    size_t count = capacity < self->due ? capacity : self->due;
    memcpy(data, intake.bytes + intake.start, count);
    intake.start += count;
    self->due -= count;
    *got = count;
    return 1;
}

static long socket_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/// One for the process, made on the network thread with the first context and never freed.
static BIO_METHOD *socket_method(void) {
    static BIO_METHOD *method;
    if (method) return method;
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "dep2p socket");
    if (made && BIO_meth_set_write_ex(made, socket_write) && BIO_meth_set_read_ex(made, socket_read) &&
        BIO_meth_set_ctrl(made, socket_control))
        return method = made;
    BIO_meth_free(made);
    return NULL;
}

// ---- contexts ----

static int select_protocol(SSL *ssl, const uint8_t **result, uint8_t *result_length, const uint8_t *offered,
                           unsigned offered_length, void *user) {
    (void)ssl;
    (void)user;
    uint8_t *chosen = NULL;
    int status = SSL_select_next_proto(&chosen, result_length, application_protocols, PROTOCOLS_LENGTH, offered,
                                       offered_length);
    *result = chosen;
    return status == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static SSL_CTX *context_make(const SSL_METHOD *method) {
    SSL_CTX *context = SSL_CTX_new(method);
    if (!context) return NULL;
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    // Idle connections hold no record buffers: a relay has thousands.
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    // Who the peer is, the QUIC connection inside proves.
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 && SSL_CTX_set_num_tickets(context, 0) == 1 &&
        SSL_CTX_set_ciphersuites(context, ciphersuites) == 1)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

dep2p_tls_context *dep2p_tls_client_context(void) {
    SSL_CTX *context = socket_method() ? context_make(TLS_client_method()) : NULL;
    // This one returns 0 on success.
    if (context && SSL_CTX_set_alpn_protos(context, application_protocols, PROTOCOLS_LENGTH) == 0) return context;
    SSL_CTX_free(context);
    return NULL;
}

dep2p_tls_context *dep2p_tls_server_context(const uint8_t *certificate, size_t certificate_length, const uint8_t *key,
                                            size_t key_length) {
    SSL_CTX *context = socket_method() ? context_make(TLS_server_method()) : NULL;
    if (context && SSL_CTX_use_certificate_ASN1(context, (int)certificate_length, certificate) == 1 &&
        SSL_CTX_use_PrivateKey_ASN1(EVP_PKEY_EC, context, key, (long)key_length) == 1) {
        SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
        return context;
    }
    SSL_CTX_free(context);
    ERR_clear_error();
    return NULL;
}

void dep2p_tls_context_free(dep2p_tls_context *context) { SSL_CTX_free(context); }

// ---- connections ----

dep2p_tls *dep2p_tls_make(dep2p_tls_context *context, int descriptor, int is_server) {
    dep2p_tls *self = calloc(1, sizeof *self);
    SSL *ssl = self ? SSL_new(context) : NULL;
    BIO *bio = ssl ? BIO_new(socket_method()) : NULL;
    if (!bio) {
        SSL_free(ssl);
        free(self);
        return NULL;
    }
    self->ssl = ssl;
    self->descriptor = descriptor;
    self->is_server = is_server;
    BIO_set_data(bio, self);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    if (is_server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    return self;
}

void dep2p_tls_free(dep2p_tls *self) {
    if (!self) return;
    SSL_free(self->ssl);
    forget(self);
    free(self->unsent);
    free(self);
}

static int status_of(dep2p_tls *self, int result) {
    int status;
    switch (SSL_get_error(self->ssl, result)) {
    case SSL_ERROR_WANT_READ: status = DEP2P_TLS_WANT_READ; break;
    case SSL_ERROR_WANT_WRITE: status = DEP2P_TLS_WANT_WRITE; break;
    case SSL_ERROR_ZERO_RETURN: status = DEP2P_TLS_CLOSED; break;
    default: status = DEP2P_TLS_FAILED; break;
    }
    clear_errors();
    return status;
}

int dep2p_tls_handshake(dep2p_tls *self) {
    clear_errors();
    int result = SSL_do_handshake(self->ssl);
    return result == 1 ? DEP2P_TLS_DONE : status_of(self, result);
}

int dep2p_tls_read(dep2p_tls *self, uint8_t *data, int capacity) {
    clear_errors();
    int result = SSL_read(self->ssl, data, capacity);
    return result > 0 ? result : status_of(self, result);
}

int dep2p_tls_holds_input(dep2p_tls *self) { return SSL_has_pending(self->ssl) || holds_record(self); }

int dep2p_tls_flush(dep2p_tls *self) {
    if (self->is_broken) return DEP2P_TLS_FAILED;
    if (send_rest(self)) return DEP2P_TLS_DONE;
    return is_full() ? DEP2P_TLS_WANT_WRITE : DEP2P_TLS_FAILED;
}

size_t dep2p_tls_unsent(const dep2p_tls *self) { return self->unsent_count; }

int dep2p_tls_write(dep2p_tls *self, const uint8_t *data, int length) {
    int status = dep2p_tls_flush(self);
    if (status != DEP2P_TLS_DONE) return status;
    clear_errors();
    outlet.owner = self;
    int taken = 0;
    while (taken < length && sizeof outlet.bytes - outlet.count >= LARGEST_RECORD && status == DEP2P_TLS_DONE) {
        int result = SSL_write(self->ssl, data + taken, length - taken);
        if (result > 0)
            taken += result;
        else
            status = status_of(self, result);
    }
    send_outlet(self);
    if (self->is_broken) return DEP2P_TLS_FAILED;
    return taken > 0 ? taken : status;
}

void dep2p_tls_shutdown(dep2p_tls *self) {
    // One attempt to say goodbye; what the socket does not take is lost, as a killed process's would be.
    if (SSL_is_init_finished(self->ssl)) (void)SSL_shutdown(self->ssl);
    ERR_clear_error();
}
