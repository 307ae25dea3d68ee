#include "peers.h"

#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdio.h>

uint64_t randomness(pair *self) {
    uint64_t z = (self->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

dep2p_credentials *credentials_make(void) {
    uint8_t private[512], certificate[2048];
    dep2p_certificate_key *key = dep2p_certificate_key_make();
    int private_length = dep2p_certificate_key_private(key, private, sizeof private);
    int length = dep2p_certificate_make(key, NULL, 0, 1, 0, INT64_C(4000000000), certificate, sizeof certificate);
    dep2p_certificate_key_free(key);
    if (length < 0 || private_length < 0) return NULL;
    return dep2p_credentials_make(certificate, (size_t)length, private, (size_t)private_length, "fuzz");
}

// ---- the application: every stream is echoed ----

static void owe(peer *self, int64_t id, uint64_t bytes, int opens) {
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < STREAMS; i++) {
            if (pass == 0 ? !self->streams[i].is_open || self->streams[i].id != id : self->streams[i].is_open) continue;
            if (pass == 1 && !opens) return;
            if (pass == 1) self->streams[i].owed = 0;
            self->streams[i].id = id;
            self->streams[i].is_open = 1;
            self->streams[i].owed += bytes;
            return;
        }
}

static int stream_data(void *user, int64_t stream, int fin, const uint8_t *data, size_t length) {
    (void)data, (void)fin;
    peer *self = user;
    dep2p_quic_extend_stream(self->quic, stream, length);
    dep2p_quic_extend_connection(self->quic, length);
    owe(self, stream, length, 1);
    return 0;
}

static void stream_closed(void *user, int64_t stream, uint64_t code) {
    (void)code;
    peer *self = user;
    for (int i = 0; i < STREAMS; i++)
        if (self->streams[i].is_open && self->streams[i].id == stream) self->streams[i].is_open = 0;
    int is_ours = (stream & 1) == (self == &self->pair->server);
    if (!is_ours) dep2p_quic_release_stream_credit(self->quic, 1);
}

static int new_cid(void *user, dep2p_cid *cid, uint8_t *token) {
    peer *self = user;
    for (int i = 0; i < cid->length; i++) cid->data[i] = (uint8_t)randomness(self->pair);
    for (int i = 0; i < 16; i++) token[i] = (uint8_t)randomness(self->pair);
    return 0;
}

static void stream_acknowledged(void *user, int64_t id, uint64_t end) { (void)user, (void)id, (void)end; }
static int stream_opened(void *user, int64_t id) { return (void)user, (void)id, 0; }
static void stream_reset(void *user, int64_t id, uint64_t code) {
    (void)code;
    dep2p_quic_reset_stream(((peer *)user)->quic, id, 7);
}
static void stream_credit(void *user, int64_t id) { (void)user, (void)id; }
static void nothing(void *user) { (void)user; }
static void completed(void *user) { ((peer *)user)->is_established = 1; }
static void retire_cid(void *user, const dep2p_cid *cid) { (void)user, (void)cid; }
static void validated(void *user, const dep2p_address *l, const dep2p_address *r, int worked) {
    (void)user, (void)l, (void)r, (void)worked;
}
static int verify(void *user, const uint8_t *der, size_t length, unsigned count) {
    return (void)user, (void)der, (void)length, (void)count, 0;
}
static void reset_token(void *user, const uint8_t *token, int active) { (void)user, (void)token, (void)active; }

static const dep2p_quic_callbacks callbacks = {
    .stream_data = stream_data, .stream_acknowledged = stream_acknowledged, .stream_opened = stream_opened,
    .stream_closed = stream_closed, .stream_reset = stream_reset, .stream_credit = stream_credit,
    .streams_credit = nothing, .handshake_completed = completed, .handshake_confirmed = nothing, .new_cid = new_cid,
    .retire_cid = retire_cid, .path_validated = validated, .verify_peer = verify, .stateless_reset = nothing,
    .reset_token = reset_token,
};

// ---- the hostile peer ----

static pair *writing, *listening;

static int hostile_encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                           const uint8_t *plaintext, size_t length, const uint8_t *nonce, size_t nonce_length,
                           const uint8_t *header, size_t header_length) {
    uint8_t copy[65536];
    // Retry's integrity tag is an encryption too, and of nothing.
    if (!writing || !writing->rewrite || length == 0 || length > sizeof copy)
        return dep2p_keys_encrypt(dest, aead, context, plaintext, length, nonce, nonce_length, header, header_length);
    memcpy(copy, plaintext, length);
    writing->rewrite(writing, header[0], copy, length);
    return dep2p_keys_encrypt(dest, aead, context, copy, length, nonce, nonce_length, header, header_length);
}

static size_t varint_length(const uint8_t *at) { return (size_t)1 << (*at >> 6); }

/// Leaves of a plaintext the ACK frame near its beginning, or a PING.
static void only_acknowledgement(uint8_t *payload, size_t length) {
    size_t at = 0, used;
    while (at + 9 < length && (payload[at] == 0x1a || payload[at] == 0x1b)) memset(payload + at, 0, 9), at += 9;
    used = at + 1;
    if (payload[at] == 0x02 && length > at + 8) {
        used += varint_length(payload + used);
        used += varint_length(payload + used);
        size_t ranges = payload[used] & 0x3f;
        for (size_t i = 0; i < 2 + 2 * ranges && used < length; i++) used += varint_length(payload + used);
    } else {
        payload[at] = 0x01;
    }
    if (used < length) memset(payload + used, 0, length - used);
}

static int hostile_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                           const uint8_t *ciphertext, size_t length, const uint8_t *nonce, size_t nonce_length,
                           const uint8_t *header, size_t header_length) {
    int status = dep2p_keys_decrypt(dest, aead, context, ciphertext, length, nonce, nonce_length, header, header_length);
    if (status == 0 && listening && listening->is_deaf && !(header[0] & 0x80) && length > aead->max_overhead + 4)
        only_acknowledgement(dest, length - aead->max_overhead);
    return status;
}

static int quiet_parameters(gnutls_session_t session, gnutls_buffer_t data) { return (void)session, (void)data, 0; }

static int read_parameters(gnutls_session_t session, const uint8_t *data, size_t length) {
    dep2p_quic *self = ((ngtcp2_crypto_conn_ref *)gnutls_session_get_ptr(session))->user_data;
    return ngtcp2_conn_decode_and_set_remote_transport_params(self->conn, data, length) ? -1 : 0;
}

/// As dep2p_session_make does, but with the transport parameters hidden.
static int hidden_session(dep2p_quic *self, dep2p_credentials *credentials, int is_server) {
    unsigned flags = GNUTLS_NO_TICKETS | GNUTLS_NONBLOCK | GNUTLS_FORCE_CLIENT_CERT;
    gnutls_datum_t protocol = {(unsigned char *)credentials->protocol, (unsigned)strlen(credentials->protocol)};
    if (gnutls_init(&self->session, flags | (is_server ? GNUTLS_SERVER : GNUTLS_CLIENT)) != 0) return -1;
    gnutls_priority_set(self->session, credentials->priority);
    gnutls_credentials_set(self->session, GNUTLS_CRD_CERTIFICATE, credentials->certificate);
    gnutls_alpn_set_protocols(self->session, &protocol, 1, 0);
    if (is_server) gnutls_certificate_server_set_request(self->session, GNUTLS_CERT_REQUIRE);
    // The connection behind the reference is found as in the door.
    dep2p_quic pattern = {0};
    if (dep2p_session_make(&pattern, credentials, is_server) != 0) return -1;
    gnutls_deinit(pattern.session);
    self->reference.get_conn = pattern.reference.get_conn;
    self->reference.user_data = self;
    gnutls_session_set_ptr(self->session, &self->reference);
    gnutls_session_ext_register(self->session, "hidden", NGTCP2_TLSEXT_QUIC_TRANSPORT_PARAMETERS_V1, GNUTLS_EXT_TLS,
                                read_parameters, quiet_parameters, NULL, NULL, NULL,
                                GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO | GNUTLS_EXT_FLAG_EE);
    // Sets its functions, and fails at the extension, which is registered already.
    (void)(is_server ? ngtcp2_crypto_gnutls_configure_server_session(self->session)
                     : ngtcp2_crypto_gnutls_configure_client_session(self->session));
    return 0;
}

/// A connection with ngtcp2's own callbacks instead of the guard: the hostile peer, or a victim without it.
static dep2p_quic *bare(peer *owner, const dep2p_initial *initial, int is_hostile) {
    static ngtcp2_callbacks table;
    table = dep2p_callback_table;
    table.decrypt = dep2p_keys_decrypt;
    table.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
    table.recv_rx_key = NULL;
    table.recv_tx_key = NULL;
    if (is_hostile) table.encrypt = hostile_encrypt;
    if (is_hostile) table.decrypt = hostile_decrypt;
    pair *both = owner->pair;
    dep2p_quic *self = calloc(1, sizeof *self);
    self->callbacks = callbacks;
    self->user = owner;
    int hides = is_hostile && both->hides_parameters;
    if ((hides ? hidden_session : dep2p_session_make)(self, both->credentials, initial != NULL) != 0) abort();
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_settings_default(&settings);
    ngtcp2_transport_params_default(&params);
    settings.initial_ts = both->now;
    settings.cc_algo = both->settings.use_bbr ? NGTCP2_CC_ALGO_BBR : NGTCP2_CC_ALGO_CUBIC;
    if (both->settings.fixed_datagram_size && !is_hostile) {
        settings.no_tx_udp_payload_size_shaping = 1;
        settings.no_pmtud = 1;
        settings.max_tx_udp_payload_size = both->settings.datagram_size;
    }
    params.initial_max_data = 1 << 20;
    params.initial_max_stream_data_bidi_local = params.initial_max_stream_data_bidi_remote = 1 << 18;
    params.initial_max_streams_bidi = 32;
    params.active_connection_id_limit = 7;
    path_buffer buffer;
    peer *other = owner == &both->server ? &both->client : &both->server;
    ngtcp2_path *path = path_in(&buffer, &owner->address, &other->address);
    ngtcp2_cid dcid = {.datalen = 16}, scid = {.datalen = 16};
    for (int i = 0; i < 16; i++) dcid.data[i] = (uint8_t)randomness(both), scid.data[i] = (uint8_t)randomness(both);
    int status;
    if (initial) {
        cid_in(&dcid, &initial->scid);
        cid_in(&params.original_dcid, &initial->dcid);
        params.original_dcid_present = 1;
        params.stateless_reset_token_present = 1;
        status = ngtcp2_conn_server_new(&self->conn, &dcid, &scid, path, initial->version, &table, &settings, &params,
                                        NULL, self);
    } else {
        status = ngtcp2_conn_client_new(&self->conn, &dcid, &scid, path, NGTCP2_PROTO_VER_V1, &table, &settings,
                                        &params, NULL, self);
    }
    if (status != 0) abort();
    ngtcp2_conn_set_tls_native_handle(self->conn, self->session);
    return self;
}

// ---- both ----

static dep2p_quic *guarded(peer *owner, const dep2p_initial *initial) {
    pair *both = owner->pair;
    dep2p_cid dcid = {.length = 16}, scid = {.length = 16};
    for (int i = 0; i < 16; i++) dcid.data[i] = (uint8_t)randomness(both), scid.data[i] = (uint8_t)randomness(both);
    static const uint8_t token[16] = {1, 2, 3};
    both->settings.initial_ts = both->now;
    if (initial)
        return dep2p_quic_server(&callbacks, owner, both->credentials, &both->settings, &owner->address,
                                 &both->client.address, initial, &scid, NULL, token);
    return dep2p_quic_client(&callbacks, owner, both->credentials, &both->settings, &owner->address,
                             &both->server.address, &dcid, &scid);
}

static void deliver(peer *to, const datagram *sent) {
    pair *both = to->pair;
    if (to->queued == QUEUE || randomness(both) % 1000 < both->loss) return;
    to->queue[to->queued] = *sent;
    // What one side calls local is remote to the other.
    to->queue[to->queued].local = sent->remote;
    to->queue[to->queued].remote = sent->local;
    // The hostile peer pretends to be elsewhere, but its ngtcp2 is where it was.
    if (to->is_hostile) to->queue[to->queued].local = to->address;
    to->queued++;
}

static ssize_t write_one(peer *self, datagram *result) {
    uint8_t ecn = 0;
    ssize_t taken = -1;
    static uint8_t zeros[4096];
    for (int i = 0; i < STREAMS; i++) {
        if (!self->streams[i].is_open || self->streams[i].owed == 0) continue;
        size_t length = self->streams[i].owed > sizeof zeros ? sizeof zeros : (size_t)self->streams[i].owed;
        dep2p_vec vec = {zeros, length};
        ssize_t written = dep2p_quic_write(self->quic, &result->local, &result->remote, &ecn, result->bytes, LARGEST,
                                           &taken, 0, self->streams[i].id, &vec, 1, self->pair->now);
        if (taken > 0) self->streams[i].owed -= (uint64_t)taken;
        if (written == DEP2P_QUIC_STREAM_GONE) self->streams[i].is_open = 0;
        if (written > 0) return written;
        if (written < 0 && written != DEP2P_QUIC_STREAM_BLOCKED && written != DEP2P_QUIC_STREAM_GONE) return written;
    }
    return dep2p_quic_write(self->quic, &result->local, &result->remote, &ecn, result->bytes, LARGEST, &taken, 0, -1,
                            NULL, 0, self->pair->now);
}

static void close_peer(peer *self) {
    datagram last;
    self->is_over = 1;
    ssize_t length = dep2p_quic_write_close(self->quic, &last.local, &last.remote, last.bytes, LARGEST,
                                            DEP2P_CLOSE_LIBRARY, 0, NULL, 0, self->pair->now);
    (void)length;
}

int peer_write(peer *self) {
    if (!self->quic || self->is_over) return 0;
    writing = self->is_hostile ? self->pair : NULL;
    peer *other = self == &self->pair->server ? &self->pair->client : &self->pair->server;
    for (int i = 0; i < 64 && !self->is_over; i++) {
        datagram one;
        ssize_t length = write_one(self, &one);
        if (length == 0) break;
        if (length < 0) {
            close_peer(self);
            break;
        }
        one.length = (size_t)length;
        self->pair->heard += !self->is_hostile;
        deliver(other, &one);
    }
    if (!self->is_over) dep2p_quic_sent(self->quic, self->pair->now);
    writing = NULL;
    return !self->is_over;
}

static void accept_first(peer *self, const datagram *first) {
    dep2p_initial initial;
    if (dep2p_initial_inspect(first->bytes, first->length, &initial) != DEP2P_ACCEPT_OK) return;
    int is_bare = self->is_hostile || self->pair->is_unguarded;
    self->quic = is_bare ? bare(self, &initial, self->is_hostile) : guarded(self, &initial);
}

int peer_read(peer *self) {
    for (size_t i = 0; i < self->queued && !self->is_over; i++) {
        datagram *one = &self->queue[i];
        if (!self->quic) accept_first(self, one);
        if (!self->quic) continue;
        listening = self->is_hostile ? self->pair : NULL;
        int status = dep2p_quic_read(self->quic, &one->local, &one->remote, 0, one->bytes, one->length,
                                     self->pair->now);
        if (status != DEP2P_QUIC_OK) close_peer(self);
    }
    self->queued = 0;
    return !self->is_over;
}

void peer_expire(peer *self) {
    if (!self->quic || self->is_over || dep2p_quic_expiry(self->quic) > self->pair->now) return;
    if (dep2p_quic_handle_expiry(self->quic, self->pair->now) != DEP2P_QUIC_OK) close_peer(self);
}

int pair_open(pair *self, int victim_is_server, int unguarded) {
    self->server.pair = self->client.pair = self;
    self->server.address = (dep2p_address){.low = 0x0a000001, .port = 4433, .family = 4};
    self->client.address = (dep2p_address){.low = 0x0a000002, .port = 5544, .family = 4};
    self->victim = victim_is_server ? &self->server : &self->client;
    self->hostile = victim_is_server ? &self->client : &self->server;
    self->hostile->is_hostile = 1;
    self->is_unguarded = unguarded;
    self->client.quic = self->client.is_hostile || unguarded ? bare(&self->client, NULL, self->client.is_hostile)
                                                             : guarded(&self->client, NULL);
    return self->client.quic != NULL;
}

void pair_close(pair *self) {
    if (self->client.quic) dep2p_quic_free(self->client.quic);
    if (self->server.quic) dep2p_quic_free(self->server.quic);
}

void pair_shake(pair *self) {
    for (int i = 0; i < 40; i++) {
        self->now += 1000000;
        peer_expire(&self->client);
        peer_write(&self->client);
        self->now += 5000000;
        peer_read(&self->server);
        peer_expire(&self->server);
        peer_write(&self->server);
        self->now += 5000000;
        peer_read(&self->client);
        if (self->client.is_over || self->server.is_over) return;
        if (i > 4 && self->client.is_established && self->server.is_established) return;
    }
}
