#include "creactor.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int dep2p_route_source(const dep2p_address *destination, dep2p_address *result) {
    struct sockaddr_storage address;
    socklen_t length = dep2p_sockaddr(&address, destination);
    int descriptor = socket(destination->family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    // Connecting a UDP socket sends nothing: the kernel only looks up the route.
    int status = connect(descriptor, (struct sockaddr *)&address, length) == 0 ? 0 : -errno;
    if (status == 0) status = dep2p_udp_local_address(descriptor, result);
    close(descriptor);
    return status;
}
