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
};

/// ALPN (RFC 7301): what middleboxes expect on port 443, so that they let it pass.
static const uint8_t application_protocols[] = "\x08http/1.1";
enum { PROTOCOLS_LENGTH = sizeof application_protocols - 1 };

/// Four of the largest records (RFC 8446 5.2).
enum { READ_AHEAD = 4 * (5 + 16384 + 256) };

// ---- a socket BIO that never raises SIGPIPE, as OpenSSL's own does ----

static int socket_of(BIO *bio) { return ((dep2p_tls *)BIO_get_data(bio))->descriptor; }

static int socket_write(BIO *bio, const char *data, size_t length, size_t *written) {
    ssize_t count = send(socket_of(bio), data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    BIO_clear_retry_flags(bio);
    if (count > 0) {
        *written = (size_t)count;
        return 1;
    }
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
    *written = 0;
    return 0;
}

static int socket_read(BIO *bio, char *data, size_t capacity, size_t *got) {
    ssize_t count = recv(socket_of(bio), data, capacity, MSG_DONTWAIT);
    BIO_clear_retry_flags(bio);
    if (count > 0) {
        *got = (size_t)count;
        return 1;
    }
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
    *got = 0;
    return 0;
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
    // Several records a system call; the header of each takes one of its own otherwise.
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD);
    // Idle connections hold no record buffers: a relay has thousands.
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    // Who the peer is, the QUIC connection inside proves.
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 && SSL_CTX_set_num_tickets(context, 0) == 1)
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
    ERR_clear_error();
    return status;
}

int dep2p_tls_handshake(dep2p_tls *self) {
    ERR_clear_error();
    int result = SSL_do_handshake(self->ssl);
    return result == 1 ? DEP2P_TLS_DONE : status_of(self, result);
}

int dep2p_tls_read(dep2p_tls *self, uint8_t *data, int capacity) {
    ERR_clear_error();
    int result = SSL_read(self->ssl, data, capacity);
    return result > 0 ? result : status_of(self, result);
}

int dep2p_tls_holds_input(dep2p_tls *self) { return SSL_has_pending(self->ssl); }

int dep2p_tls_write(dep2p_tls *self, const uint8_t *data, int length) {
    ERR_clear_error();
    int result = SSL_write(self->ssl, data, length);
    return result > 0 ? result : status_of(self, result);
}

void dep2p_tls_shutdown(dep2p_tls *self) {
    // One attempt to say goodbye; what the socket does not take is lost, as a killed process's would be.
    if (SSL_is_init_finished(self->ssl)) (void)SSL_shutdown(self->ssl);
    ERR_clear_error();
}
