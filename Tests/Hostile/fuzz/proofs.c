#include "proofs.h"

// What a peer can do to ngtcp2 1.11 without the guard, one function each; Sources/CQUICShim/UPSTREAM.md explains them.

static int is_application(uint8_t first) { return !(first & 0x80); }

/// A frame that fits, and PADDING after it.
static int only(uint8_t *payload, size_t length, const uint8_t *frame, size_t frame_length) {
    if (frame_length > length) return 0;
    memset(payload, 0, length);
    memcpy(payload, frame, frame_length);
    return 1;
}

static size_t new_id(uint8_t *to, uint8_t sequence, uint8_t prior) {
    uint8_t head[] = {0x18, 0x40, sequence, 0x40, prior, 16};
    memcpy(to, head, sizeof head);
    memset(to + sizeof head, 0xa0 + sequence, 16);
    memset(to + sizeof head + 16, 0x30 + sequence, 16);
    return sizeof head + 32;
}

static void together(pair *self, int rounds) {
    for (int i = 0; i < rounds && !self->victim->is_over; i++) {
        self->now += 2000000;
        peer_expire(self->hostile);
        peer_write(self->hostile);
        peer_read(self->victim);
        peer_expire(self->victim);
        peer_write(self->victim);
        peer_read(self->hostile);
    }
}

/// Has the hostile peer write a packet of some length; its rewriting function says what is in it.
static void provoke(pair *self, uint64_t size) {
    peer *one = self->hostile;
    if (!one->streams[0].is_open) {
        one->streams[0].id = dep2p_quic_open_stream(one->quic);
        one->streams[0].is_open = one->streams[0].id >= 0;
    }
    if (one->streams[0].owed < size) one->streams[0].owed = size;
    self->now += 2000000;
    peer_write(one);
}

// ---- the handshake ----

static int done_early(pair *self, uint8_t first, uint8_t *payload, size_t length) {
    (void)self;
    static const uint8_t frame[] = {0x1e};
    return is_application(first) && only(payload, length, frame, sizeof frame);
}

static void proof_done_early(pair *self) {
    self->rewrite = done_early;
    pair_shake(self);
}

static int retired_early(pair *self, uint8_t first, uint8_t *payload, size_t length) {
    (void)self;
    uint8_t frame[64];
    return is_application(first) && only(payload, length, frame, new_id(frame, 1, 1));
}

static void proof_retired_early(pair *self) {
    self->rewrite = retired_early;
    pair_shake(self);
}

static int acknowledge(pair *self, uint8_t first, uint8_t *payload, size_t length) {
    (void)self;
    static const uint8_t frame[] = {0x02, 0x00, 0x00, 0x00, 0x00, 0x11, 0x00, 0x44, 0x00};
    return is_application(first) && only(payload, length, frame, sizeof frame);
}

static void proof_no_parameters(pair *self) {
    self->rewrite = acknowledge;
    pair_shake(self);
    together(self, 20);
}

static int key_update(pair *self, uint8_t first, uint8_t *payload, size_t length) {
    (void)self;
    static const uint8_t frame[] = {0x06, 0x00, 0x05, 0x18, 0x00, 0x00, 0x01, 0x00};
    return is_application(first) && only(payload, length, frame, sizeof frame);
}

static void proof_key_update(pair *self) {
    pair_shake(self);
    self->rewrite = key_update;
    provoke(self, 1000);
    together(self, 4);
}

// ---- connection IDs ----

static int fifty_thirty(pair *self, uint8_t first, uint8_t *payload, size_t length) {
    uint8_t frame[64];
    if (!is_application(first)) return 0;
    return only(payload, length, frame, self->step++ == 0 ? new_id(frame, 50, 50) : new_id(frame, 30, 0));
}

static void proof_fifty_thirty(pair *self) {
    pair_shake(self);
    self->rewrite = fifty_thirty;
    for (int i = 0; i < 4; i++) {
        provoke(self, 1000);
        peer_read(self->victim);
    }
    together(self, 4);
}

/// Sixteen retirements that are never acknowledged; then IDs to look at other paths with.
static int sixteen(pair *self, uint8_t first, uint8_t *payload, size_t length) {
    uint8_t frames[1024];
    size_t used = 0;
    if (!is_application(first)) return 0;
    if (self->step == 0) {
        used += new_id(frames, 40, 40);
        for (uint8_t i = 31; i < 40; i++) used += new_id(frames + used, i, 0);
    } else if (self->step == 1) {
        for (uint8_t i = 41; i < 46; i++) used += new_id(frames + used, i, 40);
    } else {
        static const uint8_t challenge[] = {0x1a, 1, 2, 3, 4, 5, 6, 7, 8};
        memcpy(frames, challenge, used = sizeof challenge);
    }
    return only(payload, length, frames, used);
}

static void from_port(pair *self, uint16_t port) {
    for (size_t i = 0; i < self->victim->queued; i++) self->victim->queue[i].remote.port = port;
}

static void proof_sixteen_then_paths(pair *self) {
    pair_shake(self);
    self->rewrite = sixteen;
    for (self->step = 0; self->step < 12; self->step++) {
        provoke(self, 1000);
        if (self->step > 1) from_port(self, (uint16_t)(6000 + self->step));
        peer_read(self->victim);
    }
}

/// As above, but the limit is reached by moving on, and each move is a non-probing packet from another port.
static int sixteen_moves(pair *self, uint8_t first, uint8_t *payload, size_t length) {
    uint8_t frames[1024] = {0x01};
    size_t used = 1;
    if (!is_application(first)) return 0;
    if (self->step == 0) {
        used += new_id(frames + used, 40, 40);
        for (uint8_t i = 31; i < 40; i++) used += new_id(frames + used, i, 0);
    } else if (self->step == 1) {
        for (uint8_t i = 41; i < 46; i++) used += new_id(frames + used, i, 40);
    } else if (self->step % 2) {
        static const uint8_t challenge[] = {0x1a, 1, 2, 3, 4, 5, 6, 7, 8};
        memcpy(frames, challenge, used = sizeof challenge);
    }
    return only(payload, length, frames, used);
}

static void proof_sixteen_then_moves(pair *self) {
    pair_shake(self);
    self->rewrite = sixteen_moves;
    uint16_t port = 6000;
    for (self->step = 0; self->step < 20; self->step++) {
        provoke(self, 1000);
        // First a challenge from the next path, which binds an ID to it, then a move there.
        if (self->step > 1) from_port(self, port = (uint16_t)(port + self->step % 2));
        peer_read(self->victim);
    }
}

/// The same without asking for a single retirement: one ID, one challenge and one move for each new port.
static int slow_moves(pair *self, uint8_t first, uint8_t *payload, size_t length) {
    uint8_t frames[64] = {0x1a, 1, 2, 3, 4, 5, 6, 7, 8};
    if (!is_application(first)) return 0;
    if (self->step % 2) return only(payload, length, (const uint8_t[]){0x01}, 1);
    // An ID more than it may hold would be refused: the first moves use up those of the handshake.
    size_t used = self->step < 8 ? 9 : 9 + new_id(frames + 9, (uint8_t)(3 + self->step / 2), 0);
    return only(payload, length, frames, used);
}

static void proof_slow_moves(pair *self) {
    pair_shake(self);
    self->rewrite = slow_moves;
    // Small packets, since nothing that the victim answers reaches an ID that it has never really been given.
    for (self->step = 0; self->step < 80 && !self->victim->is_over; self->step++) {
        provoke(self, 100);
        from_port(self, (uint16_t)(6000 + self->step / 2));
        peer_read(self->victim);
        peer_expire(self->victim);
        peer_write(self->victim);
        peer_read(self->hostile);
    }
}

static int ping(pair *self, uint8_t first, uint8_t *payload, size_t length) {
    (void)self;
    static const uint8_t frame[] = {0x01};
    return is_application(first) && only(payload, length, frame, sizeof frame);
}

/// There and back again, to a server whose datagram size is fixed.
static void proof_there_and_back(pair *self) {
    self->settings.fixed_datagram_size = 1;
    self->settings.datagram_size = 1400;
    pair_shake(self);
    together(self, 3);
    self->rewrite = ping;
    for (uint16_t i = 0; i < 4; i++) {
        provoke(self, 1000);
        if (i % 2 == 0) from_port(self, 6000);
        peer_read(self->victim);
    }
}

const proof proofs[] = {
    {"handshake-done-early", 0, 0, proof_done_early,
     "a handshake done before it is"},
    {"ids-retired-early", 0, 0, proof_retired_early,
     "connection IDs retired during the handshake"},
    {"no-parameters-of-a-client", 1, 1, proof_no_parameters,
     "ERR_REQUIRED_TRANSPORT_PARAM"},
    {"no-parameters-of-a-server", 0, 1, proof_no_parameters,
     "ERR_REQUIRED_TRANSPORT_PARAM"},
    {"tls-key-update-to-a-server", 1, 0, proof_key_update,
     "lives on"},
    {"tls-key-update-to-a-client", 0, 0, proof_key_update,
     "lives on"},
    {"fifty-thirty-to-a-server", 1, 0, proof_fifty_thirty,
     "too many connection IDs retired"},
    {"fifty-thirty-to-a-client", 0, 0, proof_fifty_thirty,
     "too many connection IDs retired"},
    {"sixteen-retired-then-paths", 1, 0, proof_sixteen_then_paths,
     "too many connection IDs retired"},
    {"sixteen-retired-then-moves", 1, 0, proof_sixteen_then_moves,
     "too many connection IDs retired"},
    {"sixteen-moves", 1, 0, proof_slow_moves,
     "lives on"},
    {"there-and-back", 1, 0, proof_there_and_back,
     "lives on"},
};
const size_t proof_count = sizeof proofs / sizeof *proofs;
