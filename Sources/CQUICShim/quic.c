#include "cquicshim.h"

#include "address.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdlib.h>
#include <string.h>

// ngtcp2 1.x renamed a handful of things that 0.12 has under other names; the differences end here.
#if NGTCP2_VERSION_NUM >= 0x010000
#define DEP2P_NGTCP2_1 1
typedef ngtcp2_ccerr dep2p_ccerr;
typedef ngtcp2_conn_info dep2p_stat;
typedef ngtcp2_encryption_level dep2p_level;
typedef ngtcp2_connection_id_status_type dep2p_cid_status;
#define ccerr_application ngtcp2_ccerr_set_application_error
#define ccerr_transport ngtcp2_ccerr_set_transport_error
#define ccerr_library ngtcp2_ccerr_set_liberr
#define ccerr_alert ngtcp2_ccerr_set_tls_alert
#define ccerr_default ngtcp2_ccerr_default
#define conn_stat ngtcp2_conn_get_conn_info
#define in_closing ngtcp2_conn_in_closing_period
#define in_draining ngtcp2_conn_in_draining_period
#define shutdown_write(c, s, e) ngtcp2_conn_shutdown_stream_write(c, 0, s, e)
#define shutdown_read(c, s, e) ngtcp2_conn_shutdown_stream_read(c, 0, s, e)
#define CLOSE_IS_APPLICATION(e) ((e).type == NGTCP2_CCERR_TYPE_APPLICATION)
#else
#define DEP2P_NGTCP2_1 0
typedef ngtcp2_connection_close_error dep2p_ccerr;
typedef ngtcp2_conn_stat dep2p_stat;
typedef ngtcp2_crypto_level dep2p_level;
typedef int dep2p_cid_status;
#define ccerr_application ngtcp2_connection_close_error_set_application_error
#define ccerr_transport ngtcp2_connection_close_error_set_transport_error
#define ccerr_library ngtcp2_connection_close_error_set_transport_error_liberr
#define ccerr_alert ngtcp2_connection_close_error_set_transport_error_tls_alert
#define ccerr_default ngtcp2_connection_close_error_default
#define conn_stat ngtcp2_conn_get_conn_stat
#define in_closing ngtcp2_conn_is_in_closing_period
#define in_draining ngtcp2_conn_is_in_draining_period
#define shutdown_write(c, s, e) ngtcp2_conn_shutdown_stream_write(c, s, e)
#define shutdown_read(c, s, e) ngtcp2_conn_shutdown_stream_read(c, s, e)
#define CLOSE_IS_APPLICATION(e) ((e).type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION)
#endif

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
    uint64_t random_state;
    int last_failure;
    int wants_protocol;
};

static void cid_in(ngtcp2_cid *to, const dep2p_cid *from) { ngtcp2_cid_init(to, from->data, from->length); }

static void cid_out(dep2p_cid *to, const uint8_t *data, size_t length) {
    to->length = (uint8_t)(length > sizeof to->data ? sizeof to->data : length);
    memcpy(to->data, data, to->length);
}

typedef struct {
    struct sockaddr_storage local, remote;
    ngtcp2_path path;
} path_buffer;

static ngtcp2_path *path_in(path_buffer *buffer, const dep2p_address *local, const dep2p_address *remote) {
    socklen_t local_length = dep2p_sockaddr(&buffer->local, local);
    socklen_t remote_length = dep2p_sockaddr(&buffer->remote, remote);
    memset(&buffer->path, 0, sizeof buffer->path);
    buffer->path.local.addr = (ngtcp2_sockaddr *)&buffer->local;
    buffer->path.local.addrlen = local_length;
    buffer->path.remote.addr = (ngtcp2_sockaddr *)&buffer->remote;
    buffer->path.remote.addrlen = remote_length;
    return &buffer->path;
}

static void path_out(const ngtcp2_path *path, dep2p_address *local, dep2p_address *remote) {
    dep2p_address_from(local, (const struct sockaddr *)path->local.addr);
    dep2p_address_from(remote, (const struct sockaddr *)path->remote.addr);
}

void dep2p_random(uint8_t *result, size_t length) {
    // The generator failing means the process has no entropy at all: nothing safe can follow.
    if (gnutls_rnd(GNUTLS_RND_RANDOM, result, length) != 0) abort();
}

const char *dep2p_ngtcp2_version(void) { return ngtcp2_version(0)->version_str; }

// ---- callbacks ----

static void rand_callback(uint8_t *dest, size_t length, const ngtcp2_rand_ctx *context) {
    uint64_t *state = context ? context->native_handle : NULL;
    // The one byte that ngtcp2 asks for at creation decides whether it clears the fixed bit of every packet. Ours stays
    // set: a peer that has restarted could not tell such packets from STUN (RFC 9443), and would not reset them.
    if (length == 1) {
        *dest = 0;
        return;
    }
    if (!state || !*state) {
        dep2p_random(dest, length);
        return;
    }
    for (size_t i = 0; i < length; i++) {  // splitmix64: simulations replay from a seed
        uint64_t z = (*state += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        dest[i] = (uint8_t)(z ^ (z >> 31));
    }
}

static int challenge_callback(ngtcp2_conn *conn, uint8_t *data, void *user) {
    (void)conn, (void)user;
    dep2p_random(data, NGTCP2_PATH_CHALLENGE_DATALEN);
    return 0;
}

#define SELF dep2p_quic *self = user
#define CALL(name, ...) self->callbacks.name(self->user, __VA_ARGS__)
#define STATUS(expression) ((expression) ? NGTCP2_ERR_CALLBACK_FAILURE : 0)

static int stream_data(ngtcp2_conn *conn, uint32_t flags, int64_t stream, uint64_t offset, const uint8_t *data,
                       size_t length, void *user, void *stream_user) {
    (void)conn, (void)offset, (void)stream_user;
    SELF;
    return STATUS(CALL(stream_data, stream, (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0, data, length));
}

static int acknowledged(ngtcp2_conn *conn, int64_t stream, uint64_t offset, uint64_t length, void *user,
                        void *stream_user) {
    (void)conn, (void)stream_user;
    SELF;
    CALL(stream_acknowledged, stream, offset + length);
    return 0;
}

static int stream_open(ngtcp2_conn *conn, int64_t stream, void *user) {
    (void)conn;
    SELF;
    return STATUS(CALL(stream_opened, stream));
}

static int stream_close(ngtcp2_conn *conn, uint32_t flags, int64_t stream, uint64_t code, void *user, void *su) {
    (void)conn, (void)su;
    SELF;
    CALL(stream_closed, stream, flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET ? code : 0);
    return 0;
}

static int stream_reset(ngtcp2_conn *conn, int64_t stream, uint64_t size, uint64_t code, void *user, void *su) {
    (void)conn, (void)size, (void)su;
    SELF;
    CALL(stream_reset, stream, code);
    return 0;
}

static int stream_credit(ngtcp2_conn *conn, int64_t stream, uint64_t max, void *user, void *su) {
    (void)conn, (void)max, (void)su;
    SELF;
    CALL(stream_credit, stream);
    return 0;
}

static int streams_credit(ngtcp2_conn *conn, uint64_t max, void *user) {
    (void)conn, (void)max;
    SELF;
    self->callbacks.streams_credit(self->user);
    return 0;
}

static int handshake_completed(ngtcp2_conn *conn, void *user) {
    (void)conn;
    SELF;
    self->callbacks.handshake_completed(self->user);
    return 0;
}

static int handshake_confirmed(ngtcp2_conn *conn, void *user) {
    (void)conn;
    SELF;
    self->callbacks.handshake_confirmed(self->user);
    return 0;
}

static int new_cid(ngtcp2_conn *conn, ngtcp2_cid *cid, uint8_t *token, size_t length, void *user) {
    (void)conn;
    SELF;
    dep2p_cid made = {.length = (uint8_t)length};
    if (CALL(new_cid, &made, token)) return NGTCP2_ERR_CALLBACK_FAILURE;
    cid_in(cid, &made);
    return 0;
}

static int remove_cid(ngtcp2_conn *conn, const ngtcp2_cid *cid, void *user) {
    (void)conn;
    SELF;
    dep2p_cid gone = {0};
    cid_out(&gone, cid->data, cid->datalen);
    CALL(retire_cid, &gone);
    return 0;
}

static int path_validated(ngtcp2_conn *conn, uint32_t flags, const ngtcp2_path *path,
#if DEP2P_NGTCP2_1
                          const ngtcp2_path *old_path,
#endif
                          ngtcp2_path_validation_result result, void *user) {
    (void)conn, (void)flags;
#if DEP2P_NGTCP2_1
    (void)old_path;
#endif
    SELF;
    dep2p_address local, remote;
    path_out(path, &local, &remote);
    CALL(path_validated, &local, &remote, result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS);
    return 0;
}

static int stateless_reset(ngtcp2_conn *conn, const ngtcp2_pkt_stateless_reset *reset, void *user) {
    (void)conn, (void)reset;
    SELF;
    self->callbacks.stateless_reset(self->user);
    return 0;
}

static int dcid_status(ngtcp2_conn *conn, dep2p_cid_status type, uint64_t seq, const ngtcp2_cid *cid,
                       const uint8_t *token, void *user) {
    (void)conn, (void)seq, (void)cid;
    SELF;
    if (token) CALL(reset_token, token, type == NGTCP2_CONNECTION_ID_STATUS_TYPE_ACTIVATE);
    return 0;
}

static const ngtcp2_callbacks table = {
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
    .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
    .handshake_completed = handshake_completed,
    .handshake_confirmed = handshake_confirmed,
    .encrypt = ngtcp2_crypto_encrypt_cb,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .recv_stream_data = stream_data,
    .acked_stream_data_offset = acknowledged,
    .stream_open = stream_open,
    .stream_close = stream_close,
    .stream_reset = stream_reset,
    .extend_max_stream_data = stream_credit,
    .extend_max_local_streams_bidi = streams_credit,
    .recv_retry = ngtcp2_crypto_recv_retry_cb,
    .rand = rand_callback,
    .get_new_connection_id = new_cid,
    .remove_connection_id = remove_cid,
    .update_key = ngtcp2_crypto_update_key_cb,
    .path_validation = path_validated,
    .recv_stateless_reset = stateless_reset,
    .dcid_status = dcid_status,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .get_path_challenge_data = challenge_callback,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};

// ---- TLS ----

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

static ngtcp2_conn *get_conn(ngtcp2_crypto_conn_ref *reference) {
    dep2p_quic *self = reference->user_data;
    return self->conn;
}

static int session_make(dep2p_quic *self, dep2p_credentials *credentials, int is_server) {
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
    self->reference.get_conn = get_conn;
    self->reference.user_data = self;
    gnutls_session_set_ptr(self->session, &self->reference);
    return is_server ? ngtcp2_crypto_gnutls_configure_server_session(self->session)
                     : ngtcp2_crypto_gnutls_configure_client_session(self->session);
}

int dep2p_quic_export(dep2p_quic *self, const char *label, size_t label_length, uint8_t *result, size_t length) {
    return gnutls_prf_rfc5705(self->session, label_length, label, 0, NULL, length, (char *)result);
}

// ---- packets without a connection ----

int dep2p_packet_inspect(const uint8_t *data, size_t length, size_t short_length, dep2p_cid *dcid, dep2p_cid *scid,
                         uint32_t *version) {
    ngtcp2_version_cid found;
    int status = ngtcp2_pkt_decode_version_cid(&found, data, length, short_length);
    if (status != 0 && status != NGTCP2_ERR_VERSION_NEGOTIATION) return DEP2P_PACKET_MALFORMED;
    if (found.dcidlen > sizeof dcid->data || found.scidlen > sizeof scid->data) return DEP2P_PACKET_MALFORMED;
    cid_out(dcid, found.dcid, found.dcidlen);
    cid_out(scid, found.scid, found.scid ? found.scidlen : 0);
    *version = found.version;
    if (status == NGTCP2_ERR_VERSION_NEGOTIATION) return DEP2P_PACKET_UNKNOWN_VERSION;
    return (data[0] & 0x80) ? DEP2P_PACKET_LONG : DEP2P_PACKET_SHORT;
}

int dep2p_initial_inspect(const uint8_t *data, size_t length, dep2p_initial *initial) {
    ngtcp2_pkt_hd header;
    int status = ngtcp2_accept(&header, data, length);
    if (status != 0 && status != NGTCP2_ERR_RETRY) return DEP2P_ACCEPT_NO;
    if (header.version != NGTCP2_PROTO_VER_V1) return DEP2P_ACCEPT_NO;
    cid_out(&initial->dcid, header.dcid.data, header.dcid.datalen);
    cid_out(&initial->scid, header.scid.data, header.scid.datalen);
    initial->version = header.version;
#if DEP2P_NGTCP2_1
    initial->token = header.token;
    initial->token_length = header.tokenlen;
#else
    initial->token = header.token.base;
    initial->token_length = header.token.len;
#endif
    return status == 0 ? DEP2P_ACCEPT_OK : DEP2P_ACCEPT_RETRY;
}

ssize_t dep2p_write_version_negotiation(uint8_t *result, size_t capacity, const dep2p_cid *dcid, const dep2p_cid *scid,
                                        uint8_t random) {
    uint32_t versions[] = {0x1a2a3a4au, NGTCP2_PROTO_VER_V1};  // the first is RFC 9000 15's greasing
    return ngtcp2_pkt_write_version_negotiation(result, capacity, random, scid->data, scid->length, dcid->data,
                                                dcid->length, versions, 2);
}

ssize_t dep2p_write_stateless_reset(uint8_t *result, size_t length, const uint8_t *token) {
    uint8_t random[64];
    size_t random_length = length - NGTCP2_STATELESS_RESET_TOKENLEN;
    if (length < NGTCP2_STATELESS_RESET_TOKENLEN + NGTCP2_MIN_STATELESS_RESET_RANDLEN) return 0;
    if (random_length > sizeof random) random_length = sizeof random;
    dep2p_random(random, random_length);
    return ngtcp2_pkt_write_stateless_reset(result, length, token, random, random_length);
}

ssize_t dep2p_write_retry(uint8_t *result, size_t capacity, const dep2p_initial *initial, const dep2p_address *remote,
                          const dep2p_cid *new_scid, const uint8_t *secret, size_t secret_length, uint64_t ts) {
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
    struct sockaddr_storage address;
    socklen_t address_length = dep2p_sockaddr(&address, remote);
    ngtcp2_cid dcid, scid, retry_scid;
    cid_in(&dcid, &initial->dcid);
    cid_in(&scid, &initial->scid);
    cid_in(&retry_scid, new_scid);
    ngtcp2_ssize token_length =
        ngtcp2_crypto_generate_retry_token(token, secret, secret_length, initial->version,
                                           (ngtcp2_sockaddr *)&address, address_length, &retry_scid, &dcid, ts);
    if (token_length < 0) return -1;
    return ngtcp2_crypto_write_retry(result, capacity, initial->version, &scid, &retry_scid, &dcid, token,
                                     (size_t)token_length);
}

int dep2p_verify_retry(const dep2p_initial *initial, const dep2p_address *remote, const uint8_t *secret,
                       size_t secret_length, uint64_t lifetime, uint64_t ts, dep2p_cid *original) {
    struct sockaddr_storage address;
    socklen_t address_length = dep2p_sockaddr(&address, remote);
    ngtcp2_cid odcid, dcid;
    cid_in(&dcid, &initial->dcid);
    if (initial->token_length == 0 || initial->token[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY)
        return DEP2P_TOKEN_OTHER;
    int status = ngtcp2_crypto_verify_retry_token(&odcid, initial->token, initial->token_length, secret, secret_length,
                                                  initial->version, (ngtcp2_sockaddr *)&address, address_length, &dcid,
                                                  lifetime, ts);
    if (status != 0) return DEP2P_TOKEN_INVALID;
    cid_out(original, odcid.data, odcid.datalen);
    return 0;
}

ssize_t dep2p_write_refusal(uint8_t *result, size_t capacity, const dep2p_initial *initial, uint64_t code) {
    ngtcp2_cid dcid, scid;
    cid_in(&dcid, &initial->scid);
    cid_in(&scid, &initial->dcid);
    return ngtcp2_crypto_write_connection_close(result, capacity, initial->version, &dcid, &scid, code, NULL, 0);
}

int dep2p_reset_token(uint8_t *token, const uint8_t *secret, size_t secret_length, const dep2p_cid *cid) {
    ngtcp2_cid id;
    cid_in(&id, cid);
    return ngtcp2_crypto_generate_stateless_reset_token(token, secret, secret_length, &id);
}

// ---- connections ----

static void settings_fill(dep2p_quic *self, ngtcp2_settings *settings, ngtcp2_transport_params *params,
                          const dep2p_quic_settings *from) {
    ngtcp2_settings_default(settings);
    ngtcp2_transport_params_default(params);
    self->random_state = from->random_seed;
    settings->rand_ctx.native_handle = &self->random_state;
    settings->initial_ts = from->initial_ts;
    settings->initial_rtt = from->initial_rtt;
    settings->handshake_timeout = from->handshake_timeout;
    settings->max_window = from->max_window;
    settings->max_stream_window = from->max_stream_window;
    settings->cc_algo = from->use_bbr ? NGTCP2_CC_ALGO_BBR : NGTCP2_CC_ALGO_CUBIC;
    settings->max_tx_udp_payload_size = from->datagram_size;
    if (from->fixed_datagram_size) {
        settings->no_tx_udp_payload_size_shaping = 1;
        settings->no_pmtud = 1;
    }
    params->initial_max_data = from->initial_max_data;
    params->initial_max_stream_data_bidi_local = from->initial_max_stream_data;
    params->initial_max_stream_data_bidi_remote = from->initial_max_stream_data;
    params->initial_max_stream_data_uni = from->initial_max_stream_data;
    params->initial_max_streams_bidi = from->max_streams_bidi;
    params->initial_max_streams_uni = from->max_streams_uni;
    params->max_idle_timeout = from->max_idle_timeout;
    params->active_connection_id_limit = 7;
    params->grease_quic_bit = from->grease ? 1 : 0;
}

static dep2p_quic *self_make(const dep2p_quic_callbacks *callbacks, void *user, dep2p_credentials *credentials,
                             int is_server) {
    dep2p_quic *self = calloc(1, sizeof *self);
    if (!self) return NULL;
    self->callbacks = *callbacks;
    self->user = user;
    if (session_make(self, credentials, is_server) != 0) {
        dep2p_quic_free(self);
        return NULL;
    }
    return self;
}

dep2p_quic *dep2p_quic_client(const dep2p_quic_callbacks *callbacks, void *user, dep2p_credentials *credentials,
                              const dep2p_quic_settings *from, const dep2p_address *local, const dep2p_address *remote,
                              const dep2p_cid *dcid_in, const dep2p_cid *scid_in) {
    dep2p_quic *self = self_make(callbacks, user, credentials, 0);
    if (!self) return NULL;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    settings_fill(self, &settings, &params, from);
    ngtcp2_cid dcid, scid;
    cid_in(&dcid, dcid_in);
    cid_in(&scid, scid_in);
    path_buffer buffer;
    ngtcp2_path *path = path_in(&buffer, local, remote);
    if (ngtcp2_conn_client_new(&self->conn, &dcid, &scid, path, NGTCP2_PROTO_VER_V1, &table, &settings, &params, NULL,
                               self) != 0) {
        dep2p_quic_free(self);
        return NULL;
    }
    ngtcp2_conn_set_tls_native_handle(self->conn, self->session);
    return self;
}

dep2p_quic *dep2p_quic_server(const dep2p_quic_callbacks *callbacks, void *user, dep2p_credentials *credentials,
                              const dep2p_quic_settings *from, const dep2p_address *local, const dep2p_address *remote,
                              const dep2p_initial *initial, const dep2p_cid *scid_in, const dep2p_cid *original,
                              const uint8_t *token) {
    dep2p_quic *self = self_make(callbacks, user, credentials, 1);
    if (!self) return NULL;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    settings_fill(self, &settings, &params, from);
    ngtcp2_cid client_dcid, client_scid, scid;
    cid_in(&client_dcid, &initial->dcid);
    cid_in(&client_scid, &initial->scid);
    cid_in(&scid, scid_in);
    params.stateless_reset_token_present = 1;
    memcpy(params.stateless_reset_token, token, NGTCP2_STATELESS_RESET_TOKENLEN);
    if (original) {
        cid_in(&params.original_dcid, original);
        params.retry_scid = client_dcid;
        params.retry_scid_present = 1;
#if DEP2P_NGTCP2_1
        settings.token = initial->token;
        settings.tokenlen = initial->token_length;
        settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
#else
        settings.token.base = (uint8_t *)initial->token;
        settings.token.len = initial->token_length;
#endif
    } else {
        params.original_dcid = client_dcid;
    }
#if DEP2P_NGTCP2_1
    params.original_dcid_present = 1;
#endif
    path_buffer buffer;
    ngtcp2_path *path = path_in(&buffer, local, remote);
    if (ngtcp2_conn_server_new(&self->conn, &client_scid, &scid, path, initial->version, &table, &settings, &params,
                               NULL, self) != 0) {
        dep2p_quic_free(self);
        return NULL;
    }
    ngtcp2_conn_set_tls_native_handle(self->conn, self->session);
    return self;
}

void dep2p_quic_free(dep2p_quic *self) {
    if (!self) return;
    if (self->conn) ngtcp2_conn_del(self->conn);
    if (self->session) gnutls_deinit(self->session);
    free(self);
}

static int status_of(dep2p_quic *self, int status) {
    switch (status) {
    case 0: return DEP2P_QUIC_OK;
    case NGTCP2_ERR_DRAINING: return DEP2P_QUIC_DRAINING;
    case NGTCP2_ERR_CLOSING: return DEP2P_QUIC_CLOSING;
    case NGTCP2_ERR_DROP_CONN: return DEP2P_QUIC_DROP;
    case NGTCP2_ERR_RETRY: return DEP2P_QUIC_RETRY;
    case NGTCP2_ERR_IDLE_CLOSE: return DEP2P_QUIC_IDLE_TIMEOUT;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT: return DEP2P_QUIC_HANDSHAKE_TIMEOUT;
    case NGTCP2_ERR_STREAM_DATA_BLOCKED: return DEP2P_QUIC_STREAM_BLOCKED;
    case NGTCP2_ERR_STREAM_SHUT_WR:
    case NGTCP2_ERR_STREAM_NOT_FOUND: return DEP2P_QUIC_STREAM_GONE;
    case NGTCP2_ERR_WRITE_MORE: return DEP2P_QUIC_WRITE_MORE;
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
    case NGTCP2_ERR_VERSION_NEGOTIATION_FAILURE: self->last_failure = status; return DEP2P_QUIC_VERSION;
    default: self->last_failure = status; return DEP2P_QUIC_FAILED;
    }
}

int dep2p_quic_read(dep2p_quic *self, const dep2p_address *local, const dep2p_address *remote, uint8_t ecn,
                    const uint8_t *data, size_t length, uint64_t ts) {
    path_buffer buffer;
    ngtcp2_pkt_info info = {.ecn = ecn};
    return status_of(self, ngtcp2_conn_read_pkt(self->conn, path_in(&buffer, local, remote), &info, data, length, ts));
}

ssize_t dep2p_quic_write(dep2p_quic *self, dep2p_address *local, dep2p_address *remote, uint8_t *ecn, uint8_t *result,
                         size_t capacity, ssize_t *accepted, uint32_t flags, int64_t stream, const dep2p_vec *vectors,
                         size_t vector_count, uint64_t ts) {
    _Static_assert(sizeof(dep2p_vec) == sizeof(ngtcp2_vec), "the vectors are passed through as they are");
    ngtcp2_path_storage storage;
    ngtcp2_pkt_info info = {0};
    ngtcp2_ssize taken = -1;
    uint32_t write_flags = (flags & DEP2P_WRITE_MORE ? NGTCP2_WRITE_STREAM_FLAG_MORE : 0) |
                           (flags & DEP2P_WRITE_FIN ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0);
    ngtcp2_path_storage_zero(&storage);
    ngtcp2_ssize written = ngtcp2_conn_writev_stream(self->conn, &storage.path, &info, result, capacity, &taken,
                                                     write_flags, stream, (const ngtcp2_vec *)vectors, vector_count,
                                                     ts);
    *accepted = taken;
    if (written < 0) return status_of(self, (int)written);
    if (written > 0) {
        path_out(&storage.path, local, remote);
        *ecn = (uint8_t)info.ecn;
    }
    return written;
}

/// RFC 9000 16: what a variable-length integer holds; ngtcp2 aborts beyond.
static uint64_t code_in(uint64_t code) { return code > NGTCP2_MAX_VARINT ? NGTCP2_MAX_VARINT : code; }

void dep2p_quic_sent(dep2p_quic *self, uint64_t ts) { ngtcp2_conn_update_pkt_tx_time(self->conn, ts); }

ssize_t dep2p_quic_write_close(dep2p_quic *self, dep2p_address *local, dep2p_address *remote, uint8_t *result,
                               size_t capacity, int kind, uint64_t code, const uint8_t *reason, size_t reason_length,
                               uint64_t ts) {
    dep2p_ccerr error;
    ccerr_default(&error);
    if (kind == DEP2P_CLOSE_APPLICATION) {
        ccerr_application(&error, code_in(code), reason, reason_length);
    } else if (kind == DEP2P_CLOSE_TRANSPORT) {
        ccerr_transport(&error, code, reason, reason_length);
    } else if (self->last_failure == NGTCP2_ERR_CRYPTO) {
        ccerr_alert(&error, ngtcp2_conn_get_tls_alert(self->conn), reason, reason_length);
    } else {
        ccerr_library(&error, self->last_failure, reason, reason_length);
    }
    ngtcp2_path_storage storage;
    ngtcp2_pkt_info info = {0};
    ngtcp2_path_storage_zero(&storage);
    ngtcp2_ssize written =
        ngtcp2_conn_write_connection_close(self->conn, &storage.path, &info, result, capacity, &error, ts);
    if (written > 0) path_out(&storage.path, local, remote);
    return written;
}

void dep2p_quic_peer_close(dep2p_quic *self, dep2p_close *result) {
#if DEP2P_NGTCP2_1
    dep2p_ccerr error = *ngtcp2_conn_get_ccerr(self->conn);
#else
    dep2p_ccerr error;
    ngtcp2_conn_get_connection_close_error(self->conn, &error);
#endif
    result->code = error.error_code;
    result->is_application = CLOSE_IS_APPLICATION(error);
    result->reason_length = error.reasonlen > sizeof result->reason ? sizeof result->reason : error.reasonlen;
    if (error.reason && result->reason_length) memcpy(result->reason, error.reason, result->reason_length);
}

const char *dep2p_quic_failure(dep2p_quic *self, uint8_t *alert) {
    *alert = self->last_failure == NGTCP2_ERR_CRYPTO ? ngtcp2_conn_get_tls_alert(self->conn) : 0;
    if (*alert) return gnutls_alert_get_strname((gnutls_alert_description_t)*alert);
    return ngtcp2_strerror(self->last_failure);
}

uint64_t dep2p_quic_expiry(dep2p_quic *self) { return ngtcp2_conn_get_expiry(self->conn); }
int dep2p_quic_handle_expiry(dep2p_quic *self, uint64_t ts) {
    return status_of(self, ngtcp2_conn_handle_expiry(self->conn, ts));
}
int dep2p_quic_in_final_period(dep2p_quic *self) { return in_closing(self->conn) || in_draining(self->conn); }
uint64_t dep2p_quic_pto(dep2p_quic *self) { return ngtcp2_conn_get_pto(self->conn); }
size_t dep2p_quic_datagram_size(dep2p_quic *self) { return ngtcp2_conn_get_max_tx_udp_payload_size(self->conn); }
size_t dep2p_quic_path_datagram_size(dep2p_quic *self) {
    return ngtcp2_conn_get_path_max_tx_udp_payload_size(self->conn);
}
size_t dep2p_quic_send_quantum(dep2p_quic *self) { return ngtcp2_conn_get_send_quantum(self->conn); }
void dep2p_quic_keep_alive(dep2p_quic *self, uint64_t interval) {
    ngtcp2_conn_set_keep_alive_timeout(self->conn, interval);
}

int64_t dep2p_quic_open_stream(dep2p_quic *self) {
    int64_t stream = -1;
    return ngtcp2_conn_open_bidi_stream(self->conn, &stream, NULL) == 0 ? stream : -1;
}

void dep2p_quic_reset_stream(dep2p_quic *self, int64_t stream, uint64_t code) {
    shutdown_write(self->conn, stream, code_in(code));
}

void dep2p_quic_stop_stream(dep2p_quic *self, int64_t stream, uint64_t code) {
    shutdown_read(self->conn, stream, code_in(code));
}

void dep2p_quic_consume(dep2p_quic *self, int64_t stream, uint64_t bytes) {
    if (stream >= 0) ngtcp2_conn_extend_max_stream_offset(self->conn, stream, bytes);
    ngtcp2_conn_extend_max_offset(self->conn, bytes);
}

void dep2p_quic_release_stream_credit(dep2p_quic *self, size_t count) {
    ngtcp2_conn_extend_max_streams_bidi(self->conn, count);
}

int dep2p_quic_migrate(dep2p_quic *self, const dep2p_address *local, const dep2p_address *remote, uint64_t ts) {
    path_buffer buffer;
    return ngtcp2_conn_initiate_migration(self->conn, path_in(&buffer, local, remote), ts);
}

int dep2p_quic_migrate_now(dep2p_quic *self, const dep2p_address *local, const dep2p_address *remote, uint64_t ts) {
    path_buffer buffer;
    return ngtcp2_conn_initiate_immediate_migration(self->conn, path_in(&buffer, local, remote), ts);
}

void dep2p_quic_path(dep2p_quic *self, dep2p_address *local, dep2p_address *remote) {
    path_out(ngtcp2_conn_get_path(self->conn), local, remote);
}

int dep2p_quic_update_key(dep2p_quic *self, uint64_t ts) { return ngtcp2_conn_initiate_key_update(self->conn, ts); }

size_t dep2p_quic_cids(dep2p_quic *self, dep2p_cid *result, size_t capacity) {
#if DEP2P_NGTCP2_1
    size_t count = ngtcp2_conn_get_scid(self->conn, NULL);
#else
    size_t count = ngtcp2_conn_get_num_scid(self->conn);
#endif
    ngtcp2_cid cids[32];
    if (count > 32) count = 32;
    count = ngtcp2_conn_get_scid(self->conn, cids);
    if (count > capacity) count = capacity;
    for (size_t i = 0; i < count; i++) cid_out(&result[i], cids[i].data, cids[i].datalen);
    return count;
}

void dep2p_quic_info_get(dep2p_quic *self, dep2p_quic_info *info) {
    dep2p_stat stat;
    conn_stat(self->conn, &stat);
    info->smoothed_rtt = stat.smoothed_rtt;
    info->min_rtt = stat.min_rtt;
    info->latest_rtt = stat.latest_rtt;
    info->congestion_window = stat.cwnd;
    info->bytes_in_flight = stat.bytes_in_flight;
}

uint64_t dep2p_quic_data_left(dep2p_quic *self) { return ngtcp2_conn_get_max_data_left(self->conn); }
