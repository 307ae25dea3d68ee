#define _GNU_SOURCE
#include "csystem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// Whether the file system says that it cannot do this at all, rather than that it failed.
static bool is_unsupported(int error)
{
    return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP || error == EPERM || error == EMLINK;
}

static bool is_same_file(int directory, const char *from, const char *to)
{
    struct stat a, b;
    return fstatat(directory, from, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
        fstatat(directory, to, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// link(2) fails on an existing name just as atomically. The old name goes if it can: the new one is there either way.
static int link_noreplace(int directory, const char *from, const char *to)
{
    // A share whose answer was lost tries again by itself, and then finds its own new name in the way.
    if (linkat(directory, from, directory, to, 0) != 0 && !(errno == EEXIST && is_same_file(directory, from, to)))
        return errno;
    unlinkat(directory, from, 0);
    return 0;
}

// The name is taken by an empty file of our own, which the rename then replaces: what else could take it meanwhile finds
// the name taken.
static int replace_own_placeholder(int directory, const char *from, const char *to)
{
    int placeholder = openat(directory, to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (placeholder < 0)
        return errno;
    close(placeholder);
    if (renameat(directory, from, directory, to) == 0)
        return 0;
    int error = errno;
    unlinkat(directory, to, 0);
    return error;
}

int dep2p_rename_noreplace(int directory, const char *from, const char *to)
{
    if (renameat2(directory, from, directory, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (!is_unsupported(errno))
        return errno;
    // NFS and older FUSE know no flags; FAT and some shares have no hard links either.
    int error = link_noreplace(directory, from, to);
    return is_unsupported(error) ? replace_own_placeholder(directory, from, to) : error;
}

int dep2p_find_data(int file, uint64_t position, uint64_t *data, uint64_t *end)
{
    off_t start = position > INT64_MAX ? -1 : lseek(file, (off_t)position, SEEK_DATA);
    if (start < 0 && errno != ENXIO)
        return errno;
    off_t stop = start < 0 ? start : lseek(file, start, SEEK_HOLE);
    if (start >= 0 && stop < 0)
        return errno;
    if (start < 0) {
        struct stat status;
        if (fstat(file, &status) != 0)
            return errno;
        start = stop = status.st_size;
    }
    *data = (uint64_t)start;
    *end = (uint64_t)stop;
    return 0;
}
