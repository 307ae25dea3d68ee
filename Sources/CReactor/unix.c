#define _GNU_SOURCE
#include "creactor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int fill(struct sockaddr_un *address, const char *path) {
    size_t length = strlen(path);
    // An empty name would be a nameless socket, one that fills the field has no end for some readers.
    if (length == 0) return -ENOENT;
    if (length >= sizeof address->sun_path) return -ENAMETOOLONG;
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length);
    return 0;
}

static int open_socket(void) {
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return descriptor < 0 ? -errno : descriptor;
}

static int fail(int descriptor) {
    int error = errno;
    close(descriptor);
    return -error;
}

// Whether a socket lies there that nobody listens at: its process was killed.
static int is_left_behind(const char *path) {
    struct stat status;
    if (lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode)) return 0;
    int descriptor = dep2p_unix_connect(path);
    if (descriptor >= 0) close(descriptor);
    return descriptor == -ECONNREFUSED;
}

int dep2p_unix_listen(const char *path, int backlog) {
    struct sockaddr_un address;
    int status = fill(&address, path);
    if (status != 0) return status;
    int descriptor = open_socket();
    if (descriptor < 0) return descriptor;
    // bind(2) gives the file the socket's mode: there is no moment in which others may connect.
    if (fchmod(descriptor, 0600) != 0) return fail(descriptor);
    int bound = bind(descriptor, (struct sockaddr *)&address, sizeof address);
    if (bound != 0 && errno == EADDRINUSE) {
        if (is_left_behind(path) && unlink(path) == 0)
            bound = bind(descriptor, (struct sockaddr *)&address, sizeof address);
        else
            errno = EADDRINUSE;
    }
    if (bound != 0 || listen(descriptor, backlog) != 0) return fail(descriptor);
    return descriptor;
}

int dep2p_unix_accept(int descriptor) {
    int accepted = accept4(descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return accepted < 0 ? -errno : accepted;
}

int dep2p_unix_connect(const char *path) {
    struct sockaddr_un address;
    int status = fill(&address, path);
    if (status != 0) return status;
    int descriptor = open_socket();
    if (descriptor < 0) return descriptor;
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0) return descriptor;
    return fail(descriptor);
}
