#ifndef DEP2P_CSYSTEM_H
#define DEP2P_CSYSTEM_H

// System calls that Swift cannot import: variadic ones, and headers outside of its module of the C library.

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Lets no core dump of this process be made, and no other process of the same user read its memory (prctl(2),
/// PR_SET_DUMPABLE). 0, or the errno.
int dep2p_forbid_core_dumps(void);

/// Gives back the resident pages of a range of this process's memory that is mapped from a file and was never written to
/// (madvise(2), MADV_DONTNEED): they are read anew when they are used. 0, or the errno: EINVAL where the range does not
/// begin with a page. What else lies in the range would be lost.
int dep2p_release_file_pages(uintptr_t start, size_t length);

/// Copies the access control list of an open file (acl(5)), as the kernel keeps it, to `result`: its length, 0 when the
/// file has none or its file system knows none, or -errno.
ssize_t dep2p_access_control_list(int descriptor, uint8_t *result, size_t capacity);

// ---- files (files.c) ----

/// renameat2 with RENAME_NOREPLACE within one directory: 0 or the errno.
int dep2p_rename_noreplace(int directory, const char *from, const char *to);

/// The first data of an open file at or behind `position` (lseek(2), SEEK_DATA and SEEK_HOLE): from `data` up to `end`.
/// Both are the file's length when nothing but a hole follows. 0, or the errno: EINVAL where the file system has no word
/// for holes.
int dep2p_find_data(int file, uint64_t position, uint64_t *data, uint64_t *end);

// ---- file systems (filesystems.c) ----

/// Whether a file lies in one of the kernel's own file systems (proc, sysfs and the like), where stat(2) does not know
/// sizes: 1 or 0. `directory` may be AT_FDCWD.
int dep2p_is_kernel_file(int directory, const char *name);

#endif
