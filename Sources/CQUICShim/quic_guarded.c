#include "quic_internal.h"

// Where the guard stands: between ngtcp2 and what the peer sent. Each function is one of ngtcp2's callbacks, or goes
// around a call into it. The reasons are in UPSTREAM.md.

/// The connection whose datagram this thread has given to ngtcp2: the decrypt callback is not told.
static _Thread_local dep2p_quic *reading;

static int address_equal(const dep2p_address *a, const dep2p_address *b) {
    return a->low == b->low && a->port == b->port && a->high == b->high && a->family == b->family &&
           a->scope == b->scope;
}

/// Whether the path `local`, `remote` is another than the connection's current one.
static int is_foreign(dep2p_quic *self, const dep2p_address *local, const dep2p_address *remote) {
    dep2p_address current_local, current_remote;
    dep2p_quic_path(self, &current_local, &current_remote);
    return !address_equal(local, &current_local) || !address_equal(remote, &current_remote);
}

/// At least as long as ngtcp2 may be at validating a path (RFC 9000 8.2.4), old and new, from now.
static uint64_t validation_time(dep2p_quic *self) {
    return 12 * (ngtcp2_conn_get_pto(self->conn) + 3 * self->path.initial_rtt);
}

static void be_quiet(dep2p_quic *self) {
    uint64_t until = self->guard.now + validation_time(self);
    if (until > self->path.quiet_until) self->path.quiet_until = until;
}

dep2p_quic *dep2p_guard_enter(dep2p_quic *self, const dep2p_address *local, const dep2p_address *remote, uint64_t ts) {
    dep2p_quic *outer = reading;
    reading = self;
    self->guard.now = ts;
    if (self->guard.is_server) {
        // Almost every datagram comes on the path of the one before it.
        int is_same = address_equal(remote, &self->path.remote) && address_equal(local, &self->path.local);
        if (!is_same || self->path.is_foreign) {
            self->path.local = *local;
            self->path.remote = *remote;
            self->path.is_foreign = is_foreign(self, local, remote);
        }
        // A probe timeout that grows meanwhile makes the validation longer.
        if (self->guard.highest_id > DEP2P_GUARD_FREE_IDS && ts < self->path.quiet_until) be_quiet(self);
    }
    return outer;
}

void dep2p_guard_leave(dep2p_quic *self, dep2p_quic *outer) {
    reading = outer;
    if (!self->path.has_moved) return;
    self->path.has_moved = 0;
    if (!is_foreign(self, &self->path.local, &self->path.remote)) self->path.is_validating = 1;
}

void dep2p_guard_validated(dep2p_quic *self, int has_come_back) {
    self->path.is_validating = 0;
    // The current path may be another from now on: the next datagram's is compared with it.
    self->path.is_foreign = 1;
    // Back on the path that it was leaving, ngtcp2 validates none.
    if (has_come_back) self->path.has_moved = 0;
    // Next ngtcp2 validates the path that was left.
    be_quiet(self);
}

/// A server that has many retired IDs of its peer unacknowledged must not look at a third path while it validates
/// another: ngtcp2 would have to retire one more, and aborts. 0 when the packet must not reach it.
static int path_allows(dep2p_quic *self, const dep2p_guard_result *packet) {
    if (!self->path.is_foreign || !(packet->is_non_probing || packet->has_challenge)) return 1;
    int is_busy = self->path.is_validating || self->guard.now < self->path.quiet_until;
    if (is_busy && self->guard.highest_id > DEP2P_GUARD_FREE_IDS) return 0;
    be_quiet(self);
    if (packet->is_non_probing) self->path.has_moved = 1;
    return 1;
}

/// A packet of the application's that was decrypted. What somebody repeats has a number that was there (RFC 9000 A.3).
static void note_number(dep2p_quic *self, const uint8_t *header, size_t length) {
    size_t bytes = (header[0] & 3u) + 1;
    if ((header[0] & 0x80) || length < bytes) return;
    uint64_t number = 0;
    for (size_t i = length - bytes; i < length; i++) number = number << 8 | header[i];
    uint64_t expected = self->fresh.next, window = 1ull << (8 * bytes);
    number |= expected & ~(window - 1);
    if (number + window / 2 <= expected && number < (1ull << 62) - window) {
        number += window;
    } else if (number > expected + window / 2 && number >= window) {
        number -= window;
    }
    if (number < expected) return;
    self->fresh.next = number + 1;
    self->fresh.at = self->guard.now;
}

uint64_t dep2p_quic_heard(dep2p_quic *self) { return self->fresh.at; }

uint64_t dep2p_quic_acknowledged(dep2p_quic *self) { return self->guard.acknowledged_at; }

int dep2p_guard_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                        const uint8_t *ciphertext, size_t length, const uint8_t *nonce, size_t nonce_length,
                        const uint8_t *header, size_t header_length) {
    int status = dep2p_keys_decrypt(dest, aead, context, ciphertext, length, nonce, nonce_length, header, header_length);
    if (status != 0) return status;
    dep2p_quic *self = reading;
    if (!self || length < aead->max_overhead) return NGTCP2_ERR_DECRYPT;
    length -= aead->max_overhead;
    note_number(self, header, header_length);
    if (dep2p_guard_is_plain(header[0], dest, length) && !self->path.is_foreign) return 0;
    dep2p_guard_result packet = dep2p_guard_packet(&self->guard, header, header_length, dest, length);
    switch (packet.verdict) {
    case DEP2P_GUARD_ACCEPT: return path_allows(self, &packet) ? 0 : NGTCP2_ERR_DECRYPT;
    case DEP2P_GUARD_DROP: return NGTCP2_ERR_DECRYPT;
    default: self->refusal = packet.reason; return NGTCP2_ERR_CALLBACK_FAILURE;
    }
}

int dep2p_guard_crypto_data(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint64_t offset, const uint8_t *data, size_t length,
                            void *user) {
    dep2p_quic *self = user;
    // Once the handshake is over no TLS message has any use: tickets are not resumed, and GnuTLS answers a KeyUpdate,
    // which RFC 9001 6 forbids, with keys that ngtcp2 has no place for.
    if (level == NGTCP2_ENCRYPTION_LEVEL_1RTT || self->is_tls_over) return 0;
    // A client that acknowledges this has no need to acknowledge the Initial before it.
    if (level == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE && !self->guard.is_server &&
        self->initial.state == INITIAL_ACK_KEPT) {
        self->initial.state = INITIAL_ACK_DUE;
    }
    int status = ngtcp2_crypto_recv_crypto_data_cb(conn, level, offset, data, length, user);
    self->is_tls_over = gnutls_handshake_get_last_in(self->session) == GNUTLS_HANDSHAKE_FINISHED;
    return status;
}

/// RFC 9001 8.2: a peer without transport parameters is refused. ngtcp2 with GnuTLS does so too late.
static int key(ngtcp2_conn *conn) {
    if (ngtcp2_conn_get_remote_transport_params(conn)) return 0;
    ngtcp2_conn_set_tls_error(conn, NGTCP2_ERR_REQUIRED_TRANSPORT_PARAM);
    return NGTCP2_ERR_CALLBACK_FAILURE;
}

int dep2p_guard_rx_key(ngtcp2_conn *conn, ngtcp2_encryption_level level, void *user) {
    (void)user;
    return level == NGTCP2_ENCRYPTION_LEVEL_1RTT ? key(conn) : 0;
}

int dep2p_guard_tx_key(ngtcp2_conn *conn, ngtcp2_encryption_level level, void *user) {
    dep2p_quic *self = user;
    int status = level == NGTCP2_ENCRYPTION_LEVEL_1RTT || self->guard.is_server ? key(conn) : 0;
    if (status == 0 && level == NGTCP2_ENCRYPTION_LEVEL_1RTT) self->has_send_key = 1;
    return status;
}
