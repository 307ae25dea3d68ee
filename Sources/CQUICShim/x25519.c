#include "quic_internal.h"

#include <nettle/curve25519.h>
#include <sodium.h>
#include <stdatomic.h>

// The shared secret of a handshake, by libsodium, which takes two thirds of the time that Nettle does (29 us beside 45). GnuTLS
// comes here as it comes to ecdsa.c. Both are RFC 7748's function of the same bytes: the secret is clamped, the highest bit of
// the point is not looked at. Making a key is Nettle's, which is faster at it.

static atomic_ulong agreements;

unsigned long dep2p_x25519_agreements(void) { return atomic_load_explicit(&agreements, memory_order_relaxed); }

void dep2p_x25519(uint8_t *result, const uint8_t *secret, const uint8_t *point) {
    uint8_t product[crypto_scalarmult_curve25519_BYTES];
    // A point of small order has no product. All zeros are what Nettle says of it, and what GnuTLS refuses.
    if (crypto_scalarmult_curve25519(product, secret, point) != 0) sodium_memzero(product, sizeof product);
    memcpy(result, product, sizeof product);
    sodium_memzero(product, sizeof product);
}

void nettle_curve25519_mul(uint8_t *result, const uint8_t *secret, const uint8_t *point) {
    atomic_fetch_add_explicit(&agreements, 1, memory_order_relaxed);
    dep2p_x25519(result, secret, point);
}
