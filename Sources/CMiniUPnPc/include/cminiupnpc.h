#ifndef DEP2P_CMINIUPNPC_H
#define DEP2P_CMINIUPNPC_H

// The door to miniupnpc: an Internet gateway found by SSDP, and port mappings on it. Every call blocks.

// Pointers: the gateway owns its strings and what the three functions below return, until
// dep2p_upnp_free. UPnPGateway frees it with its last reference, which every blocking call in another thread holds too;
// strings are copied. miniupnpc keeps nothing of what it is given.

// Descriptors: each call has a table of its own (upnp.c), so that it is of no account how many the process has open.

/// A gateway that said it is connected.
typedef struct dep2p_upnp_gateway dep2p_upnp_gateway;

/// Waits up to `delay_ms` for gateways on the local network, and asks the first that is connected for its external
/// address. NULL when there is none. Free it with dep2p_upnp_free.
dep2p_upnp_gateway *dep2p_upnp_discover(int delay_ms);
void dep2p_upnp_free(dep2p_upnp_gateway *gateway);

/// Where the gateway is commanded, an http URL; this machine's address as the gateway's local network knows it; and the
/// gateway's external one. Never NULL.
const char *dep2p_upnp_control_url(const dep2p_upnp_gateway *gateway);
const char *dep2p_upnp_local_address(const dep2p_upnp_gateway *gateway);
const char *dep2p_upnp_external_address(const dep2p_upnp_gateway *gateway);

/// Maps UDP `external_port` (any free one if it is taken and the gateway can choose) to `internal_port` here.
/// Returns the external port; 0 or less is UPnP's error code, negated, or miniupnpc's own.
int dep2p_upnp_add(const dep2p_upnp_gateway *gateway, int external_port, int internal_port, int lifetime_seconds,
                   const char *description);
/// 0, or an error as above.
int dep2p_upnp_remove(const dep2p_upnp_gateway *gateway, int external_port);

#endif
