#ifndef DEP2P_ADDRESS_H
#define DEP2P_ADDRESS_H

#include "cquicshim.h"

#include <sys/socket.h>

/// Fills a sockaddr of the address's family and returns its length.
socklen_t dep2p_sockaddr(struct sockaddr_storage *result, const dep2p_address *from);
void dep2p_address_from(dep2p_address *result, const struct sockaddr *from);

#endif
