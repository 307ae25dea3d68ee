#include "quic_internal.h"

#include <gnutls/crypto.h>

// What ngtcp2 calls back.

void dep2p_random(uint8_t *result, size_t length) {
    // The generator failing means the process has no entropy at all: nothing safe can follow.
    if (gnutls_rnd(GNUTLS_RND_RANDOM, result, length) != 0) abort();
}

const char *dep2p_ngtcp2_version(void) { return ngtcp2_version(0)->version_str; }

/// From `state` where it is not zero: simulations replay.
static void fill(uint8_t *dest, size_t length, uint64_t *state) {
    if (!state || !*state) {
        dep2p_random(dest, length);
        return;
    }
    for (size_t i = 0; i < length; i++) {  // splitmix64
        uint64_t z = (*state += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        dest[i] = (uint8_t)(z ^ (z >> 31));
    }
}

static void rand_callback(uint8_t *dest, size_t length, const ngtcp2_rand_ctx *context) {
    uint64_t *state = context ? context->native_handle : NULL;
    // The one byte that ngtcp2 asks for at creation decides whether it clears the fixed bit of every packet. Ours stays
    // set: a peer that has restarted could not tell such packets from STUN (RFC 9443), and would not reset them.
    if (length == 1) {
        *dest = 0;
        return;
    }
    fill(dest, length, state);
}

static int challenge_callback(ngtcp2_conn *conn, uint8_t *data, void *user) {
    (void)conn;
    dep2p_quic *self = user;
    fill(data, NGTCP2_PATH_CHALLENGE_DATALEN, &self->random_state);
    return 0;
}

#define SELF dep2p_quic *self = user
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
    SELF;
    // A server need not wait for the client to confirm it (RFC 9001 4.1.2).
    if (ngtcp2_conn_is_server(conn)) self->is_confirmed = 1;
    self->callbacks.handshake_completed(self->user);
    return 0;
}

static int handshake_confirmed(ngtcp2_conn *conn, void *user) {
    (void)conn;
    SELF;
    self->is_confirmed = 1;
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
                          const ngtcp2_path *old_path,
                          ngtcp2_path_validation_result result, void *user) {
    (void)conn, (void)flags;
    SELF;
    dep2p_address local, remote;
    path_out(path, &local, &remote);
    dep2p_guard_validated(self, old_path && result == NGTCP2_PATH_VALIDATION_RESULT_ABORTED);
    CALL(path_validated, &local, &remote, result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS);
    return 0;
}

static int stateless_reset(ngtcp2_conn *conn, const ngtcp2_pkt_stateless_reset *reset, void *user) {
    (void)conn, (void)reset;
    SELF;
    self->callbacks.stateless_reset(self->user);
    return 0;
}

static int dcid_status(ngtcp2_conn *conn, ngtcp2_connection_id_status_type type, uint64_t seq, const ngtcp2_cid *cid,
                       const uint8_t *token, void *user) {
    (void)conn, (void)seq, (void)cid;
    SELF;
    // The first is the one of the handshake, which ngtcp2 has just left behind.
    self->guard.is_past_handshake = 1;
    if (token) CALL(reset_token, token, type == NGTCP2_CONNECTION_ID_STATUS_TYPE_ACTIVATE);
    return 0;
}

const ngtcp2_callbacks dep2p_callback_table = {
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
    .recv_crypto_data = dep2p_guard_crypto_data,
    .handshake_completed = handshake_completed,
    .handshake_confirmed = handshake_confirmed,
    .encrypt = dep2p_keys_encrypt,
    .decrypt = dep2p_guard_decrypt,
    .hp_mask = dep2p_keys_mask,
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
    .update_key = dep2p_keys_update,
    .path_validation = path_validated,
    .recv_stateless_reset = stateless_reset,
    .dcid_status = dcid_status,
    .delete_crypto_aead_ctx = dep2p_keys_delete_aead,
    .delete_crypto_cipher_ctx = dep2p_keys_delete_cipher,
    .get_path_challenge_data = challenge_callback,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
    .recv_rx_key = dep2p_guard_rx_key,
    .recv_tx_key = dep2p_guard_tx_key,
};
