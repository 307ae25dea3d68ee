#include "quic_internal.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <pthread.h>

/// The key that a thread checks signatures with, made once: describing P-256 takes 14 us, another point 1. A handshake asks for
/// the same twice.
typedef struct {
    EVP_PKEY *key;
    uint8_t point[DEP2P_P256_POINT];
} last_key;

static pthread_key_t last_of_thread;
static pthread_once_t last_once = PTHREAD_ONCE_INIT;
static int has_last;

static void free_last(void *user) {
    last_key *self = user;
    EVP_PKEY_free(self->key);
    free(self);
}

static void make_last(void) { has_last = pthread_key_create(&last_of_thread, free_last) == 0; }

static last_key *get_last(void) {
    pthread_once(&last_once, make_last);
    last_key *self = has_last ? pthread_getspecific(last_of_thread) : NULL;
    if (self || !has_last || !(self = calloc(1, sizeof *self))) return self;
    if (pthread_setspecific(last_of_thread, self) == 0) return self;
    free(self);
    return NULL;
}

static EVP_PKEY *make_curve(void) {
    OSSL_PARAM fields[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char[]){SN_X9_62_prime256v1}, 0),
        OSSL_PARAM_construct_end()};
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
    if (!context || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEY_PARAMETERS, fields) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    return key;
}

EVP_PKEY *dep2p_p256_key(const uint8_t *point) {
    last_key *self = get_last();
    if (!self) return NULL;
    if (self->key && memcmp(self->point, point, sizeof self->point) == 0) return self->key;
    if (!self->key) self->key = make_curve();
    // Who is no point of the curve is refused here.
    if (self->key && EVP_PKEY_set1_encoded_public_key(self->key, point, sizeof self->point) == 1) {
        memcpy(self->point, point, sizeof self->point);
        return self->key;
    }
    EVP_PKEY_free(self->key);
    self->key = NULL;
    return NULL;
}
