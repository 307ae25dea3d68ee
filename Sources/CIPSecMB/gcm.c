#include "cipsecmb.h"

#if defined(__x86_64__)

#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// What a key takes is told by the header, and differs between versions of one soname (1,008 bytes in 1.3, 1,264 in 1.4): a library
// that is not of the header's version is not used. ROOM is more than any needs.
enum { TAG = 16, BLOCK = 16, LINE = 64, ROOM = 2048 };

static bool is_of_header(void) { return imb_get_version() >> 8 == IMB_VERSION_NUM >> 8; }

struct dep2p_gcm {
    struct gcm_key_data key;
};

struct dep2p_block {
    uint32_t rounds[4 * 15], unused[4 * 15];
};

/// Where the functions are that suit this processor. Those used here keep nothing in it, so that all threads share it; it lives as
/// long as the process.
static IMB_MGR *library;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose(void) {
    IMB_ARCH arch = IMB_ARCH_NONE;
    IMB_MGR *manager = is_of_header() ? alloc_mb_mgr(0) : NULL;
    if (!manager) return;
    init_mb_mgr_auto(manager, &arch);
    // Below that it is no faster than others.
    if (arch >= IMB_ARCH_AVX2 && (manager->features & IMB_FEATURE_AESNI))
        library = manager;
    else
        free_mb_mgr(manager);
}

static void *make(void) {
    pthread_once(&once, choose);
    void *result = library ? aligned_alloc(LINE, ROOM) : NULL;
    if (result) memset(result, 0, ROOM);
    return result;
}

static void unmake(void *secret) {
    if (secret) explicit_bzero(secret, ROOM);
    free(secret);
}

_Static_assert(sizeof(struct dep2p_gcm) <= ROOM && sizeof(struct dep2p_block) <= ROOM, "a key has room");

dep2p_gcm *dep2p_gcm_create(const uint8_t *key) {
    dep2p_gcm *self = make();
    if (self) IMB_AES128_GCM_PRE(library, key, &self->key);
    return self;
}

void dep2p_gcm_free(dep2p_gcm *self) { unmake(self); }

int dep2p_gcm_seal(
    const dep2p_gcm *self, uint8_t *result, const uint8_t *plain, size_t length, const uint8_t *nonce, const uint8_t *extra,
    size_t extra_length) {
    struct gcm_context_data state;
    // The library would leave what it is given as it is, and say nothing.
    if (!result || !plain || !nonce || (!extra && extra_length > 0)) return -1;
    IMB_AES128_GCM_ENC(library, &self->key, &state, result, plain, length, nonce, extra, extra_length, result + length, TAG);
    explicit_bzero(&state, sizeof state);
    return 0;
}

int dep2p_gcm_open(
    const dep2p_gcm *self, uint8_t *result, const uint8_t *sealed, size_t length, const uint8_t *nonce, const uint8_t *extra,
    size_t extra_length) {
    struct gcm_context_data state;
    uint8_t tag[TAG], differs = 0;
    if (length < TAG || !result || !sealed || !nonce || (!extra && extra_length > 0)) return -1;
    // Wrong in every bit, should it not be written.
    for (int index = 0; index < TAG; index++) tag[index] = (uint8_t)~sealed[length - TAG + index];
    IMB_AES128_GCM_DEC(library, &self->key, &state, result, sealed, length - TAG, nonce, extra, extra_length, tag, TAG);
    explicit_bzero(&state, sizeof state);
    // In a time that does not tell how much of it is right.
    for (int index = 0; index < TAG; index++) differs |= tag[index] ^ sealed[length - TAG + index];
    if (!differs) return 0;
    memset(result, 0, length - TAG);
    return -1;
}

dep2p_block *dep2p_block_create(const uint8_t *key) {
    dep2p_block *self = make();
    if (self) IMB_AES_KEYEXP_128(library, key, self->rounds, self->unused);
    return self;
}

void dep2p_block_free(dep2p_block *self) { unmake(self); }

void dep2p_block_encrypt(const dep2p_block *self, uint8_t *result, const uint8_t *block) {
    static const uint8_t zeros[BLOCK];
    // CFB adds the block that it has encrypted to what it is given.
    IMB_AES128_CFB_ONE(library, result, zeros, block, self->rounds, BLOCK);
}

#else

dep2p_gcm *dep2p_gcm_create(const uint8_t *key) {
    (void)key;
    return NULL;
}

void dep2p_gcm_free(dep2p_gcm *self) { (void)self; }

int dep2p_gcm_seal(
    const dep2p_gcm *self, uint8_t *result, const uint8_t *plain, size_t length, const uint8_t *nonce, const uint8_t *extra,
    size_t extra_length) {
    (void)self, (void)result, (void)plain, (void)length, (void)nonce, (void)extra, (void)extra_length;
    return -1;
}

int dep2p_gcm_open(
    const dep2p_gcm *self, uint8_t *result, const uint8_t *sealed, size_t length, const uint8_t *nonce, const uint8_t *extra,
    size_t extra_length) {
    (void)self, (void)result, (void)sealed, (void)length, (void)nonce, (void)extra, (void)extra_length;
    return -1;
}

dep2p_block *dep2p_block_create(const uint8_t *key) {
    (void)key;
    return NULL;
}

void dep2p_block_free(dep2p_block *self) { (void)self; }

void dep2p_block_encrypt(const dep2p_block *self, uint8_t *result, const uint8_t *block) {
    (void)self, (void)result, (void)block;
}

#endif
