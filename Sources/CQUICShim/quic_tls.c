#include "quic_internal.h"

#include <gnutls/abstract.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

// TLS: credentials, and the session of a connection.

/// RFC 9001 asks for TLS 1.3 without the compatibility mode; AES-128-GCM first since it is the fastest here.
static const char priorities[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+CHACHA20-POLY1305:+AES-256-GCM:-GROUP-ALL:+GROUP-X25519:"
    "+GROUP-SECP256R1:+GROUP-SECP384R1:%DISABLE_TLS13_COMPAT_MODE";

dep2p_credentials *dep2p_credentials_make(const uint8_t *certificate, size_t certificate_length, const uint8_t *key,
                                          size_t key_length, const char *protocol) {
    dep2p_credentials *self = calloc(1, sizeof *self);
    if (!self) return NULL;
    gnutls_datum_t cert = {(unsigned char *)certificate, (unsigned)certificate_length};
    gnutls_datum_t secret = {(unsigned char *)key, (unsigned)key_length};
    gnutls_x509_crt_fmt_t format =
        certificate_length > 0 && certificate[0] == '-' ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER;
    strncpy(self->protocol, protocol, sizeof self->protocol - 1);
    if (gnutls_certificate_allocate_credentials(&self->certificate) == 0 &&
        (certificate_length == 0 ||
         gnutls_certificate_set_x509_key_mem(self->certificate, &cert, &secret, format) == 0) &&
        gnutls_priority_init(&self->priority, priorities, NULL) == 0)
        return self;
    dep2p_credentials_free(self);
    return NULL;
}

// A node's own key stays with OpenSSL, which signs in 0.27 million instructions where GnuTLS's library takes 0.74, once in
// each handshake. GnuTLS holds a share of it in `user`, which key_freed gives back when the
// credentials are freed; it calls from inside the handshake alone, on the thread that drives it.

static int is_of_key(gnutls_sign_algorithm_t algorithm, const dep2p_certificate_key *key) {
    if (dep2p_certificate_key_is_ed25519(key)) return algorithm == GNUTLS_SIGN_EDDSA_ED25519;
    return algorithm == GNUTLS_SIGN_ECDSA_SECP256R1_SHA256 || algorithm == GNUTLS_SIGN_ECDSA_SHA256;
}

static int key_info(gnutls_privkey_t key, unsigned flags, void *user) {
    (void)key;
    int is_ed25519 = dep2p_certificate_key_is_ed25519(user);
    if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO) return is_ed25519 ? GNUTLS_PK_EDDSA_ED25519 : GNUTLS_PK_ECDSA;
    if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS) return 256;
    if (flags & GNUTLS_PRIVKEY_INFO_SIGN_ALGO)
        return is_ed25519 ? GNUTLS_SIGN_EDDSA_ED25519 : GNUTLS_SIGN_ECDSA_SECP256R1_SHA256;
    if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) return is_of_key(GNUTLS_FLAGS_TO_SIGN_ALGO(flags), user);
    return -1;
}

typedef int signer(dep2p_certificate_key *, const uint8_t *, size_t, uint8_t *, size_t *);

static int sign_with(signer *sign, gnutls_sign_algorithm_t algorithm, dep2p_certificate_key *key,
                     const gnutls_datum_t *data, gnutls_datum_t *signature) {
    uint8_t bytes[128];
    size_t length = sizeof bytes;
    if (!is_of_key(algorithm, key)) return GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM;
    if (sign(key, data->data, data->size, bytes, &length) != 0) return GNUTLS_E_PK_SIGN_FAILED;
    // GnuTLS frees it.
    if (!(signature->data = gnutls_malloc(length))) return GNUTLS_E_MEMORY_ERROR;
    memcpy(signature->data, bytes, length);
    signature->size = (unsigned)length;
    return 0;
}

/// What is signed as it is: by Ed25519.
static int key_sign(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *user, unsigned flags,
                    const gnutls_datum_t *data, gnutls_datum_t *signature) {
    (void)key;
    (void)flags;
    return sign_with(dep2p_certificate_key_sign, algorithm, user, data, signature);
}

/// What GnuTLS has hashed: for P-256.
static int key_sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *user, unsigned flags,
                         const gnutls_datum_t *hash, gnutls_datum_t *signature) {
    (void)key;
    (void)flags;
    return sign_with(dep2p_certificate_key_sign_hash, algorithm, user, hash, signature);
}

static void key_freed(gnutls_privkey_t key, void *user) {
    (void)key;
    dep2p_certificate_key_free(user);
}

/// The key goes to the credentials, together with the certificate; when that fails nothing is left of it.
static int set_key(dep2p_credentials *self, dep2p_certificate_key *key, const gnutls_datum_t *certificate) {
    gnutls_privkey_t private = NULL;
    gnutls_pcert_st public;
    if (gnutls_pcert_import_x509_raw(&public, certificate, GNUTLS_X509_FMT_DER, 0) != 0) return -1;
    dep2p_certificate_key *share = dep2p_certificate_key_share(key);
    int status = share ? gnutls_privkey_init(&private) : GNUTLS_E_MEMORY_ERROR;
    if (status == 0)
        status = gnutls_privkey_import_ext4(private, share, key_sign, key_sign_hash, NULL, key_freed, key_info, 0);
    if (status == 0) {
        share = NULL; // the private key's
        status = gnutls_certificate_set_key(self->certificate, NULL, 0, &public, 1, private);
    }
    if (status == 0) return 0;
    dep2p_certificate_key_free(share);
    gnutls_privkey_deinit(private);
    gnutls_pcert_deinit(&public);
    return -1;
}

dep2p_credentials *dep2p_credentials_of(dep2p_certificate_key *key, const uint8_t *certificate,
                                        size_t certificate_length, const char *protocol) {
    dep2p_credentials *self = dep2p_credentials_make(NULL, 0, NULL, 0, protocol);
    if (!self) return NULL;
    gnutls_datum_t cert = {(unsigned char *)certificate, (unsigned)certificate_length};
    // To see whether the two fit GnuTLS would sign something and check it; they were made together.
    gnutls_certificate_set_flags(self->certificate, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
    if (set_key(self, key, &cert) == 0) return self;
    dep2p_credentials_free(self);
    return NULL;
}

void dep2p_credentials_free(dep2p_credentials *self) {
    if (!self) return;
    if (self->certificate) gnutls_certificate_free_credentials(self->certificate);
    if (self->priority) gnutls_priority_deinit(self->priority);
    free(self);
}

static int verify_peer(gnutls_session_t session) {
    ngtcp2_crypto_conn_ref *reference = gnutls_session_get_ptr(session);
    dep2p_quic *self = reference->user_data;
    unsigned count = 0;
    gnutls_datum_t protocol;
    // GnuTLS refuses a wrong protocol but lets a missing one pass; RFC 9001 8.1 wants that refused too.
    if (self->wants_protocol && gnutls_alpn_get_selected_protocol(session, &protocol) != 0)
        return GNUTLS_E_NO_APPLICATION_PROTOCOL;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    if (!chain || count == 0) return GNUTLS_E_CERTIFICATE_ERROR;
    return CALL(verify_peer, chain[0].data, chain[0].size, count) ? GNUTLS_E_CERTIFICATE_ERROR : 0;
}

/// The number of `size` bytes at `*at`, which moves behind it; -1 when the message ends before.
static long read_number(const uint8_t **at, const uint8_t *end, size_t size) {
    long number = 0;
    if ((size_t)(end - *at) < size) return -1;
    while (size--) number = number << 8 | *(*at)++;
    return number;
}

/// A Certificate message (RFC 8446 section 4.4.2) has come: its key is looked at before GnuTLS checks a signature with
/// it, which may cost seconds when the peer chooses the key for that. What is malformed GnuTLS refuses itself.
static int check_certificate(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                             const gnutls_datum_t *message) {
    (void)type;
    (void)when;
    if (!incoming) return 0;
    ngtcp2_crypto_conn_ref *reference = gnutls_session_get_ptr(session);
    dep2p_quic *self = reference->user_data;
    const uint8_t *at = message->data, *end = at + message->size, *first = NULL;
    long length = read_number(&at, end, 1), first_length = 0;
    if (length < 0 || end - at < length) return 0;
    at += length;
    if (read_number(&at, end, 3) != end - at) return 0;
    unsigned count = 0;
    for (; at < end; count++) {
        length = read_number(&at, end, 3);
        if (length < 0 || end - at < length) return 0;
        if (!first) first = at, first_length = length;
        at += length;
        length = read_number(&at, end, 2);
        if (length < 0 || end - at < length) return 0;
        at += length;
    }
    if (!first) return 0;
    return CALL(verify_peer, first, (size_t)first_length, count) ? GNUTLS_E_CERTIFICATE_ERROR : 0;
}

static ngtcp2_conn *get_conn(ngtcp2_crypto_conn_ref *reference) {
    dep2p_quic *self = reference->user_data;
    return self->conn;
}

int dep2p_session_make(dep2p_quic *self, dep2p_credentials *credentials, int is_server) {
    unsigned flags = GNUTLS_NO_TICKETS | GNUTLS_NO_AUTO_SEND_TICKET | GNUTLS_NONBLOCK | GNUTLS_FORCE_CLIENT_CERT;
    gnutls_datum_t alpn = {(unsigned char *)credentials->protocol, (unsigned)strlen(credentials->protocol)};
    // One key share, X25519: a second would cost every client hello a key of P-256 that no peer asks for.
    flags |= GNUTLS_KEY_SHARE_TOP;
    if (gnutls_init(&self->session, flags | (is_server ? GNUTLS_SERVER : GNUTLS_CLIENT)) != 0) return -1;
    if (gnutls_priority_set(self->session, credentials->priority) != 0) return -1;
    if (gnutls_credentials_set(self->session, GNUTLS_CRD_CERTIFICATE, credentials->certificate) != 0) return -1;
    self->wants_protocol = alpn.size > 0;
    if (alpn.size > 0 && gnutls_alpn_set_protocols(self->session, &alpn, 1, GNUTLS_ALPN_MANDATORY) != 0) return -1;
    if (is_server) gnutls_certificate_server_set_request(self->session, GNUTLS_CERT_REQUIRE);
    gnutls_session_set_verify_function(self->session, verify_peer);
    gnutls_handshake_set_hook_function(self->session, GNUTLS_HANDSHAKE_CERTIFICATE_PKT, GNUTLS_HOOK_PRE,
                                       check_certificate);
    self->reference.get_conn = get_conn;
    self->reference.user_data = self;
    gnutls_session_set_ptr(self->session, &self->reference);
    if ((is_server ? ngtcp2_crypto_gnutls_configure_server_session(self->session)
                   : ngtcp2_crypto_gnutls_configure_client_session(self->session)) != 0)
        return -1;
    dep2p_keys_watch(self->session);
    return 0;
}

int dep2p_quic_export(dep2p_quic *self, const char *label, size_t label_length, uint8_t *result, size_t length) {
    return gnutls_prf_rfc5705(self->session, label_length, label, 0, NULL, length, (char *)result);
}
