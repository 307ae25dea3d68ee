#include "quic_internal.h"

#include <cipsecmb.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdatomic.h>

// The keys of packets. GnuTLS makes the secrets, and protects the packets of the handshake; those that carry data, with
// AES-128-GCM, are protected by libipsec-mb (cipsecmb.h), as RFC 9001 section 5 says. Other ciphers, and processors that have not
// what it needs, stay with GnuTLS.
//
// ngtcp2 holds a pointer for each key and gives it back to be freed. That of a key made here has its lowest bit set, which that of
// no allocated object has.

enum { KEY = 16, NONCE = 12, SAMPLE = 16, MASK = 5, SECRET_LIMIT = 64 };

static atomic_ulong installed;

unsigned long dep2p_keys_installed(void) { return atomic_load_explicit(&installed, memory_order_relaxed); }

static void *tagged(void *key) { return (void *)((uintptr_t)key | 1); }

/// Nothing where it is GnuTLS's.
static void *untagged(void *handle) {
    uintptr_t value = (uintptr_t)handle;
    return value & 1 ? (void *)(value - 1) : NULL;
}

int dep2p_keys_encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                       const uint8_t *plain, size_t length, const uint8_t *nonce, size_t nonce_length,
                       const uint8_t *header, size_t header_length) {
    const dep2p_gcm *key = untagged(context->native_handle);
    if (!key)
        return ngtcp2_crypto_encrypt_cb(dest, aead, context, plain, length, nonce, nonce_length, header, header_length);
    if (nonce_length != NONCE) return NGTCP2_ERR_CALLBACK_FAILURE;
    return dep2p_gcm_seal(key, dest, plain, length, nonce, header, header_length) == 0 ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

int dep2p_keys_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                       const uint8_t *sealed, size_t length, const uint8_t *nonce, size_t nonce_length,
                       const uint8_t *header, size_t header_length) {
    const dep2p_gcm *key = untagged(context->native_handle);
    if (!key)
        return ngtcp2_crypto_decrypt_cb(dest, aead, context, sealed, length, nonce, nonce_length, header, header_length);
    if (nonce_length != NONCE) return NGTCP2_ERR_CALLBACK_FAILURE;
    return dep2p_gcm_open(key, dest, sealed, length, nonce, header, header_length) == 0 ? 0 : NGTCP2_ERR_DECRYPT;
}

int dep2p_keys_mask(uint8_t *dest, const ngtcp2_crypto_cipher *cipher, const ngtcp2_crypto_cipher_ctx *context,
                    const uint8_t *sample) {
    const dep2p_block *key = untagged(context->native_handle);
    if (!key) return ngtcp2_crypto_hp_mask_cb(dest, cipher, context, sample);
    uint8_t block[SAMPLE];
    dep2p_block_encrypt(key, block, sample);
    memcpy(dest, block, MASK);
    return 0;
}

void dep2p_keys_delete_aead(ngtcp2_conn *conn, ngtcp2_crypto_aead_ctx *context, void *user) {
    dep2p_gcm *key = untagged(context->native_handle);
    if (!key) {
        ngtcp2_crypto_delete_crypto_aead_ctx_cb(conn, context, user);
        return;
    }
    dep2p_gcm_free(key);
    context->native_handle = NULL;
}

void dep2p_keys_delete_cipher(ngtcp2_conn *conn, ngtcp2_crypto_cipher_ctx *context, void *user) {
    dep2p_block *key = untagged(context->native_handle);
    if (!key) {
        ngtcp2_crypto_delete_crypto_cipher_ctx_cb(conn, context, user);
        return;
    }
    dep2p_block_free(key);
    context->native_handle = NULL;
}

/// HKDF-Expand-Label (RFC 8446, 7.1) without a context.
static int expand(uint8_t *result, size_t length, const ngtcp2_crypto_md *hash, const uint8_t *secret,
                  size_t secret_length, const char *label) {
    static const char prefix[] = "tls13 ";
    uint8_t info[32];
    size_t prefix_length = sizeof prefix - 1, label_length = strlen(label);
    info[0] = 0;
    info[1] = (uint8_t)length;
    info[2] = (uint8_t)(prefix_length + label_length);
    memcpy(info + 3, prefix, prefix_length);
    memcpy(info + 3 + prefix_length, label, label_length);
    info[3 + prefix_length + label_length] = 0;
    return ngtcp2_crypto_hkdf_expand(result, length, hash, secret, secret_length, info, 4 + prefix_length + label_length);
}

static int is_ours(const dep2p_quic *self, ngtcp2_conn *conn) {
    const ngtcp2_crypto_ctx *context = ngtcp2_conn_get_crypto_ctx(conn);
    return !self->gnutls_keys && context->aead.native_handle == (void *)GNUTLS_CIPHER_AES_128_GCM &&
           ngtcp2_conn_get_negotiated_version(conn) == NGTCP2_PROTO_VER_V1;
}

typedef int installer(ngtcp2_conn *, const uint8_t *, size_t, const ngtcp2_crypto_aead_ctx *, const uint8_t *, size_t,
                      const ngtcp2_crypto_cipher_ctx *);

/// What RFC 9001 5.1 makes of a secret.
typedef struct {
    uint8_t key[KEY], iv[NONCE], header_key[KEY];
} key_material;

/// 1 when the keys of this direction are the connection's, 0 when GnuTLS has to make them, -1 when it can't be done.
static int give_keys(ngtcp2_conn *conn, installer *give, const uint8_t *secret, size_t length, const key_material *made) {
    dep2p_gcm *gcm = dep2p_gcm_create(made->key);
    dep2p_block *block = gcm ? dep2p_block_create(made->header_key) : NULL;
    int status = 0;
    if (gcm && block) {
        ngtcp2_crypto_aead_ctx aead = {tagged(gcm)};
        ngtcp2_crypto_cipher_ctx cipher = {tagged(block)};
        if (give(conn, secret, length, &aead, made->iv, sizeof made->iv, &cipher) == 0) {
            atomic_fetch_add_explicit(&installed, 1, memory_order_relaxed);
            return 1;
        }
        status = -1;
    }
    dep2p_gcm_free(gcm);
    dep2p_block_free(block);
    return status;
}

static int install(const dep2p_quic *self, installer *give, const uint8_t *secret, size_t length) {
    ngtcp2_conn *conn = self->conn;
    if (!is_ours(self, conn)) return 0;
    const ngtcp2_crypto_md *hash = &ngtcp2_conn_get_crypto_ctx(conn)->md;
    key_material made;
    int is_made = expand(made.key, sizeof made.key, hash, secret, length, "quic key") == 0 &&
                  expand(made.iv, sizeof made.iv, hash, secret, length, "quic iv") == 0 &&
                  expand(made.header_key, sizeof made.header_key, hash, secret, length, "quic hp") == 0;
    int status = is_made ? give_keys(conn, give, secret, length, &made) : -1;
    gnutls_memset(&made, 0, sizeof made);
    return status;
}

static int derive(const dep2p_quic *self, ngtcp2_encryption_level level, const uint8_t *rx, const uint8_t *tx, size_t length) {
    ngtcp2_conn *conn = self->conn;
    int is_data = level == NGTCP2_ENCRYPTION_LEVEL_1RTT;
    int has_rx = rx && is_data ? install(self, ngtcp2_conn_install_rx_key, rx, length) : 0;
    if (has_rx < 0) return -1;
    if (rx && !has_rx && ngtcp2_crypto_derive_and_install_rx_key(conn, NULL, NULL, NULL, level, rx, length) != 0) return -1;
    int has_tx = tx && is_data ? install(self, ngtcp2_conn_install_tx_key, tx, length) : 0;
    if (has_tx < 0) return -1;
    if (tx && !has_tx && ngtcp2_crypto_derive_and_install_tx_key(conn, NULL, NULL, NULL, level, tx, length) != 0) return -1;
    return 0;
}

/// As ngtcp2's own for GnuTLS, which needs nothing of the transport parameters here: they come by an extension of their own.
static int secret_made(gnutls_session_t session, gnutls_record_encryption_level_t level, const void *rx, const void *tx,
                       size_t length) {
    ngtcp2_crypto_conn_ref *reference = gnutls_session_get_ptr(session);
    return derive(reference->user_data, ngtcp2_crypto_gnutls_from_gnutls_record_encryption_level(level), rx, tx,
                  length);
}

void dep2p_keys_watch(gnutls_session_t session) { gnutls_handshake_set_secret_function(session, secret_made); }

/// Has GnuTLS's key replaced by one of the same bytes; it stays where there is none to be had.
static void replace(ngtcp2_conn *conn, ngtcp2_crypto_aead_ctx *context, const uint8_t *key, void *user) {
    dep2p_gcm *gcm = dep2p_gcm_create(key);
    if (!gcm) return;
    ngtcp2_crypto_delete_crypto_aead_ctx_cb(conn, context, user);
    context->native_handle = tagged(gcm);
}

int dep2p_keys_update(ngtcp2_conn *conn, uint8_t *rx_secret, uint8_t *tx_secret, ngtcp2_crypto_aead_ctx *rx,
                      uint8_t *rx_iv, ngtcp2_crypto_aead_ctx *tx, uint8_t *tx_iv, const uint8_t *current_rx,
                      const uint8_t *current_tx, size_t length, void *user) {
    uint8_t rx_key[SECRET_LIMIT], tx_key[SECRET_LIMIT];
    int status = ngtcp2_crypto_update_key(conn, rx_secret, tx_secret, rx, rx_key, rx_iv, tx, tx_key, tx_iv, current_rx,
                                          current_tx, length);
    if (status == 0 && is_ours(user, conn)) {
        replace(conn, rx, rx_key, user);
        replace(conn, tx, tx_key, user);
    }
    gnutls_memset(rx_key, 0, sizeof rx_key);
    gnutls_memset(tx_key, 0, sizeof tx_key);
    return status == 0 ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}
