#define _GNU_SOURCE
#include "cquicshim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int dep2p_rename_noreplace(int directory, const char *from, const char *to)
{
    if (renameat2(directory, from, directory, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return errno;
    // Some file systems (NFS, older FUSE) know no flags: link(2) fails on an existing name just as atomically.
    if (linkat(directory, from, directory, to, 0) != 0)
        return errno;
    return unlinkat(directory, from, 0) == 0 ? 0 : errno;
}
