#include "creactor.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

// The most messages looked at in one turn; what is left is told of again.
enum { MESSAGES = 64, BUFFER = 16384 };

int dep2p_routes_open(void) {
    int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (descriptor < 0) return -errno;
    struct sockaddr_nl address = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
    };
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
}

int dep2p_routes_changed(int descriptor) {
    int changed = 0;
    for (int turn = 0; turn < MESSAGES; turn++) {
        // Netlink messages are aligned to 4 bytes.
        _Alignas(struct nlmsghdr) char buffer[BUFFER];
        struct sockaddr_nl sender;
        socklen_t size = sizeof sender;
        ssize_t received = recvfrom(descriptor, buffer, sizeof buffer, 0, (struct sockaddr *)&sender, &size);
        if (received < 0 && errno == EINTR) continue;
        // ENOBUFS: more happened than the socket holds.
        if (received < 0) return changed || errno == ENOBUFS;
        // Any process may send to a netlink socket; only the kernel has this number.
        if (size != sizeof sender || sender.nl_pid != 0) continue;
        size_t left = (size_t)received;
        for (struct nlmsghdr *message = (struct nlmsghdr *)buffer; NLMSG_OK(message, left);
             message = NLMSG_NEXT(message, left)) {
            switch (message->nlmsg_type) {
            case RTM_NEWLINK:
            case RTM_DELLINK:
            case RTM_NEWADDR:
            case RTM_DELADDR:
            case RTM_NEWROUTE:
            case RTM_DELROUTE: changed = 1; break;
            default: break;
            }
        }
    }
    return changed;
}
