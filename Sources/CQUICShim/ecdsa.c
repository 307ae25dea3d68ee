#ifndef _GNU_SOURCE
#define _GNU_SOURCE // RTLD_NEXT
#endif
#include "quic_internal.h"

#include <dlfcn.h>
#include <gmp.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecdsa.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <string.h>

// GnuTLS has Nettle check the peer's signature over the handshake, which takes 2.1 million instructions for P-256: more than
// a third of a handshake. OpenSSL, which this program has anyway, takes a quarter of them. GnuTLS has no door for another
// check, so that this function has the name of Nettle's (nettle_ecdsa_verify, a part of its stable interface): the dynamic
// linker looks into the program before it looks into libraries. Where it finds Nettle's first, in a program that loads this
// code at run time, that is as right and slower.

enum { NUMBER = 32, SHA256 = 32, UNCOMPRESSED = 4 };

static atomic_ulong checks;

unsigned long dep2p_ecdsa_checks(void) { return atomic_load_explicit(&checks, memory_order_relaxed); }

typedef int verifier(const struct ecc_point *, size_t, const uint8_t *, const struct dsa_signature *);

/// Nettle's own, of all other curves and hashes; what can't be checked is not valid.
static int verify_with_nettle(const struct ecc_point *key, size_t length, const uint8_t *digest,
                              const struct dsa_signature *signature) {
    verifier *next = (verifier *)dlsym(RTLD_NEXT, "nettle_ecdsa_verify");
    return next ? next(key, length, digest, signature) : 0;
}

/// Writes 32 bytes, big endian; nothing where the number needs more, or is negative.
static int write_number(const mpz_t number, uint8_t *result) {
    uint8_t bytes[NUMBER];
    size_t count = 0;
    if (mpz_sgn(number) < 0 || mpz_sizeinbase(number, 2) > 8 * NUMBER) return 0;
    // No more than the bits that were counted take.
    mpz_export(bytes, &count, 1, 1, 1, 0, number);
    memset(result, 0, NUMBER - count);
    memcpy(result + NUMBER - count, bytes, count);
    return 1;
}

static int write_point(const struct ecc_point *key, uint8_t *result) {
    mpz_t x, y;
    mpz_init(x);
    mpz_init(y);
    nettle_ecc_point_get(key, x, y);
    result[0] = UNCOMPRESSED;
    int done = write_number(x, result + 1) && write_number(y, result + 1 + NUMBER);
    mpz_clear(x);
    mpz_clear(y);
    return done;
}

static BIGNUM *number_of(const mpz_t number) {
    uint8_t bytes[NUMBER];
    return write_number(number, bytes) ? BN_bin2bn(bytes, sizeof bytes, NULL) : NULL;
}

/// The length of the DER signature (72 at most), or 0.
static int write_signature(const struct dsa_signature *signature, uint8_t *result) {
    ECDSA_SIG *numbers = ECDSA_SIG_new();
    BIGNUM *r = number_of(signature->r), *s = number_of(signature->s);
    int length = 0;
    if (numbers && r && s && ECDSA_SIG_set0(numbers, r, s) == 1) {
        r = s = NULL; // the signature's now
        length = i2d_ECDSA_SIG(numbers, &result);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(numbers);
    return length > 0 ? length : 0;
}

int nettle_ecdsa_verify(const struct ecc_point *key, size_t length, const uint8_t *digest,
                        const struct dsa_signature *signature) {
    if (key->ecc != nettle_get_secp_256r1() || length != SHA256) return verify_with_nettle(key, length, digest, signature);
    atomic_fetch_add_explicit(&checks, 1, memory_order_relaxed);
    // Others' errors stay: an application may use GnuTLS, and OpenSSL, for its own purposes.
    ERR_set_mark();
    uint8_t point[DEP2P_P256_POINT], der[2 * (NUMBER + 3) + 2];
    int der_length = write_signature(signature, der);
    EVP_PKEY *public = der_length && write_point(key, point) ? dep2p_p256_key(point) : NULL;
    EVP_PKEY_CTX *context = public ? EVP_PKEY_CTX_new(public, NULL) : NULL;
    int matches = context && EVP_PKEY_verify_init(context) == 1 &&
                  EVP_PKEY_verify(context, der, (size_t)der_length, digest, length) == 1;
    EVP_PKEY_CTX_free(context);
    ERR_pop_to_mark();
    return matches;
}
