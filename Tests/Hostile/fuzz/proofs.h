#ifndef DEP2P_FUZZ_PROOFS_H
#define DEP2P_FUZZ_PROOFS_H

#include "peers.h"

typedef struct {
    const char *name;
    int victim_is_server, hides_parameters;
    void (*run)(pair *self);
    /// What becomes of a guarded victim.
    const char *expected;
} proof;

extern const proof proofs[];
extern const size_t proof_count;

#endif
