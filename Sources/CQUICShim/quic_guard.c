#include "quic_guard.h"

#include <endian.h>
#include <string.h>

// A walk over the frames of a packet (RFC 9000 12.4, 19). Every rule here stands in UPSTREAM.md.

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} cursor;

/// RFC 9000 16. 0 when the bytes end before the integer does.
static inline int take(cursor *self, uint64_t *value) {
    if (self->at == self->end) return 0;
    size_t length = (size_t)1 << (*self->at >> 6);
    if ((size_t)(self->end - self->at) < length) return 0;
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (length) {
    case 1: *value = *self->at; break;
    case 2: *value = be16toh(*(uint16_t *)memcpy(&two, self->at, sizeof two)) & 0x3fff; break;
    case 4: *value = be32toh(*(uint32_t *)memcpy(&four, self->at, sizeof four)) & 0x3fffffff; break;
    default: *value = be64toh(*(uint64_t *)memcpy(&eight, self->at, sizeof eight)) & 0x3fffffffffffffff;
    }
    self->at += length;
    return 1;
}

static inline int skip(cursor *self, unsigned count) {
    for (; count > 0; count--) {
        if (self->at == self->end) return 0;
        size_t length = (size_t)1 << (*self->at >> 6);
        if ((size_t)(self->end - self->at) < length) return 0;
        self->at += length;
    }
    return 1;
}

static inline int skip_bytes(cursor *self, uint64_t count) {
    if ((uint64_t)(self->end - self->at) < count) return 0;
    self->at += count;
    return 1;
}

/// A length and as many bytes.
static inline int skip_counted(cursor *self) {
    uint64_t length;
    return take(self, &length) && skip_bytes(self, length);
}

enum { INITIAL = 0, HANDSHAKE = 1, APPLICATION = 2 };

enum {
    PADDING = 0x00,
    PING = 0x01,
    ACK = 0x02,
    ACK_ECN = 0x03,
    RESET_STREAM = 0x04,
    STOP_SENDING = 0x05,
    CRYPTO = 0x06,
    NEW_TOKEN = 0x07,
    STREAM = 0x08,
    STREAM_FIN = 0x01,
    STREAM_LENGTH = 0x02,
    STREAM_OFFSET = 0x04,
    MAX_DATA = 0x10,
    MAX_STREAM_DATA = 0x11,
    MAX_STREAMS_BIDI = 0x12,
    MAX_STREAMS_UNI = 0x13,
    DATA_BLOCKED = 0x14,
    STREAM_DATA_BLOCKED = 0x15,
    STREAMS_BLOCKED_BIDI = 0x16,
    STREAMS_BLOCKED_UNI = 0x17,
    NEW_CONNECTION_ID = 0x18,
    RETIRE_CONNECTION_ID = 0x19,
    PATH_CHALLENGE = 0x1a,
    PATH_RESPONSE = 0x1b,
    CONNECTION_CLOSE = 0x1c,
    CONNECTION_CLOSE_APPLICATION = 0x1d,
    HANDSHAKE_DONE = 0x1e,
};

/// One packet under examination.
typedef struct {
    const dep2p_guard *guard;
    cursor left;
    int space;
    uint64_t highest_id;
    uint64_t retired_prior;
    /// One more than the largest packet number that it acknowledges; 0 where it does not.
    uint64_t acknowledged;
    dep2p_guard_result result;
} walk;

static int refuse(walk *self, const char *reason) {
    self->result.reason = reason;
    return 0;
}

static const char malformed[] = "a frame is cut off";

static int bytes(walk *self, int worked) { return worked ? 1 : refuse(self, malformed); }

static int acknowledgement(walk *self, uint8_t type) {
    uint64_t largest, ranges;
    if (!take(&self->left, &largest) || !skip(&self->left, 1) || !take(&self->left, &ranges)) return refuse(self, malformed);
    // At most 2^62: one more is still a number.
    if (largest >= self->acknowledged) self->acknowledged = largest + 1;
    // Two bytes a range at least: a larger count is a lie, and the loop below stays short.
    if (ranges > (uint64_t)(self->left.end - self->left.at) / 2) return refuse(self, malformed);
    return bytes(self, skip(&self->left, 1 + 2 * (unsigned)ranges + (type == ACK_ECN ? 3 : 0)));
}

static int crypto(walk *self) {
    uint64_t offset, length;
    if (!take(&self->left, &offset) || !take(&self->left, &length) || !skip_bytes(&self->left, length))
        return refuse(self, malformed);
    uint64_t limit = self->space == APPLICATION ? DEP2P_GUARD_CRYPTO : DEP2P_GUARD_HANDSHAKE_CRYPTO;
    return offset + length <= limit ? 1 : refuse(self, "more handshake data than any handshake has");
}

static int stream(walk *self, uint8_t type) {
    if (!skip(&self->left, type & STREAM_OFFSET ? 2 : 1)) return refuse(self, malformed);
    if (type & STREAM_LENGTH) return bytes(self, skip_counted(&self->left));
    self->left.at = self->left.end;
    return 1;
}

static int new_connection_id(walk *self) {
    uint64_t sequence, prior;
    if (!take(&self->left, &sequence) || !take(&self->left, &prior) || self->left.at == self->left.end)
        return refuse(self, malformed);
    uint8_t length = *self->left.at++;
    if (length < 1 || length > 20 || prior > sequence) return refuse(self, "a connection ID that is none");
    if (!skip_bytes(&self->left, (uint64_t)length + 16)) return refuse(self, malformed);
    // ngtcp2 up to 1.21 aborts when its first ID is gone before its handshake is over.
    if (prior > 0 && !self->guard->is_server && !self->guard->is_past_handshake)
        return refuse(self, "connection IDs retired during the handshake");
    if (sequence > self->highest_id) self->highest_id = sequence;
    if (prior <= self->retired_prior) return 1;
    if (self->highest_id > DEP2P_GUARD_FREE_IDS) return refuse(self, "too many connection IDs retired");
    self->retired_prior = prior;
    return 1;
}

static int handshake_done(walk *self) {
    if (self->guard->is_server) return refuse(self, "a client ends the handshake");
    // ngtcp2 drops its handshake keys at once, and then dereferences them to send its Finished.
    return self->guard->is_past_handshake ? 1 : refuse(self, "a handshake done before it is");
}

/// What an Initial or Handshake packet may hold (RFC 9000 12.5, table 3).
static int may_come_early(uint8_t type) {
    return type <= ACK_ECN || type == CRYPTO || type == CONNECTION_CLOSE;
}

static int frame(walk *self, uint8_t type) {
    switch (type) {
    case PADDING:
        while (self->left.at != self->left.end && *self->left.at == PADDING) self->left.at++;
        return 1;
    case PING: return 1;
    case ACK:
    case ACK_ECN: return acknowledgement(self, type);
    case RESET_STREAM: return bytes(self, skip(&self->left, 3));
    case STOP_SENDING: return bytes(self, skip(&self->left, 2));
    case CRYPTO: return crypto(self);
    case NEW_TOKEN: return bytes(self, skip_counted(&self->left));
    case MAX_STREAM_DATA:
    case STREAM_DATA_BLOCKED: return bytes(self, skip(&self->left, 2));
    case MAX_DATA:
    case MAX_STREAMS_BIDI:
    case MAX_STREAMS_UNI:
    case DATA_BLOCKED:
    case STREAMS_BLOCKED_BIDI:
    case STREAMS_BLOCKED_UNI:
    case RETIRE_CONNECTION_ID: return bytes(self, skip(&self->left, 1));
    case NEW_CONNECTION_ID: return new_connection_id(self);
    case PATH_CHALLENGE:
    case PATH_RESPONSE: return bytes(self, skip_bytes(&self->left, 8));
    case CONNECTION_CLOSE: return bytes(self, skip(&self->left, 2) && skip_counted(&self->left));
    case CONNECTION_CLOSE_APPLICATION: return bytes(self, skip(&self->left, 1) && skip_counted(&self->left));
    case HANDSHAKE_DONE: return handshake_done(self);
    default: return type < MAX_DATA ? stream(self, type) : refuse(self, "a frame of no known type");
    }
}

/// RFC 9000 9.1, and those that ngtcp2 counts as such.
static int is_probing(uint8_t type) {
    return type == PADDING || type == NEW_CONNECTION_ID || type == PATH_CHALLENGE || type == PATH_RESPONSE ||
           type == CONNECTION_CLOSE || type == CONNECTION_CLOSE_APPLICATION;
}

/// How many frames the packet holds, 0 when one is refused.
static uint64_t frames(walk *self) {
    uint64_t count = 0;
    while (self->left.at != self->left.end) {
        uint8_t type = *self->left.at++;
        count++;
        if (self->space != APPLICATION && !may_come_early(type)) {
            refuse(self, "a frame out of its place");
            return 0;
        }
        if (!frame(self, type)) return 0;
        if (type == PATH_CHALLENGE) self->result.has_challenge = 1;
        if (!is_probing(type)) self->result.is_non_probing = 1;
    }
    if (count == 0) refuse(self, "a packet without frames");
    return count;
}

/// What remains of the allowance of frames after `count` in one packet; -1 when that is too much.
static int64_t frames_left(const dep2p_guard *self, uint64_t count) {
    uint64_t elapsed = self->now > self->frames_at ? self->now - self->frames_at : 0;
    if (elapsed > 1000000000) elapsed = 1000000000;
    uint64_t left = self->frames + elapsed * DEP2P_GUARD_FRAMES_PER_SECOND / 1000000000;
    if (self->frames_at == 0 || left > DEP2P_GUARD_FRAME_BURST) left = DEP2P_GUARD_FRAME_BURST;
    uint64_t cost = count - DEP2P_GUARD_FRAMES_IN_PACKET;
    return cost > left ? -1 : (int64_t)(left - cost);
}

/// RFC 9000 A.3. The header has at least four bytes before its end.
static inline uint64_t packet_number(uint64_t expected, const uint8_t *header, size_t header_length) {
    unsigned length = (header[0] & 3) + 1u;
    uint32_t last;
    memcpy(&last, header + header_length - sizeof last, sizeof last);
    uint64_t truncated = be32toh(last) & (UINT32_MAX >> (32 - 8 * length));
    uint64_t window = UINT64_C(1) << (8 * length);
    uint64_t candidate = (expected & ~(window - 1)) | truncated;
    if (candidate + window / 2 <= expected) return candidate + window;
    if (candidate > expected + window / 2 && candidate >= window) return candidate - window;
    return candidate;
}

/// The packet number space, -1 for a packet that is none of ours: 0-RTT, which dep2p neither offers nor takes.
static int space_of(uint8_t first) {
    if (!(first & 0x80)) return APPLICATION;
    switch (first >> 4 & 3) {
    case 0: return INITIAL;
    case 2: return HANDSHAKE;
    default: return -1;
    }
}

static dep2p_guard_result drop(const char *reason) {
    return (dep2p_guard_result){.verdict = DEP2P_GUARD_DROP, .reason = reason};
}

dep2p_guard_result dep2p_guard_packet(dep2p_guard *self, const uint8_t *header, size_t header_length,
                                      const uint8_t *payload, size_t length) {
    if (header_length < 5) return drop("a header that is none");
    int space = space_of(header[0]);
    if (space < 0) return drop("a packet of a type that is not spoken");
    uint64_t number = packet_number(self->expected[space], header, header_length);
    if (number >= DEP2P_GUARD_PACKET_NUMBERS) return drop("a packet number beyond all use");
    walk walk = {.guard = self,
                 .left = {payload, payload + length},
                 .space = space,
                 .highest_id = self->highest_id,
                 .retired_prior = self->retired_prior};
    uint64_t count = frames(&walk);
    int64_t left = count > DEP2P_GUARD_FRAMES_IN_PACKET ? frames_left(self, count) : 0;
    if (left < 0) refuse(&walk, "more frames than anybody needs");
    if (walk.result.reason) {
        // Initial keys are known to all who see the first packet: such a packet proves nothing about the peer.
        walk.result.verdict = space == INITIAL ? DEP2P_GUARD_DROP : DEP2P_GUARD_REFUSE;
        return walk.result;
    }
    if (count > DEP2P_GUARD_FRAMES_IN_PACKET) {
        self->frames = (uint64_t)left;
        self->frames_at = self->now;
    }
    if (number >= self->expected[space]) self->expected[space] = number + 1;
    self->highest_id = walk.highest_id;
    self->retired_prior = walk.retired_prior;
    if (space == APPLICATION && walk.acknowledged > self->acknowledged) {
        self->acknowledged = walk.acknowledged;
        self->acknowledged_at = self->now;
    }
    return walk.result;
}
