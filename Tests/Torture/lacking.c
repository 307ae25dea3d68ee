// Preloaded into dep2p: below the folder LACKS_BELOW, a file system that lacks what LACKS names, separated by spaces. Each
// call fails as file systems are known to fail it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int is_named(const char *what)
{
    size_t length = strlen(what);
    for (const char *word = getenv("LACKS"); word && *word; word = strchr(word, ' ') ? strchr(word, ' ') + 1 : NULL)
        if (strncmp(word, what, length) == 0 && (word[length] == ' ' || word[length] == 0))
            return 1;
    return 0;
}

static int lacks(int descriptor, const char *what)
{
    char name[64], path[4096];
    const char *below = getenv("LACKS_BELOW");
    if (descriptor < 0 || !below || !is_named(what))
        return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(name, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    return strncmp(path, below, strlen(below)) == 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL(error) do { errno = (error); return -1; } while (0)

// CIFS before Linux 4.17: EINVAL for a folder.
int fsync(int descriptor)
{
    struct stat status;
    if (lacks(descriptor, "fsync"))
        FAIL(EINVAL);
    if (lacks(descriptor, "folder-fsync") && fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode))
        FAIL(EINVAL);
    return REAL(fsync)(descriptor);
}

// NFS without its lock service; old FUSE.
int flock(int descriptor, int operation)
{
    if (lacks(descriptor, "flock"))
        FAIL(ENOLCK);
    if (lacks(descriptor, "flock-enosys"))
        FAIL(ENOSYS);
    return REAL(flock)(descriptor, operation);
}

// FAT and NTFS take no colon.
static int is_refused(int folder, const char *name)
{
    return strchr(name, ':') && lacks(folder, "colons");
}

// NFS, FUSE before 2.9 of its library.
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    if (is_refused(to_folder, to))
        FAIL(EINVAL);
    if (lacks(from_folder, "renameat2") && flags)
        FAIL(EINVAL);
    if (lacks(from_folder, "renameat2-enosys") && flags)
        FAIL(ENOSYS);
    int result = REAL(renameat2)(from_folder, from, to_folder, to, flags);
    // A share that did it and lost the answer.
    if (lacks(from_folder, "rename-answer") && result == 0)
        FAIL(EIO);
    return result;
}

// FAT, exFAT, many shares.
int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    if (is_refused(to_folder, to))
        FAIL(EINVAL);
    if (lacks(from_folder, "link") || lacks(to_folder, "link"))
        FAIL(EPERM);
    // A kernel before 6.10, for whoever is not root: only through /proc.
    if ((flags & AT_EMPTY_PATH) && lacks(to_folder, "link-empty"))
        FAIL(ENOENT);
    return REAL(linkat)(from_folder, from, to_folder, to, flags);
}

// NFS removes a name that is open by renaming it, some shares not at all.
int unlinkat(int folder, const char *name, int flags)
{
    if (lacks(folder, "unlink"))
        FAIL(EBUSY);
    return REAL(unlinkat)(folder, name, flags);
}

int fchmod(int descriptor, mode_t mode)
{
    if (lacks(descriptor, "modes"))
        FAIL(EPERM);
    return REAL(fchmod)(descriptor, mode);
}

int futimens(int descriptor, const struct timespec times[2])
{
    if (lacks(descriptor, "times"))
        FAIL(EPERM);
    return REAL(futimens)(descriptor, times);
}

int fstatvfs(int descriptor, struct statvfs *status)
{
    if (lacks(descriptor, "statvfs"))
        FAIL(ENOSYS);
    return REAL(fstatvfs)(descriptor, status);
}

// A disk whose mount options name the owner of everything.
static void disown(struct stat *status)
{
    if (S_ISREG(status->st_mode))
        status->st_uid += 12345;
}

int fstat(int descriptor, struct stat *status)
{
    int result = REAL(fstat)(descriptor, status);
    if (result == 0 && lacks(descriptor, "owner"))
        disown(status);
    return result;
}

int openat(int folder, const char *name, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(list, mode_t) : 0;
    va_end(list);
    // NFS, FUSE, FAT.
    if ((flags & O_TMPFILE) == O_TMPFILE && lacks(folder, "tmpfile"))
        FAIL(EOPNOTSUPP);
    if (is_refused(folder, name))
        FAIL(flags & O_CREAT ? EINVAL : ENOENT);
    return REAL(openat)(folder, name, flags, mode);
}

int mkdirat(int folder, const char *name, mode_t mode)
{
    if (is_refused(folder, name))
        FAIL(EINVAL);
    return REAL(mkdirat)(folder, name, mode);
}
