#include "quic_internal.h"

#include <malloc.h>

// What ngtcp2 takes of the heap for a connection, counted. Its peer has a say in that: a byte here and a byte there of what a
// window allows takes forty times as much to remember where bytes are missing.

static void *taken(dep2p_quic *self, void *block) {
    if (block) self->memory += malloc_usable_size(block);
    return block;
}

static void *take(size_t size, void *user) { return taken(user, malloc(size)); }

static void *take_zeroed(size_t count, size_t size, void *user) { return taken(user, calloc(count, size)); }

static void give_back(void *block, void *user) {
    dep2p_quic *self = user;
    if (block) self->memory -= malloc_usable_size(block);
    free(block);
}

static void *take_anew(void *block, size_t size, void *user) {
    dep2p_quic *self = user;
    size_t before = block ? malloc_usable_size(block) : 0;
    void *moved = realloc(block, size);
    if (!moved) return NULL;
    self->memory -= before;
    return taken(self, moved);
}

void dep2p_memory_begin(dep2p_quic *self) {
    self->allocator = (ngtcp2_mem){
        .user_data = self, .malloc = take, .free = give_back, .calloc = take_zeroed, .realloc = take_anew};
}

size_t dep2p_quic_memory(dep2p_quic *self) { return self->memory; }
