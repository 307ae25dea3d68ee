#define _GNU_SOURCE
#include "creactor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/// Bytes that the kernel holds unsent before the socket stops being writable: a longer queue is delay alone.
enum { UNSENT_LOW_WATER = 16 * 1024 };
/// Milliseconds that sent data may stay unacknowledged before the connection counts as dead (RFC 5482).
enum { USER_TIMEOUT = 15000 };

static void set(int descriptor, int level, int name, int value) {
    // Each option is a refinement: a kernel without it still works.
    (void)setsockopt(descriptor, level, name, &value, sizeof value);
}

static void tune(int descriptor) {
    set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    set(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_LOW_WATER);
    set(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT);
}

static int open_socket(const dep2p_address *address) {
    int is_v6 = address->family == 6;
    int descriptor = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    if (is_v6) set(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    return descriptor;
}

static int fail(int descriptor) {
    int error = errno;
    close(descriptor);
    return -error;
}

int dep2p_tcp_listen(const dep2p_address *bind_to, int backlog) {
    int descriptor = open_socket(bind_to);
    if (descriptor < 0) return descriptor;
    struct sockaddr_storage address;
    socklen_t length = dep2p_sockaddr(&address, bind_to);
    // A relay that restarts takes its port over from its own closed connections.
    set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(descriptor, (struct sockaddr *)&address, length) != 0 || listen(descriptor, backlog) != 0)
        return fail(descriptor);
    return descriptor;
}

int dep2p_tcp_accept(int descriptor, dep2p_address *remote) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    int accepted = accept4(descriptor, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0) return -errno;
    dep2p_address_from(remote, (struct sockaddr *)&address);
    tune(accepted);
    return accepted;
}

int dep2p_tcp_connect(const dep2p_address *remote, int largest_segment) {
    int descriptor = open_socket(remote);
    if (descriptor < 0) return descriptor;
    tune(descriptor);
    // Before the SYN, which tells it to the other side: what comes back is no larger either.
    if (largest_segment > 0) set(descriptor, IPPROTO_TCP, TCP_MAXSEG, largest_segment);
    struct sockaddr_storage address;
    socklen_t length = dep2p_sockaddr(&address, remote);
    if (connect(descriptor, (struct sockaddr *)&address, length) == 0 || errno == EINPROGRESS) return descriptor;
    return fail(descriptor);
}

int dep2p_tcp_connect_error(int descriptor) {
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

void dep2p_tcp_close(int descriptor) {
    uint8_t scrap[4096];
    // Closing over unread bytes would reset the connection, and what was written last would be lost with it.
    shutdown(descriptor, SHUT_WR);
    for (int i = 0; i < 64 && recv(descriptor, scrap, sizeof scrap, MSG_DONTWAIT) > 0; i++) {
    }
    close(descriptor);
}
