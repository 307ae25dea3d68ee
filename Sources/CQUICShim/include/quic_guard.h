#ifndef DEP2P_QUIC_GUARD_H
#define DEP2P_QUIC_GUARD_H

// The look at each decrypted packet before ngtcp2 parses it (quic_guard.c). What it stops, and why, is in UPSTREAM.md.

#include <stddef.h>
#include <stdint.h>

enum {
    DEP2P_GUARD_ACCEPT = 0,
    /// As if it had never arrived: for packets that somebody on the path can forge, or that come too early.
    DEP2P_GUARD_DROP = 1,
    /// The peer breaks the protocol: the connection fails.
    DEP2P_GUARD_REFUSE = 2,
};

enum {
    /// Sequence numbers of the peer's connection IDs up to which it may have any of them retired. ngtcp2 remembers 16
    /// unacknowledged retirements, 0 to 15; one more and a server that sees another path aborts.
    DEP2P_GUARD_FREE_IDS = 15,
    /// CRYPTO bytes in each space; ngtcp2's own limits from 1.23.
    DEP2P_GUARD_HANDSHAKE_CRYPTO = 64 * 1024,
    DEP2P_GUARD_CRYPTO = 256 * 1024,
    /// Frames of a packet that cost nothing, and how many more there may be in a second and at once: a packet of 1,200
    /// bytes holds 1,200 PINGs, each of which costs as much as a full STREAM frame.
    DEP2P_GUARD_FRAMES_IN_PACKET = 8,
    DEP2P_GUARD_FRAMES_PER_SECOND = 1000000,
    DEP2P_GUARD_FRAME_BURST = 1000000,
};

/// Far below where ngtcp2's reconstruction of packet numbers aborts, and 2^29 packets away from any honest peer.
#define DEP2P_GUARD_PACKET_NUMBERS (UINT64_C(1) << 60)

/// What is remembered of one connection. Zero it, and set the first three.
typedef struct {
    int is_server;
    /// The client has sent its Finished: ngtcp2's handshake states are behind it.
    int is_past_handshake;
    /// Nanoseconds of any monotone clock, before each packet.
    uint64_t now;
    /// One more than the largest packet number seen: Initial, Handshake, 1-RTT.
    uint64_t expected[3];
    uint64_t highest_id;
    uint64_t retired_prior;
    uint64_t frames;
    uint64_t frames_at;
    /// One more than the largest 1-RTT packet number that the peer has acknowledged, and when it did; zero before the first.
    uint64_t acknowledged;
    uint64_t acknowledged_at;
} dep2p_guard;

typedef struct {
    int verdict;
    /// Static text when the verdict is not to accept.
    const char *reason;
    /// RFC 9000 9.1: the packet holds a frame that makes a server follow it to another path.
    int is_non_probing;
    int has_challenge;
} dep2p_guard_result;

/// Whether a packet is 1-RTT and one STREAM frame, what most of a transfer's are: no rule is about those, and to see it
/// is cheap. Numbers of four bytes are looked at all the same: shorter ones rise by 2^23 at most, and 2^60 is far.
static inline int dep2p_guard_is_plain(uint8_t first, const uint8_t *payload, size_t length) {
    if ((first & 0x83) > 2 || length < 20 || (payload[0] & 0xf8) != 0x08) return 0;
    // Two integers of eight bytes end before the twentieth byte.
    size_t at = 1 + ((size_t)1 << (payload[1] >> 6));
    if (payload[0] & 0x04) at += (size_t)1 << (payload[at] >> 6);
    if (!(payload[0] & 0x02)) return 1;
    if (payload[at] >> 6 != 1) return 0;
    return at + 2 + ((size_t)(payload[at] & 0x3f) << 8 | payload[at + 1]) == length;
}

/// Looks at one packet of QUIC version 1: its header as it is authenticated (without protection), its plaintext.
///
/// Reads nothing beyond the two lengths, writes nothing but `guard`, and changes that only when it accepts.
dep2p_guard_result dep2p_guard_packet(dep2p_guard *guard, const uint8_t *header, size_t header_length,
                                      const uint8_t *payload, size_t length);

#endif
