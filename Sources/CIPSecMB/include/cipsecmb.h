#ifndef CIPSECMB_H
#define CIPSECMB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// SHA-256 of many messages at once, in the lanes of the processor's vector unit (Intel's Multi-Buffer Crypto library).
//
// Pointers: the library reads `first` and `data` and writes `digests` until a job is handed back, and every job is before the call
// returns (the flush loop): it holds none in between. HashLanes frees the lanes, or keeps them for the next call.
typedef struct dep2p_hash_lanes dep2p_hash_lanes;

// One thread at a time uses it; free with the next function. NULL when there is none: `missing` then says whether there
// never will be, since the processor has no lanes, or whether there was no memory for it now.
dep2p_hash_lanes *dep2p_hash_lanes_create(bool *missing);
void dep2p_hash_lanes_free(dep2p_hash_lanes *lanes);

// How many messages at a time keep them busy: 2 where they take the processor's instructions for SHA-256 by turns, otherwise 16,
// which fill the lanes of the widest vector unit, or 8 twice.
size_t dep2p_hash_lanes_together(const dep2p_hash_lanes *lanes);

// Writes the 32-byte digests of messages of `size` bytes each: of `before` that follow one another at `first`, and then of
// `count` that follow one another at `data`.
// Returns 0; -1 when a digest could not be computed, and then `digests` holds nothing of use.
int dep2p_hash_lanes_sha256(
    dep2p_hash_lanes *lanes, const uint8_t *first, size_t before, const uint8_t *data, size_t count, size_t size,
    uint8_t *digests);

// AES-128-GCM (NIST SP 800-38D) with nonces of 12 bytes and tags of 16, by the processor's vector unit: 18 GB/s of packets where
// GnuTLS and OpenSSL make 4.
//
// A key is of its own memory, wiped and freed by the next function; calls keep nothing of what they are given, and any thread may
// call. `result` may be `plain`, or `sealed`.
typedef struct dep2p_gcm dep2p_gcm;

// Of a key of 16 bytes. NULL where there is no memory, the processor has no AVX2, or the library is not of the version that this was
// built with.
dep2p_gcm *dep2p_gcm_create(const uint8_t *key);
void dep2p_gcm_free(dep2p_gcm *self);
// Writes `length` bytes and the tag. 0, or -1 and nothing written.
int dep2p_gcm_seal(
    const dep2p_gcm *self, uint8_t *result, const uint8_t *plain, size_t length, const uint8_t *nonce, const uint8_t *extra,
    size_t extra_length);
// `length` with the tag. 0 when it is right; else zeros (nothing where there is not even a tag).
int dep2p_gcm_open(
    const dep2p_gcm *self, uint8_t *result, const uint8_t *sealed, size_t length, const uint8_t *nonce, const uint8_t *extra,
    size_t extra_length);

// AES-128 of one block of 16 bytes (FIPS 197), as above.
typedef struct dep2p_block dep2p_block;

dep2p_block *dep2p_block_create(const uint8_t *key);
void dep2p_block_free(dep2p_block *self);
void dep2p_block_encrypt(const dep2p_block *self, uint8_t *result, const uint8_t *block);

#ifdef __cplusplus
}
#endif

#endif
