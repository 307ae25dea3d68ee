#ifndef DEP2P_CSYSTEM_H
#define DEP2P_CSYSTEM_H

// System calls that Swift cannot import: variadic ones, and headers outside of its module of the C library.

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Lets no core dump of this process be made, and no other process of the same user read its memory (prctl(2),
/// PR_SET_DUMPABLE). 0, or the errno.
int dep2p_forbid_core_dumps(void);

/// Copies the access control list of an open file (acl(5)), as the kernel keeps it, to `result`: its length, 0 when the
/// file has none or its file system knows none, or -errno.
ssize_t dep2p_access_control_list(int descriptor, uint8_t *result, size_t capacity);

#endif
