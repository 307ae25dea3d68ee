#include "csystem.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/xattr.h>

int dep2p_forbid_core_dumps(void) {
    // The limit is what a person or a service manager can look up; a kernel that pipes cores to a program ignores it.
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : errno;
}

int dep2p_release_file_pages(uintptr_t start, size_t length) {
    return madvise((void *)start, length, MADV_DONTNEED) == 0 ? 0 : errno;
}

ssize_t dep2p_access_control_list(int descriptor, uint8_t *result, size_t capacity) {
    ssize_t length = fgetxattr(descriptor, "system.posix_acl_access", result, capacity);
    if (length >= 0) return length;
    return errno == ENODATA || errno == ENOTSUP ? 0 : -errno;
}
