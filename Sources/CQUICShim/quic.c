#include "quic_internal.h"

// Connections.

static void settings_fill(dep2p_quic *self, ngtcp2_settings *settings, ngtcp2_transport_params *params,
                          const dep2p_quic_settings *from) {
    ngtcp2_settings_default(settings);
    ngtcp2_transport_params_default(params);
    self->random_state = from->random_seed;
    self->gnutls_keys = from->gnutls_keys;
    self->path.initial_rtt = from->initial_rtt;
    settings->rand_ctx.native_handle = &self->random_state;
    settings->initial_ts = from->initial_ts;
    settings->initial_rtt = from->initial_rtt;
    settings->handshake_timeout = from->handshake_timeout;
    settings->max_stream_window = from->max_stream_window;
    settings->cc_algo = from->use_bbr ? NGTCP2_CC_ALGO_BBR : NGTCP2_CC_ALGO_CUBIC;
    settings->max_tx_udp_payload_size = from->datagram_size;
    if (from->fixed_datagram_size) {
        // One probe larger than any datagram is none. `no_pmtud` would say that, but up to 1.11 a client that comes back
        // to the path that it is leaving makes ngtcp2 abort then.
        static const uint16_t none[] = {65527};
        settings->no_tx_udp_payload_size_shaping = 1;
        settings->pmtud_probes = none;
        settings->pmtud_probeslen = 1;
    } else if (from->datagram_size == DEP2P_RECORD_DATAGRAM) {
        // ngtcp2's own sizes, with the wide ones after what most paths carry: they are either far off or at once there.
        static const uint16_t wide[] = {1454 - 48, DEP2P_WIDE_DATAGRAM, DEP2P_RECORD_DATAGRAM,
                                        1390 - 48, 1280 - 48,           1492 - 48};
        settings->pmtud_probes = wide;
        settings->pmtud_probeslen = sizeof wide / sizeof *wide;
    }
    params->initial_max_data = from->initial_max_data;
    params->initial_max_stream_data_bidi_local = from->initial_max_stream_data;
    params->initial_max_stream_data_bidi_remote = from->initial_max_stream_data;
    params->initial_max_stream_data_uni = from->max_stream_data_uni;
    params->initial_max_streams_bidi = from->max_streams_bidi;
    params->initial_max_streams_uni = from->max_streams_uni;
    params->max_idle_timeout = from->max_idle_timeout;
    // As many as ngtcp2 keeps bound to paths, and the current one: it never has to retire one to look at another path.
    params->active_connection_id_limit = 5;
    params->grease_quic_bit = from->grease ? 1 : 0;
}

static dep2p_quic *self_make(const dep2p_quic_callbacks *callbacks, void *user, dep2p_credentials *credentials,
                             int is_server) {
    dep2p_quic *self = calloc(1, sizeof *self);
    if (!self) return NULL;
    self->callbacks = *callbacks;
    self->user = user;
    self->guard.is_server = is_server;
    dep2p_memory_begin(self);
    if (dep2p_session_make(self, credentials, is_server) != 0) {
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
    if (ngtcp2_conn_client_new(&self->conn, &dcid, &scid, path, NGTCP2_PROTO_VER_V1, &dep2p_callback_table, &settings,
                               &params, &self->allocator, self) != 0) {
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
        settings.token = initial->token;
        settings.tokenlen = initial->token_length;
        settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
    } else {
        params.original_dcid = client_dcid;
    }
    params.original_dcid_present = 1;
    path_buffer buffer;
    ngtcp2_path *path = path_in(&buffer, local, remote);
    if (ngtcp2_conn_server_new(&self->conn, &client_scid, &scid, path, initial->version, &dep2p_callback_table,
                               &settings, &params, &self->allocator, self) != 0) {
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
    dep2p_quic *outer = dep2p_guard_enter(self, local, remote, ts);
    int status = ngtcp2_conn_read_pkt(self->conn, path_in(&buffer, local, remote), &info, data, length, ts);
    dep2p_guard_leave(self, outer);
    return status_of(self, self->refusal ? NGTCP2_ERR_PROTO : status);
}

/// What follows an Initial's header where that carries an acknowledgement alone: its length and number, the frame with a few
/// ranges, the tag, and a server's ID that is longer than the one that the client began with.
enum { INITIAL_ACK_ROOM = 96 };

/// Takes the acknowledgement of the server's Initial from ngtcp2 and throws it away, before the client's first Handshake
/// packet. The server discards its Initial keys when that comes, and so does the client when it goes (RFC 9001 4.9.1):
/// nobody needs the acknowledgement, and with an Initial packet in front the datagram would have to be padded to 1,200
/// bytes (RFC 9000 14.1), a third of what a relay carries for a handshake. In so little room ngtcp2 finds no place for
/// another packet, and fills it with padding. What it writes instead, if the Initial keys are gone already, is sent.
static ngtcp2_ssize leave_out_initial_ack(dep2p_quic *self, ngtcp2_path *path, ngtcp2_pkt_info *info, uint8_t *result,
                                          size_t capacity, uint64_t ts) {
    self->initial.state = INITIAL_ACK_LEFT_OUT;
    size_t room = self->initial.header + INITIAL_ACK_ROOM;
    // Of a token as long as that nobody knows what fits behind it.
    if (self->initial.header == 0 || room > capacity / 2) return 0;
    ngtcp2_ssize written = ngtcp2_conn_writev_stream(self->conn, path, info, result, room, NULL, 0, -1, NULL, 0, ts);
    return written > 0 && dep2p_initial_header(result, (size_t)written) > 0 ? 0 : written;
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
    self->guard.now = ts;
    ngtcp2_ssize written = 0;
    if (self->initial.state == INITIAL_ACK_DUE) {
        written = leave_out_initial_ack(self, &storage.path, &info, result, capacity, ts);
    }
    if (written == 0) {
        written = ngtcp2_conn_writev_stream(self->conn, &storage.path, &info, result, capacity, &taken, write_flags,
                                            stream, (const ngtcp2_vec *)vectors, vector_count, ts);
    }
    if (written > 0 && self->initial.state == INITIAL_ACK_KEPT && !self->guard.is_server) {
        size_t header = dep2p_initial_header(result, (size_t)written);
        if (header > 0) self->initial.header = header;
    }
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
    ngtcp2_ccerr error;
    ngtcp2_ccerr_default(&error);
    if (kind == DEP2P_CLOSE_APPLICATION) {
        ngtcp2_ccerr_set_application_error(&error, code_in(code), reason, reason_length);
    } else if (kind == DEP2P_CLOSE_TRANSPORT) {
        ngtcp2_ccerr_set_transport_error(&error, code, reason, reason_length);
    } else if (self->last_failure == NGTCP2_ERR_CRYPTO) {
        ngtcp2_ccerr_set_tls_alert(&error, ngtcp2_conn_get_tls_alert(self->conn), reason, reason_length);
    } else {
        ngtcp2_ccerr_set_liberr(&error, self->last_failure, reason, reason_length);
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
    ngtcp2_ccerr error = *ngtcp2_conn_get_ccerr(self->conn);
    result->code = error.error_code;
    result->is_application = error.type == NGTCP2_CCERR_TYPE_APPLICATION;
    result->reason_length = error.reasonlen > sizeof result->reason ? sizeof result->reason : error.reasonlen;
    if (error.reason && result->reason_length) memcpy(result->reason, error.reason, result->reason_length);
}

const char *dep2p_quic_failure(dep2p_quic *self, uint8_t *alert) {
    *alert = 0;
    if (self->refusal) return self->refusal;
    *alert = self->last_failure == NGTCP2_ERR_CRYPTO ? ngtcp2_conn_get_tls_alert(self->conn) : 0;
    if (*alert) return gnutls_alert_get_strname((gnutls_alert_description_t)*alert);
    return ngtcp2_strerror(self->last_failure);
}

uint64_t dep2p_quic_expiry(dep2p_quic *self) { return ngtcp2_conn_get_expiry(self->conn); }
int dep2p_quic_handle_expiry(dep2p_quic *self, uint64_t ts) {
    return status_of(self, ngtcp2_conn_handle_expiry(self->conn, ts));
}
int dep2p_quic_in_final_period(dep2p_quic *self) {
    return ngtcp2_conn_in_closing_period(self->conn) || ngtcp2_conn_in_draining_period(self->conn);
}
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

int dep2p_quic_grants_one_stream_of(dep2p_quic *self, uint64_t length) {
    if (!self->guard.is_server || !self->has_send_key) return 0;
    // The key was installed for a peer with parameters alone (dep2p_guard_tx_key).
    const ngtcp2_transport_params *params = ngtcp2_conn_get_remote_transport_params(self->conn);
    return params && params->initial_max_streams_uni == 1 && params->initial_max_stream_data_uni == length;
}

int64_t dep2p_quic_open_unidirectional_stream(dep2p_quic *self) {
    int64_t stream = -1;
    return ngtcp2_conn_open_uni_stream(self->conn, &stream, NULL) == 0 ? stream : -1;
}

void dep2p_quic_reset_stream(dep2p_quic *self, int64_t stream, uint64_t code) {
    ngtcp2_conn_shutdown_stream_write(self->conn, 0, stream, code_in(code));
}

void dep2p_quic_stop_stream(dep2p_quic *self, int64_t stream, uint64_t code) {
    ngtcp2_conn_shutdown_stream_read(self->conn, 0, stream, code_in(code));
}

void dep2p_quic_extend_stream(dep2p_quic *self, int64_t stream, uint64_t bytes) {
    ngtcp2_conn_extend_max_stream_offset(self->conn, stream, bytes);
}

void dep2p_quic_extend_connection(dep2p_quic *self, uint64_t bytes) {
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

int dep2p_quic_update_key(dep2p_quic *self, uint64_t ts) {
    // The library asserts that it is past the handshake, and a client is that only once it has written after it: before
    // the handshake is confirmed keys must not be updated anyway (RFC 9001 6).
    ngtcp2_conn *conn = self->conn;
    if (!self->is_confirmed || ngtcp2_conn_in_closing_period(conn) || ngtcp2_conn_in_draining_period(conn)) {
        return NGTCP2_ERR_INVALID_STATE;
    }
    return ngtcp2_conn_initiate_key_update(conn, ts);
}

void dep2p_quic_info_get(dep2p_quic *self, dep2p_quic_info *info) {
    ngtcp2_conn_info stat;
    ngtcp2_conn_get_conn_info(self->conn, &stat);
    info->smoothed_rtt = stat.smoothed_rtt;
    info->min_rtt = stat.min_rtt;
    info->latest_rtt = stat.latest_rtt;
    info->congestion_window = stat.cwnd;
    info->bytes_in_flight = stat.bytes_in_flight;
}

uint64_t dep2p_quic_data_left(dep2p_quic *self) { return ngtcp2_conn_get_max_data_left(self->conn); }
