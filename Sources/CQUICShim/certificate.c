#include "quic_internal.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/// libp2p TLS specification: the Public Key Extension.
static const char libp2p_oid[] = "1.3.6.1.4.1.53594.1.1";
enum { MAX_CERTIFICATE = 16384, MAX_FIELD = 4096 };
/// Bits of an RSA modulus, and of the public exponent: what a check costs grows with both, and every implementation
/// makes 65537. A key of 16,384 bits with an exponent of as many takes seconds to check one signature.
enum { MIN_RSA = 2048, MAX_RSA = 4096, MAX_RSA_EXPONENT = 32 };

struct dep2p_certificate_key {
    EVP_PKEY *key;
    /// With nothing in it but the public key, for the next certificate.
    X509 *blank;
    /// Ready to sign hashes: looking up algorithms, which walks through tables of names, takes more time than a signature.
    /// All handshakes happen on one thread.
    EVP_PKEY_CTX *signer;
    int is_ed25519;
};

/// As X509_set_pubkey does, whose encoders take six million instructions when they are first asked: a tenth of what it takes
/// to send a message. The key is a point of P-256 (RFC 5480, 2.1 and 2.2).
static int set_point(X509 *certificate, EVP_PKEY *key) {
    enum { POINT = 65 };
    size_t length = 0;
    unsigned char *point = OPENSSL_malloc(POINT);
    if (point && EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, POINT, &length) == 1 &&
        X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(certificate), OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT,
                               OBJ_nid2obj(NID_X9_62_prime256v1), point, (int)length) == 1)
        return 1; // the point is the certificate's now
    OPENSSL_free(point);
    return 0;
}

static X509 *make_blank(const dep2p_certificate_key *self) {
    X509 *blank = X509_new();
    if (blank && (self->is_ed25519 ? X509_set_pubkey(blank, self->key) : set_point(blank, self->key))) return blank;
    X509_free(blank);
    return NULL;
}

dep2p_certificate_key *dep2p_certificate_key_make(void) {
    dep2p_certificate_key *self = calloc(1, sizeof *self);
    if (self && !(self->key = EVP_EC_gen("P-256"))) {
        free(self);
        return NULL;
    }
    return self;
}

dep2p_certificate_key *dep2p_certificate_key_from(const uint8_t *seed) {
    dep2p_certificate_key *self = calloc(1, sizeof *self);
    if (self && !(self->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32))) {
        free(self);
        return NULL;
    }
    if (self) self->is_ed25519 = 1;
    return self;
}

void dep2p_certificate_key_free(dep2p_certificate_key *self) {
    if (!self) return;
    EVP_PKEY_CTX_free(self->signer);
    EVP_PKEY_free(self->key);
    X509_free(self->blank);
    free(self);
}

dep2p_certificate_key *dep2p_certificate_key_share(dep2p_certificate_key *key) {
    dep2p_certificate_key *self = calloc(1, sizeof *self);
    if (self && EVP_PKEY_up_ref(key->key) == 1) {
        self->key = key->key;
        self->is_ed25519 = key->is_ed25519;
        return self;
    }
    free(self);
    return NULL;
}

static int copy_out(uint8_t *der, int length, uint8_t *result, size_t capacity) {
    int fits = length > 0 && (size_t)length <= capacity;
    if (fits) memcpy(result, der, (size_t)length);
    OPENSSL_clear_free(der, length > 0 ? (size_t)length : 0);
    return fits ? length : -1;
}

int dep2p_certificate_key_spki(dep2p_certificate_key *self, uint8_t *result, size_t capacity) {
    uint8_t *der = NULL;
    if (!self->blank && !(self->blank = make_blank(self))) return -1;
    int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(self->blank), &der);
    return copy_out(der, length, result, capacity);
}

int dep2p_certificate_key_private(dep2p_certificate_key *self, uint8_t *result, size_t capacity) {
    uint8_t *der = NULL;
    int length = i2d_PrivateKey(self->key, &der);
    return copy_out(der, length, result, capacity);
}

static int add_extension(X509 *certificate, const uint8_t *value, size_t length) {
    ASN1_OBJECT *object = OBJ_txt2obj(libp2p_oid, 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    int done = object && octets && ASN1_OCTET_STRING_set(octets, value, (int)length) &&
               (extension = X509_EXTENSION_create_by_OBJ(NULL, object, 0, octets)) &&
               X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(object);
    return done;
}

/// Of one length always: DER leaves out leading zeros.
static int set_serial(X509 *certificate, uint64_t random) {
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), (random >> 2) | 1ull << 62);
}

/// Ed25519 hashes by itself (RFC 8410).
static const EVP_MD *digest_for(const dep2p_certificate_key *self) { return self->is_ed25519 ? NULL : EVP_sha256(); }

int dep2p_certificate_key_is_ed25519(const dep2p_certificate_key *self) { return self->is_ed25519; }

int dep2p_certificate_key_sign(dep2p_certificate_key *self, const uint8_t *data, size_t length, uint8_t *result,
                               size_t *result_length) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int done = context && EVP_DigestSignInit(context, NULL, digest_for(self), NULL, self->key) == 1 &&
               EVP_DigestSign(context, result, result_length, data, length) == 1;
    EVP_MD_CTX_free(context);
    return done ? 0 : -1;
}

static EVP_PKEY_CTX *make_signer(const dep2p_certificate_key *self) {
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(self->key, NULL);
    if (context && EVP_PKEY_sign_init(context) == 1 && EVP_PKEY_CTX_set_signature_md(context, digest_for(self)) == 1)
        return context;
    EVP_PKEY_CTX_free(context);
    return NULL;
}

int dep2p_certificate_key_sign_hash(dep2p_certificate_key *self, const uint8_t *hash, size_t length, uint8_t *result,
                                    size_t *result_length) {
    if (!self->signer && !(self->signer = make_signer(self))) return -1;
    return EVP_PKEY_sign(self->signer, result, result_length, hash, length) == 1 ? 0 : -1;
}

int dep2p_certificate_make(dep2p_certificate_key *self, const uint8_t *extension, size_t extension_length,
                           uint64_t serial, int64_t not_before, int64_t not_after, uint8_t *result, size_t capacity) {
    X509 *certificate = self->blank ? self->blank : make_blank(self);
    self->blank = NULL;
    uint8_t *der = NULL;
    int length = -1;
    if (certificate && X509_set_version(certificate, 2) && set_serial(certificate, serial) &&
        ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)not_before) &&
        ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)not_after) &&
        (extension_length == 0 || add_extension(certificate, extension, extension_length)) &&
        X509_sign(certificate, self->key, digest_for(self)))
        length = i2d_X509(certificate, &der);
    X509_free(certificate);
    return der ? copy_out(der, length, result, capacity) : -1;
}

static int seconds_of(const ASN1_TIME *time, int64_t *seconds) {
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
    *seconds = (int64_t)timegm(&parts);
    return 1;
}

static int check_validity(X509 *certificate, int64_t now, int64_t *not_before, int64_t *not_after) {
    if (!seconds_of(X509_get0_notBefore(certificate), not_before)) return DEP2P_CERTIFICATE_MALFORMED;
    if (!seconds_of(X509_get0_notAfter(certificate), not_after)) return DEP2P_CERTIFICATE_MALFORMED;
    if (now < *not_before) return DEP2P_CERTIFICATE_NOT_YET_VALID;
    return now > *not_after ? DEP2P_CERTIFICATE_EXPIRED : DEP2P_CERTIFICATE_OK;
}

/// Finds the libp2p extension; any other critical one is refused, as the specification asks.
static int find_extension(X509 *certificate, uint8_t *result, size_t *result_length) {
    ASN1_OBJECT *wanted = OBJ_txt2obj(libp2p_oid, 1);
    int status = DEP2P_CERTIFICATE_NO_EXTENSION;
    int count = X509_get_ext_count(certificate);
    for (int i = 0; wanted && i < count; i++) {
        X509_EXTENSION *extension = X509_get_ext(certificate, i);
        ASN1_OBJECT *object = X509_EXTENSION_get_object(extension);
        if (OBJ_cmp(object, wanted) == 0) {
            ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(extension);
            int length = ASN1_STRING_length(data);
            if (status == DEP2P_CERTIFICATE_OK) status = DEP2P_CERTIFICATE_DUPLICATE_EXTENSION;
            if (status != DEP2P_CERTIFICATE_NO_EXTENSION) break;
            status = length > 0 && length <= MAX_FIELD ? DEP2P_CERTIFICATE_OK : DEP2P_CERTIFICATE_MALFORMED;
            if (status != DEP2P_CERTIFICATE_OK) break;
            memcpy(result, ASN1_STRING_get0_data(data), (size_t)length);
            *result_length = (size_t)length;
        } else if (X509_EXTENSION_get_critical(extension)) {
            status = DEP2P_CERTIFICATE_UNKNOWN_CRITICAL;
            break;
        }
    }
    ASN1_OBJECT_free(wanted);
    return status;
}

/// The specification wants named curves; of those, what implementations use.
static int curve_fits(const X509_ALGOR *algorithm) {
    int type = 0;
    const void *value = NULL;
    X509_ALGOR_get0(NULL, &type, &value, algorithm);
    if (type != V_ASN1_OBJECT) return 0;
    int curve = OBJ_obj2nid(value);
    return curve == NID_X9_62_prime256v1 || curve == NID_secp384r1;
}

static int rsa_fits(EVP_PKEY *key) {
    BIGNUM *exponent = NULL;
    int bits = key ? EVP_PKEY_get_bits(key) : 0;
    int fits = bits >= MIN_RSA && bits <= MAX_RSA && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1 &&
               BN_num_bits(exponent) <= MAX_RSA_EXPONENT;
    BN_free(exponent);
    return fits;
}

/// Whether the certificate's own key is one that others make and that is cheap to check with: the peer chooses it.
static int key_fits(const X509 *certificate) {
    ASN1_OBJECT *kind = NULL;
    X509_ALGOR *algorithm = NULL;
    if (X509_PUBKEY_get0_param(&kind, NULL, NULL, &algorithm, X509_get_X509_PUBKEY(certificate)) != 1) return 0;
    switch (OBJ_obj2nid(kind)) {
    case NID_ED25519: return 1;
    case NID_X9_62_id_ecPublicKey: return curve_fits(algorithm);
    case NID_rsaEncryption: return rsa_fits(X509_get0_pubkey(certificate));
    default: return 0;
    }
}

/// Where no key is decoded. A certificate's parser looks for a decoder of its key among all that there are, each time anew
/// (OpenSSL 3.0): half of what all checks of a certificate take.
static OSSL_LIB_CTX *without_decoders;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_library(void) {
    without_decoders = OSSL_LIB_CTX_new();
    // With a provider of its own that has nothing, it takes none by itself.
    if (without_decoders && OSSL_PROVIDER_load(without_decoders, "null")) return;
    OSSL_LIB_CTX_free(without_decoders);
    without_decoders = NULL;
}

/// One certificate, and nothing behind it. Without a library the usual one.
static X509 *parse(const uint8_t *der, size_t length, OSSL_LIB_CTX *library) {
    const uint8_t *cursor = der;
    X509 *certificate = X509_new_ex(library, NULL);
    if (certificate && d2i_X509(&certificate, &cursor, (long)length) && cursor == der + length) return certificate;
    X509_free(certificate);
    return NULL;
}

/// The certificate's key where it is an uncompressed point of P-256, which nearly all peers have (RFC 5480, 2.1 and 2.2).
static EVP_PKEY *point_of(const X509 *certificate) {
    enum { UNCOMPRESSED = 4 };
    ASN1_OBJECT *kind = NULL;
    X509_ALGOR *algorithm = NULL;
    const uint8_t *point = NULL;
    int length = 0, type = 0;
    const void *curve = NULL;
    if (X509_PUBKEY_get0_param(&kind, &point, &length, &algorithm, X509_get_X509_PUBKEY(certificate)) != 1 ||
        OBJ_obj2nid(kind) != NID_X9_62_id_ecPublicKey || length != DEP2P_P256_POINT || point[0] != UNCOMPRESSED)
        return NULL;
    X509_ALGOR_get0(NULL, &type, &curve, algorithm);
    return type == V_ASN1_OBJECT && OBJ_obj2nid(curve) == NID_X9_62_prime256v1 ? dep2p_p256_key(point) : NULL;
}

/// The part of a certificate that is signed, as it stands there; nothing where a length is not told.
static const uint8_t *signed_part(const uint8_t *der, size_t length, size_t *count) {
    enum { CONSTRUCTED = V_ASN1_CONSTRUCTED };
    const uint8_t *cursor = der;
    long inner = 0;
    int tag = 0, kind = 0;
    if (ASN1_get_object(&cursor, &inner, &tag, &kind, (long)length) != CONSTRUCTED) return NULL;
    const uint8_t *part = cursor;
    if (ASN1_get_object(&cursor, &inner, &tag, &kind, inner) != CONSTRUCTED) return NULL;
    *count = (size_t)(cursor - part) + (size_t)inner;
    return part;
}

/// As X509_verify, which asks the library that the certificate was parsed with; ECDSA with SHA-256 only.
static int is_signed(const X509 *certificate, const uint8_t *part, size_t count, EVP_PKEY *key) {
    const ASN1_BIT_STRING *signature = NULL;
    const X509_ALGOR *algorithm = NULL;
    X509_get0_signature(&signature, &algorithm, certificate);
    // The low bits count what the last byte leaves unused.
    if (X509_ALGOR_cmp(algorithm, X509_get0_tbs_sigalg(certificate)) != 0 || (signature->flags & 7) != 0) return 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int matches = context && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                  EVP_DigestVerify(context, ASN1_STRING_get0_data(signature), (size_t)ASN1_STRING_length(signature), part,
                                   count) == 1;
    EVP_MD_CTX_free(context);
    return matches;
}

/// Whatever key it has, with OpenSSL's own check.
static int check_any_signature(const uint8_t *der, size_t length) {
    X509 *certificate = parse(der, length, NULL);
    int status = DEP2P_CERTIFICATE_MALFORMED;
    EVP_PKEY *key = NULL;
    if (certificate && !key_fits(certificate)) {
        status = DEP2P_CERTIFICATE_UNFIT_KEY;
    } else if (certificate && (key = X509_get0_pubkey(certificate))) {
        status = X509_verify(certificate, key) == 1 ? DEP2P_CERTIFICATE_OK : DEP2P_CERTIFICATE_BAD_SIGNATURE;
    }
    X509_free(certificate);
    return status;
}

static int check_signature(const X509 *certificate, const uint8_t *der, size_t length) {
    size_t count = 0;
    int is_usual = X509_get_signature_nid(certificate) == NID_ecdsa_with_SHA256;
    const uint8_t *part = is_usual ? signed_part(der, length, &count) : NULL;
    EVP_PKEY *key = part ? point_of(certificate) : NULL;
    if (!key) return check_any_signature(der, length);
    return is_signed(certificate, part, count, key) ? DEP2P_CERTIFICATE_OK : DEP2P_CERTIFICATE_BAD_SIGNATURE;
}

/// The key as it stands in the certificate: encoding it anew would go through OpenSSL's slow encoders (50 us).
static int copy_spki(const X509 *certificate, uint8_t *result, size_t *result_length) {
    uint8_t *der = NULL;
    int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    length = copy_out(der, length, result, MAX_FIELD);
    if (length > 0) *result_length = (size_t)length;
    return length > 0;
}

int dep2p_certificate_inspect(const uint8_t *der, size_t length, int64_t now, uint8_t *spki, size_t *spki_length,
                              uint8_t *extension, size_t *extension_length, int64_t *not_before,
                              int64_t *not_after) {
    if (length > MAX_CERTIFICATE) return DEP2P_CERTIFICATE_TOO_LARGE;
    pthread_once(&once, make_library);
    X509 *certificate = parse(der, length, without_decoders);
    int status = DEP2P_CERTIFICATE_MALFORMED;
    if (!certificate) goto done;
    if ((status = check_validity(certificate, now, not_before, not_after)) != DEP2P_CERTIFICATE_OK) goto done;
    if ((status = find_extension(certificate, extension, extension_length)) != DEP2P_CERTIFICATE_OK) goto done;
    status = check_signature(certificate, der, length);
    if (status == DEP2P_CERTIFICATE_OK && !copy_spki(certificate, spki, spki_length)) status = DEP2P_CERTIFICATE_MALFORMED;
done:
    X509_free(certificate);
    ERR_clear_error();
    return status;
}
