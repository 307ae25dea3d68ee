#include "creactor.h"

#include <endian.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

socklen_t dep2p_sockaddr(struct sockaddr_storage *result, const dep2p_address *from) {
    memset(result, 0, sizeof *result);
    if (from->family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)result;
        in->sin_family = AF_INET;
        in->sin_port = htobe16(from->port);
        in->sin_addr.s_addr = htobe32((uint32_t)from->low);
        return sizeof *in;
    }
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)result;
    uint64_t words[2] = {htobe64(from->high), htobe64(from->low)};
    in->sin6_family = AF_INET6;
    in->sin6_port = htobe16(from->port);
    in->sin6_scope_id = from->scope;
    memcpy(&in->sin6_addr, words, sizeof words);
    return sizeof *in;
}

void dep2p_address_from(dep2p_address *result, const struct sockaddr *from) {
    memset(result, 0, sizeof *result);
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;
        result->family = 4;
        result->port = be16toh(in->sin_port);
        result->low = be32toh(in->sin_addr.s_addr);
        return;
    }
    const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)from;
    uint64_t words[2];
    memcpy(words, &in->sin6_addr, sizeof words);
    result->family = 6;
    result->port = be16toh(in->sin6_port);
    result->scope = in->sin6_scope_id;
    result->high = be64toh(words[0]);
    result->low = be64toh(words[1]);
}

int dep2p_address_is_local(const dep2p_address *address) {
    if (address->family == 4 && (address->low >> 24) == 127) return 1;
    if (address->family == 6 && address->high == 0 && address->low == 1) return 1;
    struct ifaddrs *list = NULL;
    int found = 0;
    if (getifaddrs(&list) != 0) return 0;
    for (struct ifaddrs *item = list; item && !found; item = item->ifa_next) {
        if (!item->ifa_addr || (item->ifa_addr->sa_family != AF_INET && item->ifa_addr->sa_family != AF_INET6))
            continue;
        dep2p_address own;
        dep2p_address_from(&own, item->ifa_addr);
        found = own.family == address->family && own.high == address->high && own.low == address->low;
    }
    freeifaddrs(list);
    return found;
}
