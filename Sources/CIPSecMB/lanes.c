#include "cipsecmb.h"

#if defined(__x86_64__)

#include <intel-ipsec-mb.h>

struct dep2p_hash_lanes {
    IMB_MGR manager;
};

/// By itself the library takes the widest vector unit, and leaves the processor's instructions for SHA-256 aside where that has
/// AVX2. Its code for SSE takes them, for two messages by turns: on a Zen 2 processor it hashes 1,880 MiB of blocks of 16 KiB a
/// second, the eight lanes of AVX2 438, and OpenSSL, which takes the instructions for one message, 1,040.
static bool choose(IMB_MGR *manager) {
    IMB_ARCH arch = IMB_ARCH_NONE;
    bool has_instructions = (manager->features & IMB_FEATURE_SHANI) != 0;
    if (has_instructions && (manager->features & IMB_FEATURE_AVX512_SKX) != IMB_FEATURE_AVX512_SKX)
        init_mb_mgr_sse(manager);
    else
        init_mb_mgr_auto(manager, &arch);
    // Without either the library is slower than OpenSSL.
    return imb_get_errno(manager) == 0 && (has_instructions || arch >= IMB_ARCH_AVX2);
}

dep2p_hash_lanes *dep2p_hash_lanes_create(bool *missing) {
    *missing = false;
    IMB_MGR *manager = alloc_mb_mgr(0);
    if (!manager) return NULL;
    if (!choose(manager)) {
        free_mb_mgr(manager);
        *missing = true;
        return NULL;
    }
    return (dep2p_hash_lanes *)manager;
}

void dep2p_hash_lanes_free(dep2p_hash_lanes *lanes) {
    if (lanes) free_mb_mgr(&lanes->manager);
}

size_t dep2p_hash_lanes_together(const dep2p_hash_lanes *lanes) {
    return lanes->manager.used_arch == IMB_ARCH_SSE ? 2 : 16;
}

enum { DIGEST = 32 };

int dep2p_hash_lanes_sha256(
    dep2p_hash_lanes *lanes, const uint8_t *first, size_t before, const uint8_t *data, size_t count, size_t size,
    uint8_t *digests) {
    IMB_MGR *manager = &lanes->manager;
    size_t all = before + count, done = 0;
    for (size_t index = 0; index < all; index++) {
        IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
        job->cipher_mode = IMB_CIPHER_NULL;
        job->cipher_direction = IMB_DIR_ENCRYPT;
        job->chain_order = IMB_ORDER_HASH_CIPHER;
        job->hash_alg = IMB_AUTH_SHA_256;
        job->src = index < before ? first + index * size : data + (index - before) * size;
        job->hash_start_src_offset_in_bytes = 0;
        job->msg_len_to_hash_in_bytes = size;
        job->auth_tag_output = digests + index * DIGEST;
        job->auth_tag_output_len_in_bytes = DIGEST;
        IMB_JOB *finished = IMB_SUBMIT_JOB(manager);
        if (finished && finished->status == IMB_STATUS_COMPLETED) done++;
    }
    for (IMB_JOB *finished; (finished = IMB_FLUSH_JOB(manager)) != NULL;) {
        if (finished->status == IMB_STATUS_COMPLETED) done++;
    }
    return done == all ? 0 : -1;
}

#else

dep2p_hash_lanes *dep2p_hash_lanes_create(bool *missing) {
    *missing = true;
    return NULL;
}

void dep2p_hash_lanes_free(dep2p_hash_lanes *lanes) { (void)lanes; }

size_t dep2p_hash_lanes_together(const dep2p_hash_lanes *lanes) {
    (void)lanes;
    return 1;
}

int dep2p_hash_lanes_sha256(
    dep2p_hash_lanes *lanes, const uint8_t *first, size_t before, const uint8_t *data, size_t count, size_t size,
    uint8_t *digests) {
    (void)lanes, (void)first, (void)before, (void)data, (void)count, (void)size, (void)digests;
    return -1;
}

#endif
