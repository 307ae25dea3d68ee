#ifndef DEP2P_QUIC_INTERNAL_H
#define DEP2P_QUIC_INTERNAL_H

// What the files of the QUIC door share: the types behind the public header's.

#include "cquicshim.h"

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <openssl/types.h>
#include <stdlib.h>
#include <string.h>

#if NGTCP2_VERSION_NUM < 0x010b00
#error "ngtcp2 1.11 or later is needed: Sources/quickstart.sh --packages installs it (README.md, What it needs)"
#endif

/// Bytes of an uncompressed point of P-256.
enum { DEP2P_P256_POINT = 65 };
/// The public key of one, until this thread asks for another; nothing where it is no point of the curve (p256.c).
EVP_PKEY *dep2p_p256_key(const uint8_t *point);

struct dep2p_credentials {
    gnutls_certificate_credentials_t certificate;
    gnutls_priority_t priority;
    char protocol[32];
};

struct dep2p_quic {
    ngtcp2_conn *conn;
    gnutls_session_t session;
    ngtcp2_crypto_conn_ref reference;
    dep2p_quic_callbacks callbacks;
    void *user;
    /// What ngtcp2 asks for memory, for as long as the connection is not freed, and how much it has (quic_memory.c).
    ngtcp2_mem allocator;
    size_t memory;
    uint64_t random_state;
    int last_failure;
    int wants_protocol;
    int gnutls_keys;
    dep2p_guard guard;
    /// Of the peer's packets with short headers: the number behind the highest, and when that came (0: not yet).
    struct {
        uint64_t next, at;
    } fresh;
    /// Why the guard ended the connection, if it did.
    const char *refusal;
    int is_tls_over;
    /// Whether this side has the keys of the application's data for what it sends: a server before its client has proven
    /// who it is.
    int has_send_key;
    int is_confirmed;
    /// A client's acknowledgement of the server's Initial (quic_guarded.c): how long the header of its own Initial is, and
    /// whether the acknowledgement is to be left out, which happens once.
    struct {
        size_t header;
        enum { INITIAL_ACK_KEPT, INITIAL_ACK_DUE, INITIAL_ACK_LEFT_OUT } state;
    } initial;
    /// A server's view of the paths that datagrams come on (quic_guarded.c).
    struct {
        dep2p_address local, remote;
        uint64_t initial_rtt;
        uint64_t quiet_until;
        int is_foreign, has_moved, is_validating;
    } path;
};

// The key of a node's certificate, for who signs with it (certificate.c). A shared one is freed like any other, and the
// key itself with the last.
dep2p_certificate_key *dep2p_certificate_key_share(dep2p_certificate_key *key);
int dep2p_certificate_key_is_ed25519(const dep2p_certificate_key *key);
/// 0, with a signature in `result` (which has `*result_length` bytes of room), or -1.
int dep2p_certificate_key_sign(dep2p_certificate_key *key, const uint8_t *data, size_t length, uint8_t *result,
                               size_t *result_length);
/// As above, of what has been hashed: with P-256, SHA-256.
int dep2p_certificate_key_sign_hash(dep2p_certificate_key *key, const uint8_t *hash, size_t length, uint8_t *result,
                                    size_t *result_length);

/// Calls into Swift, on behalf of connection `self`.
#define CALL(name, ...) self->callbacks.name(self->user, __VA_ARGS__)

/// What ngtcp2 is given for each connection (quic_callbacks.c).
extern const ngtcp2_callbacks dep2p_callback_table;

// The guard (quic_guarded.c): around a call that reads a datagram, after a path was validated, and as callbacks.
dep2p_quic *dep2p_guard_enter(dep2p_quic *self, const dep2p_address *local, const dep2p_address *remote, uint64_t ts);
void dep2p_guard_leave(dep2p_quic *self, dep2p_quic *outer);
void dep2p_guard_validated(dep2p_quic *self, int has_come_back);
int dep2p_guard_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                        const uint8_t *ciphertext, size_t length, const uint8_t *nonce, size_t nonce_length,
                        const uint8_t *header, size_t header_length);
int dep2p_guard_crypto_data(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint64_t offset, const uint8_t *data, size_t length,
                            void *user);
int dep2p_guard_rx_key(ngtcp2_conn *conn, ngtcp2_encryption_level level, void *user);
int dep2p_guard_tx_key(ngtcp2_conn *conn, ngtcp2_encryption_level level, void *user);

// The keys of packets (quic_keys.c): as callbacks, and once for each session.
int dep2p_keys_encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                       const uint8_t *plain, size_t length, const uint8_t *nonce, size_t nonce_length,
                       const uint8_t *header, size_t header_length);
int dep2p_keys_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                       const uint8_t *sealed, size_t length, const uint8_t *nonce, size_t nonce_length,
                       const uint8_t *header, size_t header_length);
int dep2p_keys_mask(uint8_t *dest, const ngtcp2_crypto_cipher *cipher, const ngtcp2_crypto_cipher_ctx *context,
                    const uint8_t *sample);
int dep2p_keys_update(ngtcp2_conn *conn, uint8_t *rx_secret, uint8_t *tx_secret, ngtcp2_crypto_aead_ctx *rx,
                      uint8_t *rx_iv, ngtcp2_crypto_aead_ctx *tx, uint8_t *tx_iv, const uint8_t *current_rx,
                      const uint8_t *current_tx, size_t length, void *user);
void dep2p_keys_delete_aead(ngtcp2_conn *conn, ngtcp2_crypto_aead_ctx *context, void *user);
void dep2p_keys_delete_cipher(ngtcp2_conn *conn, ngtcp2_crypto_cipher_ctx *context, void *user);
void dep2p_keys_watch(gnutls_session_t session);

/// The length of the header in front of an Initial packet's Length; 0 when the packet is none.
size_t dep2p_initial_header(const uint8_t *packet, size_t length);

/// Before ngtcp2 makes the connection (quic_memory.c).
void dep2p_memory_begin(dep2p_quic *self);

/// Makes the TLS session of a connection (quic_tls.c); 0 when that worked.
int dep2p_session_make(dep2p_quic *self, dep2p_credentials *credentials, int is_server);

static inline void cid_in(ngtcp2_cid *to, const dep2p_cid *from) { ngtcp2_cid_init(to, from->data, from->length); }

static inline void cid_out(dep2p_cid *to, const uint8_t *data, size_t length) {
    to->length = (uint8_t)(length > sizeof to->data ? sizeof to->data : length);
    memcpy(to->data, data, to->length);
}

typedef struct {
    struct sockaddr_storage local, remote;
    ngtcp2_path path;
} path_buffer;

static inline ngtcp2_path *path_in(path_buffer *buffer, const dep2p_address *local, const dep2p_address *remote) {
    socklen_t local_length = dep2p_sockaddr(&buffer->local, local);
    socklen_t remote_length = dep2p_sockaddr(&buffer->remote, remote);
    memset(&buffer->path, 0, sizeof buffer->path);
    buffer->path.local.addr = (ngtcp2_sockaddr *)&buffer->local;
    buffer->path.local.addrlen = local_length;
    buffer->path.remote.addr = (ngtcp2_sockaddr *)&buffer->remote;
    buffer->path.remote.addrlen = remote_length;
    return &buffer->path;
}

static inline void path_out(const ngtcp2_path *path, dep2p_address *local, dep2p_address *remote) {
    dep2p_address_from(local, (const struct sockaddr *)path->local.addr);
    dep2p_address_from(remote, (const struct sockaddr *)path->remote.addr);
}

#endif
