#include "cipsecmb.h"

#if defined(__x86_64__)

#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { KEY = 16, NONCE = 12, TAG = 16, BLOCK = 16, LINE = 64 };

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
    IMB_MGR *manager = alloc_mb_mgr(0);
    if (!manager) return;
    init_mb_mgr_auto(manager, &arch);
    // Below that it is no faster than others.
    if (imb_get_errno(manager) == 0 && arch >= IMB_ARCH_AVX2 && (manager->features & IMB_FEATURE_AESNI))
        library = manager;
    else
        free_mb_mgr(manager);
}

static void *make(size_t size) {
    pthread_once(&once, choose);
    void *result = library ? aligned_alloc(LINE, (size + LINE - 1) / LINE * LINE) : NULL;
    if (result) memset(result, 0, size);
    return result;
}

static void unmake(void *secret, size_t size) {
    if (secret) explicit_bzero(secret, size);
    free(secret);
}

dep2p_gcm *dep2p_gcm_create(const uint8_t *key) {
    dep2p_gcm *self = make(sizeof *self);
    if (self) IMB_AES128_GCM_PRE(library, key, &self->key);
    return self;
}

void dep2p_gcm_free(dep2p_gcm *self) { unmake(self, sizeof *self); }

void dep2p_gcm_seal(
    const dep2p_gcm *self, uint8_t *result, const uint8_t *plain, size_t length, const uint8_t *nonce, const uint8_t *extra,
    size_t extra_length) {
    struct gcm_context_data state;
    IMB_AES128_GCM_ENC(library, &self->key, &state, result, plain, length, nonce, extra, extra_length, result + length, TAG);
}

int dep2p_gcm_open(
    const dep2p_gcm *self, uint8_t *result, const uint8_t *sealed, size_t length, const uint8_t *nonce, const uint8_t *extra,
    size_t extra_length) {
    struct gcm_context_data state;
    uint8_t tag[TAG], differs = 0;
    if (length < TAG) return -1;
    IMB_AES128_GCM_DEC(library, &self->key, &state, result, sealed, length - TAG, nonce, extra, extra_length, tag, TAG);
    // In a time that does not tell how much of it is right.
    for (int index = 0; index < TAG; index++) differs |= tag[index] ^ sealed[length - TAG + index];
    if (!differs) return 0;
    memset(result, 0, length - TAG);
    return -1;
}

dep2p_block *dep2p_block_create(const uint8_t *key) {
    dep2p_block *self = make(sizeof *self);
    if (self) IMB_AES_KEYEXP_128(library, key, self->rounds, self->unused);
    return self;
}

void dep2p_block_free(dep2p_block *self) { unmake(self, sizeof *self); }

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

void dep2p_gcm_seal(
    const dep2p_gcm *self, uint8_t *result, const uint8_t *plain, size_t length, const uint8_t *nonce, const uint8_t *extra,
    size_t extra_length) {
    (void)self, (void)result, (void)plain, (void)length, (void)nonce, (void)extra, (void)extra_length;
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
