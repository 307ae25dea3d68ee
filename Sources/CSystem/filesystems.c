#define _GNU_SOURCE
#include "csystem.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

static int is_kernels(long type)
{
    switch (type) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case EFIVARFS_MAGIC:
    case SELINUX_MAGIC:
    case SMACK_MAGIC:
    case PSTOREFS_MAGIC:
    case BPF_FS_MAGIC:
    case BINFMTFS_MAGIC:
    case NSFS_MAGIC:
    case 0x62656570: // configfs, fusectl, resctrl: not in magic.h everywhere
    case 0x65735543:
    case 0x07655821:
        return 1;
    default:
        return 0;
    }
}

int dep2p_is_kernel_file(int directory, const char *name)
{
    int file = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return 0;
    struct statfs status;
    int result = fstatfs(file, &status) == 0 && is_kernels(status.f_type);
    close(file);
    return result;
}
