#define _GNU_SOURCE
#include "creactor.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

enum { MAX_MESSAGES = 16 };

static void set(int descriptor, int level, int name, int value) {
    // Each option is an optimisation or a refinement: a kernel without it still works.
    (void)setsockopt(descriptor, level, name, &value, sizeof value);
}

int dep2p_udp_open(const dep2p_address *bind_to, int buffer_bytes, int is_shared) {
    int is_v6 = bind_to->family == 6;
    int descriptor = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    if (is_shared) set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
    if (is_v6) {
        set(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        set(descriptor, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        set(descriptor, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
        set(descriptor, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
        set(descriptor, IPPROTO_IPV6, IPV6_RECVERR, 1);
    } else {
        set(descriptor, IPPROTO_IP, IP_PKTINFO, 1);
        set(descriptor, IPPROTO_IP, IP_RECVTOS, 1);
        set(descriptor, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
        set(descriptor, IPPROTO_IP, IP_RECVERR, 1);
    }
    set(descriptor, IPPROTO_UDP, UDP_GRO, 1);
    // The plain option is capped by net.core.[rw]mem_max; the FORCE one needs CAP_NET_ADMIN.
    set(descriptor, SOL_SOCKET, SO_RCVBUF, buffer_bytes);
    set(descriptor, SOL_SOCKET, SO_SNDBUF, buffer_bytes);
    set(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, buffer_bytes);
    set(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, buffer_bytes);
    struct sockaddr_storage address;
    socklen_t length = dep2p_sockaddr(&address, bind_to);
    if (bind(descriptor, (struct sockaddr *)&address, length) != 0) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
}

static int join_v4(int descriptor, const dep2p_address *group, uint32_t interface) {
    struct ip_mreqn request = {.imr_multiaddr.s_addr = htobe32((uint32_t)group->low), .imr_ifindex = (int)interface};
    // Otherwise it would hear the groups of every socket of this machine.
    set(descriptor, IPPROTO_IP, IP_MULTICAST_ALL, 0);
    set(descriptor, IPPROTO_IP, IP_MULTICAST_TTL, 255);
    if (setsockopt(descriptor, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request) != 0) return -errno;
    if (interface == 0) return 0;
    struct ip_mreqn outgoing = {.imr_ifindex = (int)interface};
    return setsockopt(descriptor, IPPROTO_IP, IP_MULTICAST_IF, &outgoing, sizeof outgoing) == 0 ? 0 : -errno;
}

static int join_v6(int descriptor, const dep2p_address *group, uint32_t interface) {
    uint64_t words[2] = {htobe64(group->high), htobe64(group->low)};
    struct ipv6_mreq request = {.ipv6mr_interface = interface};
    memcpy(&request.ipv6mr_multiaddr, words, sizeof words);
    set(descriptor, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
    set(descriptor, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255);
    if (setsockopt(descriptor, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request) != 0) return -errno;
    int outgoing = (int)interface;
    return setsockopt(descriptor, IPPROTO_IPV6, IPV6_MULTICAST_IF, &outgoing, sizeof outgoing) == 0 ? 0 : -errno;
}

int dep2p_udp_join(int descriptor, const dep2p_address *group, uint32_t interface) {
    return group->family == 6 ? join_v6(descriptor, group, interface) : join_v4(descriptor, group, interface);
}

int dep2p_udp_local_address(int descriptor, dep2p_address *result) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getsockname(descriptor, (struct sockaddr *)&address, &length) != 0) return -errno;
    dep2p_address_from(result, (struct sockaddr *)&address);
    return 0;
}

static void read_control(struct msghdr *message, dep2p_received *received) {
    for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item; item = CMSG_NXTHDR(message, item)) {
        if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(item), sizeof info);
            received->local.low = be32toh(info.ipi_addr.s_addr);
        } else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            uint64_t words[2];
            memcpy(&info, CMSG_DATA(item), sizeof info);
            memcpy(words, &info.ipi6_addr, sizeof words);
            received->local.high = be64toh(words[0]);
            received->local.low = be64toh(words[1]);
        } else if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_TOS) {
            received->ecn = *CMSG_DATA(item) & 3;
        } else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_TCLASS) {
            int value;
            memcpy(&value, CMSG_DATA(item), sizeof value);
            received->ecn = value & 3;
        } else if (item->cmsg_level == IPPROTO_UDP && item->cmsg_type == UDP_GRO) {
            int value;
            memcpy(&value, CMSG_DATA(item), sizeof value);
            if (value > 0) received->segment = (uint32_t)value;
        }
    }
}

int dep2p_udp_receive(int descriptor, uint8_t *buffers, size_t size, dep2p_received *received, int count,
                      uint16_t local_port) {
    struct mmsghdr messages[MAX_MESSAGES];
    struct iovec vectors[MAX_MESSAGES];
    struct sockaddr_storage remotes[MAX_MESSAGES];
    _Alignas(struct cmsghdr) uint8_t control[MAX_MESSAGES][256];
    if (count > MAX_MESSAGES) count = MAX_MESSAGES;
    memset(messages, 0, sizeof messages[0] * (size_t)count);
    for (int i = 0; i < count; i++) {
        vectors[i] = (struct iovec){buffers + (size_t)i * size, size};
        messages[i].msg_hdr.msg_name = &remotes[i];
        messages[i].msg_hdr.msg_namelen = sizeof remotes[i];
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_control = control[i];
        messages[i].msg_hdr.msg_controllen = sizeof control[i];
    }
    int got = recvmmsg(descriptor, messages, (unsigned)count, MSG_DONTWAIT, NULL);
    if (got < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    for (int i = 0; i < got; i++) {
        dep2p_received *item = &received[i];
        memset(item, 0, sizeof *item);
        dep2p_address_from(&item->remote, (struct sockaddr *)&remotes[i]);
        item->local.family = item->remote.family;
        item->local.port = local_port;
        item->length = messages[i].msg_len;
        item->segment = messages[i].msg_len;
        read_control(&messages[i].msg_hdr, item);
    }
    return got;
}

static struct cmsghdr *append(struct msghdr *message, struct cmsghdr *item, int level, int type, const void *value,
                              size_t length) {
    item->cmsg_level = level;
    item->cmsg_type = type;
    item->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(item), value, length);
    message->msg_controllen += CMSG_SPACE(length);
    return (struct cmsghdr *)((uint8_t *)item + CMSG_SPACE(length));
}

int dep2p_udp_send(int descriptor, const dep2p_address *local, const dep2p_address *remote, const uint8_t *data,
                   size_t length, size_t segment, uint8_t ecn) {
    struct sockaddr_storage address;
    struct iovec vector = {(void *)data, length};
    _Alignas(struct cmsghdr) uint8_t control[256];
    memset(control, 0, sizeof control);
    struct msghdr message = {.msg_name = &address, .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control};
    struct cmsghdr *next = (struct cmsghdr *)control;
    message.msg_namelen = dep2p_sockaddr(&address, remote);
    if (segment < length) {
        uint16_t value = (uint16_t)segment;
        next = append(&message, next, IPPROTO_UDP, UDP_SEGMENT, &value, sizeof value);
    }
    int has_source = local->high != 0 || local->low != 0;
    int traffic_class = ecn;
    if (remote->family == 4) {
        if (has_source) {
            struct in_pktinfo info = {.ipi_spec_dst.s_addr = htobe32((uint32_t)local->low)};
            next = append(&message, next, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
        }
        if (ecn) next = append(&message, next, IPPROTO_IP, IP_TOS, &traffic_class, sizeof traffic_class);
    } else {
        if (has_source) {
            struct in6_pktinfo info = {.ipi6_ifindex = remote->scope};
            uint64_t words[2] = {htobe64(local->high), htobe64(local->low)};
            memcpy(&info.ipi6_addr, words, sizeof words);
            next = append(&message, next, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
        }
        if (ecn) next = append(&message, next, IPPROTO_IPV6, IPV6_TCLASS, &traffic_class, sizeof traffic_class);
    }
    (void)next;
    if (message.msg_controllen == 0) message.msg_control = NULL;
    for (int attempt = 0; attempt < 4; attempt++) {
        if (sendmsg(descriptor, &message, MSG_NOSIGNAL) >= 0) return 0;
        // A pending ICMP error is reported by whichever call comes next; it does not concern this datagram.
        if (errno != EINTR && errno != ECONNREFUSED && errno != EHOSTUNREACH) return -errno;
    }
    return -errno;
}

int dep2p_udp_segments(int descriptor) {
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(descriptor, IPPROTO_UDP, UDP_SEGMENT, &value, &length) == 0;
}

int dep2p_udp_take_error(int descriptor, dep2p_address *destination) {
    // Cleared: the kernel does not name every error's destination.
    struct sockaddr_storage address = {0};
    _Alignas(struct cmsghdr) uint8_t control[512];
    uint8_t data[1];
    struct iovec vector = {data, sizeof data};
    struct msghdr message = {.msg_name = &address,
                             .msg_namelen = sizeof address,
                             .msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    if (recvmsg(descriptor, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return 0;
    dep2p_address_from(destination, (struct sockaddr *)&address);
    for (struct cmsghdr *item = CMSG_FIRSTHDR(&message); item; item = CMSG_NXTHDR(&message, item)) {
        if ((item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_RECVERR) ||
            (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_RECVERR)) {
            struct sock_extended_err error;
            memcpy(&error, CMSG_DATA(item), sizeof error);
            return (int)error.ee_errno;
        }
    }
    return EIO;
}
