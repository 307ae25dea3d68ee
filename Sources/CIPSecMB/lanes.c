#include "cipsecmb.h"

#if defined(__x86_64__)

#include <intel-ipsec-mb.h>

struct dep2p_hash_lanes {
    IMB_MGR manager;
};

dep2p_hash_lanes *dep2p_hash_lanes_create(bool *missing) {
    *missing = false;
    IMB_MGR *manager = alloc_mb_mgr(0);
    if (!manager) return NULL;
    IMB_ARCH arch = IMB_ARCH_NONE;
    init_mb_mgr_auto(manager, &arch);
    // Without vector code of its own the library is slower than OpenSSL.
    if (imb_get_errno(manager) != 0 || arch < IMB_ARCH_AVX2) {
        free_mb_mgr(manager);
        *missing = true;
        return NULL;
    }
    return (dep2p_hash_lanes *)manager;
}

void dep2p_hash_lanes_free(dep2p_hash_lanes *lanes) {
    if (lanes) free_mb_mgr(&lanes->manager);
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

int dep2p_hash_lanes_sha256(
    dep2p_hash_lanes *lanes, const uint8_t *first, size_t before, const uint8_t *data, size_t count, size_t size,
    uint8_t *digests) {
    (void)lanes, (void)first, (void)before, (void)data, (void)count, (void)size, (void)digests;
    return -1;
}

#endif
