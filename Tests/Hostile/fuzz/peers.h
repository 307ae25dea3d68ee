#ifndef DEP2P_FUZZ_PEERS_H
#define DEP2P_FUZZ_PEERS_H

// Two QUIC endpoints in one process without sockets or clock: the victim behind our door, and a hostile one that shakes
// hands honestly and then has every plaintext rewritten before it is encrypted.

#include "quic_internal.h"

typedef struct pair pair;

/// Rewrites `payload`, `length` bytes of a packet that the hostile peer is about to encrypt; 0 leaves it as it is.
/// `first` is the first byte of its header, without protection.
typedef int (*rewrite)(pair *pair, uint8_t first, uint8_t *payload, size_t length);

enum { QUEUE = 512, LARGEST = 1500, STREAMS = 64 };

typedef struct {
    dep2p_address local, remote;
    size_t length;
    uint8_t bytes[LARGEST];
} datagram;

typedef struct {
    pair *pair;
    dep2p_quic *quic;
    dep2p_address address;
    /// Datagrams for this peer.
    datagram queue[QUEUE];
    size_t queued;
    int is_hostile, is_established, is_over;
    /// What each stream still has to send back.
    struct {
        int64_t id;
        uint64_t owed;
        int is_open;
    } streams[STREAMS];
} peer;

struct pair {
    peer server, client, *victim, *hostile;
    dep2p_credentials *credentials;
    rewrite rewrite;
    uint64_t now, random;
    /// For the rewriting functions: a counter of theirs, and how many datagrams the victim has sent.
    uint64_t step, heard;
    dep2p_quic_settings settings;
    /// The hostile peer sends no transport parameters; the victim is without the guard.
    int hides_parameters, is_unguarded;
    /// The hostile peer hears acknowledgements and nothing else, so that what it has never really sent cannot end it.
    int is_deaf;
    /// Of a thousand datagrams, how many are lost.
    unsigned loss;
};

uint64_t randomness(pair *self);
dep2p_credentials *credentials_make(void);

/// Makes both peers; the victim is guarded by our door unless `unguarded`.
int pair_open(pair *self, int victim_is_server, int unguarded);
void pair_close(pair *self);

/// Lets a peer write all that it wants to, and the other read all of that. Return 0 when the peer's connection is over.
int peer_write(peer *self);
int peer_read(peer *self);
void peer_expire(peer *self);

/// Exchanges until both have shaken hands or one is over.
void pair_shake(pair *self);

#endif
