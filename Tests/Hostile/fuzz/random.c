#include "proofs.h"

// Frames at random, most of them well formed and about things that exist, in any order, while the victim opens, resets,
// stops, updates its keys, moves, and time passes in jumps.

static uint64_t below(pair *self, uint64_t limit) { return randomness(self) % limit; }

typedef struct {
    uint8_t *at, *end;
} writer;

static void put(writer *to, uint8_t value) {
    if (to->at < to->end) *to->at++ = value;
}

static void put_integer(pair *self, writer *to, uint64_t value) {
    unsigned shortest = value < 64 ? 0 : value < 16384 ? 1 : value < (1u << 30) ? 2 : 3;
    unsigned size = below(self, 8) ? shortest : shortest + (unsigned)below(self, 4 - shortest);
    for (unsigned i = 1u << size; i-- > 0;) {
        uint8_t octet = (uint8_t)(value >> (8 * i));
        put(to, i + 1 == 1u << size ? (uint8_t)(octet | size << 6) : octet);
    }
}

static uint64_t any(pair *self) {
    static const uint64_t edges[] = {0, 1, 63, 64, 16383, 16384, (1u << 30) - 1, 1u << 30, (UINT64_C(1) << 60),
                                     (UINT64_C(1) << 60) + 1, (UINT64_C(1) << 62) - 1, (UINT64_C(1) << 62) - 2};
    switch (below(self, 40)) {
    case 0: return edges[below(self, sizeof edges / sizeof *edges)];
    case 1: return randomness(self) >> 2;
    case 2: return below(self, 1 << 20);
    case 3:
    case 4: return below(self, 4096);
    default: return below(self, 48);
    }
}

static void put_any(pair *self, writer *to) { put_integer(self, to, any(self)); }

static uint64_t stream_id(pair *self) {
    if (!below(self, 400)) return any(self);
    // Streams of the peer's own, or of the victim's that may be open.
    uint64_t own = self->hostile == &self->server;
    return below(self, 12) ? below(self, 24) * 4 + own : below(self, 3) * 4 + (below(self, 20) ? !own : below(self, 4));
}

static void put_bytes(pair *self, writer *to, uint64_t count) {
    for (uint64_t i = 0; i < count && to->at < to->end; i++) put(to, (uint8_t)randomness(self));
}

static void put_counted(pair *self, writer *to, uint64_t limit) {
    uint64_t left = (uint64_t)(to->end - to->at), count = below(self, limit);
    if (left > 9 && count > left - 9 && below(self, 30)) count = left - 9;
    put_integer(self, to, count);
    put_bytes(self, to, count);
}

static void put_acknowledgement(pair *self, writer *to, int has_ecn) {
    // Mostly of packets that were sent: any other ends the connection.
    uint64_t sent = self->heard > 3 ? self->heard - 3 : 1, ranges = below(self, 4);
    uint64_t largest = below(self, 60) ? sent - 1 - below(self, sent < 6 ? sent : 6) : any(self);
    put_integer(self, to, largest);
    put_any(self, to);
    put_integer(self, to, ranges);
    put_integer(self, to, below(self, largest / (ranges + 1) + 1));
    for (uint64_t i = 0; i < ranges; i++) put_integer(self, to, below(self, 3)), put_integer(self, to, below(self, 3));
    for (int i = 0; i < 3 && has_ecn; i++) put_integer(self, to, below(self, 40));
}

static void put_new_id(pair *self, writer *to) {
    uint64_t sequence = below(self, 200) ? 1 + self->step / 16 % 24 + below(self, 3) : any(self);
    put_integer(self, to, sequence);
    put_integer(self, to, below(self, 8) ? 0 : below(self, sequence + 1));
    uint8_t length = below(self, 40) ? 16 : (uint8_t)randomness(self);
    put(to, length);
    for (int i = 0; i < length % 21; i++) put(to, (uint8_t)(sequence + (below(self, 50) ? 0 : i)));
    for (int i = 0; i < 16; i++) put(to, (uint8_t)(sequence * 7));
}

static void put_frame(pair *self, writer *to) {
    static const uint8_t types[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0a, 0x0b, 0x0c,
                                    0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
                                    0x18, 0x18, 0x19, 0x19, 0x1a, 0x1a, 0x1b, 0x0a, 0x0e, 0x0f, 0x04, 0x05};
    uint8_t type = types[below(self, sizeof types)];
    if (!below(self, 1500)) type = (uint8_t)(0x1c + below(self, 3));
    if (!below(self, 300)) type = 0x07;
    if (!below(self, 4000)) type = (uint8_t)randomness(self);
    put(to, type);
    switch (type) {
    case 0x02:
    case 0x03: put_acknowledgement(self, to, type & 1); break;
    case 0x04:
        put_integer(self, to, stream_id(self)), put_any(self, to);
        put_integer(self, to, below(self, 40) ? 3000 + below(self, 400) : any(self));
        break;
    case 0x05: put_integer(self, to, stream_id(self)), put_any(self, to); break;
    case 0x06: put_integer(self, to, below(self, 100) ? below(self, 2000) : any(self)), put_counted(self, to, 300); break;
    case 0x07: put_counted(self, to, 60); break;
    case 0x11: put_integer(self, to, stream_id(self)), put_any(self, to); break;
    case 0x15: put_integer(self, to, stream_id(self)), put_integer(self, to, below(self, 3000)); break;
    case 0x10:
    case 0x12:
    case 0x13: put_any(self, to); break;
    case 0x14:
    case 0x16: put_integer(self, to, below(self, 100) ? below(self, 30) : any(self)); break;
    case 0x17: put_integer(self, to, below(self, 100) ? 0 : any(self)); break;
    case 0x18: put_new_id(self, to); break;
    case 0x19: put_integer(self, to, below(self, 200) ? below(self, 5) : any(self)); break;
    case 0x1a:
    case 0x1b: put_bytes(self, to, 8); break;
    case 0x1c: put_any(self, to), put_any(self, to), put_counted(self, to, 40); break;
    case 0x1d: put_any(self, to), put_counted(self, to, 40); break;
    default:
        if (type < 0x08 || type > 0x0f) break;
        put_integer(self, to, stream_id(self));
        if (type & 4) put_integer(self, to, below(self, 200) ? below(self, 3000) : any(self));
        if (type & 2) put_counted(self, to, 400);
    }
}

static int at_random(pair *self, uint8_t first, uint8_t *payload, size_t length) {
    self->step++;
    // Handshakes mostly come through: what follows them is the larger part.
    if (first & 0x80 ? below(self, 60) : below(self, 5) == 0) return 0;
    if (!below(self, 24)) {
        payload[below(self, length)] ^= (uint8_t)(1u << below(self, 8));
        return 1;
    }
    writer to = {payload, payload + length};
    memset(payload, 0, length);
    for (uint64_t i = 1 + below(self, 12); i > 0 && to.at < to.end; i--) put_frame(self, &to);
    return 1;
}

static void act(pair *self) {
    peer *one = self->victim;
    int64_t id = (int64_t)below(self, 12) * 4 + (int64_t)below(self, 2);
    switch (below(self, 10)) {
    case 0:
        id = dep2p_quic_open_stream(one->quic);
        for (int i = 0; i < STREAMS && id >= 0; i++) {
            if (one->streams[i].is_open) continue;
            one->streams[i].id = id, one->streams[i].owed = below(self, 20000), one->streams[i].is_open = 1;
            break;
        }
        break;
    case 1: dep2p_quic_reset_stream(one->quic, id, any(self)); break;
    case 2: dep2p_quic_stop_stream(one->quic, id, any(self)); break;
    case 3: dep2p_quic_update_key(one->quic, self->now); break;
    case 4:
        if (one == &self->server) break;
        dep2p_address elsewhere = one->address;
        elsewhere.port = (uint16_t)(7000 + below(self, 4));
        (below(self, 2) ? dep2p_quic_migrate : dep2p_quic_migrate_now)(one->quic, &elsewhere, &self->server.address,
                                                                       self->now);
        break;
    default: break;
    }
}

static void jostle(pair *self) {
    peer *one = self->victim;
    for (size_t i = 0; i < one->queued; i++) {
        datagram *sent = &one->queue[i];
        if (one == &self->server && !below(self, 6)) sent->remote.port = (uint16_t)(6000 + below(self, 6));
        if (one == &self->client && !below(self, 20)) sent->local.port = (uint16_t)(7000 + below(self, 4));
        if (!below(self, 200)) sent->bytes[below(self, sent->length)] ^= (uint8_t)randomness(self);
        size_t other = below(self, one->queued);
        if (below(self, 8)) continue;
        datagram kept = *sent;
        *sent = one->queue[other];
        one->queue[other] = kept;
    }
}

void fuzz_random(pair *self) {
    self->rewrite = below(self, 4) ? at_random : NULL;
    pair_shake(self);
    self->rewrite = at_random;
    self->is_deaf = (int)below(self, 3) > 0;
    for (int i = 0; i < 300 && !self->victim->is_over && self->victim->quic && self->hostile->quic; i++) {
        self->now += below(self, 12) ? below(self, 20000000) : below(self, 3000000000);
        int64_t id = self->hostile->is_over ? -1 : dep2p_quic_open_stream(self->hostile->quic);
        peer *from = self->hostile;
        for (int j = 0; j < STREAMS; j++) {
            if (!from->streams[j].is_open && id >= 0)
                from->streams[j].id = id, from->streams[j].is_open = 1, from->streams[j].owed = 0, id = -1;
            if (from->streams[j].is_open && !below(self, 3)) from->streams[j].owed += below(self, 900);
        }
        peer_expire(from);
        peer_write(from);
        jostle(self);
        peer_read(self->victim);
        if (!self->victim->is_over && self->victim->is_established) act(self);
        peer_expire(self->victim);
        peer_write(self->victim);
        peer_read(from);
        if (from->is_over) return;
    }
}
