#include "cminiupnpc.h"

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dep2p_upnp_gateway {
    struct UPNPUrls urls;
    struct IGDdatas data;
    char local[64];
    char external[64];
};

enum { TTL = 2, PORT_TEXT = 8 };

dep2p_upnp_gateway *dep2p_upnp_discover(int delay_ms) {
    int error = 0;
    // All at once: upnpDiscover asks for one after the other, and waits for each.
    static const char *const types[] = {"urn:schemas-upnp-org:device:InternetGatewayDevice:2",
                                        "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
                                        "urn:schemas-upnp-org:service:WANIPConnection:1",
                                        "urn:schemas-upnp-org:service:WANPPPConnection:1", NULL};
    struct UPNPDev *devices =
        upnpDiscoverDevices(types, delay_ms, NULL, NULL, UPNP_LOCAL_PORT_ANY, 0, TTL, &error, 1);
    if (!devices) return NULL;
    dep2p_upnp_gateway *gateway = calloc(1, sizeof *gateway);
    if (!gateway) {
        freeUPNPDevlist(devices);
        return NULL;
    }
#if MINIUPNPC_API_VERSION >= 18
    // From 18 on, 2 is a connected gateway with a private external address (behind another NAT): still useful.
    int found = UPNP_GetValidIGD(devices, &gateway->urls, &gateway->data, gateway->local, sizeof gateway->local,
                                 gateway->external, sizeof gateway->external);
    int usable = found == 1 || found == 2;
#else
    int found = UPNP_GetValidIGD(devices, &gateway->urls, &gateway->data, gateway->local, sizeof gateway->local);
    int usable = found == 1;
#endif
    freeUPNPDevlist(devices);
    if (usable) {
        char external[64] = "";
        if (UPNP_GetExternalIPAddress(gateway->urls.controlURL, gateway->data.first.servicetype, external) == 0) {
            snprintf(gateway->external, sizeof gateway->external, "%s", external);
        }
        return gateway;
    }
    if (found > 0) FreeUPNPUrls(&gateway->urls);
    free(gateway);
    return NULL;
}

void dep2p_upnp_free(dep2p_upnp_gateway *gateway) {
    if (!gateway) return;
    FreeUPNPUrls(&gateway->urls);
    free(gateway);
}

const char *dep2p_upnp_local_address(const dep2p_upnp_gateway *gateway) { return gateway->local; }

const char *dep2p_upnp_external_address(const dep2p_upnp_gateway *gateway) { return gateway->external; }

int dep2p_upnp_add(const dep2p_upnp_gateway *gateway, int external_port, int internal_port, int lifetime_seconds,
                   const char *description) {
    char external[PORT_TEXT], internal[PORT_TEXT], lifetime[16], reserved[16] = "";
    snprintf(external, sizeof external, "%d", external_port & 0xffff);
    snprintf(internal, sizeof internal, "%d", internal_port & 0xffff);
    snprintf(lifetime, sizeof lifetime, "%d", lifetime_seconds);
    const char *url = gateway->urls.controlURL;
    const char *service = gateway->data.first.servicetype;
    // AddAnyPortMapping is IGD v2's; it alone lets the gateway choose another port.
    int status = UPNP_AddAnyPortMapping(url, service, external, internal, gateway->local, description, "UDP", NULL,
                                        lifetime, reserved);
    if (status == UPNPCOMMAND_SUCCESS) return atoi(reserved);
    status = UPNP_AddPortMapping(url, service, external, internal, gateway->local, description, "UDP", NULL, lifetime);
    // 725: only permanent leases (IGD v1). Removed on exit like the others.
    if (status == 725) {
        status = UPNP_AddPortMapping(url, service, external, internal, gateway->local, description, "UDP", NULL, "0");
    }
    if (status == UPNPCOMMAND_SUCCESS) return external_port;
    return status > 0 ? -status : status;
}

int dep2p_upnp_remove(const dep2p_upnp_gateway *gateway, int external_port) {
    char external[PORT_TEXT];
    snprintf(external, sizeof external, "%d", external_port & 0xffff);
    int status =
        UPNP_DeletePortMapping(gateway->urls.controlURL, gateway->data.first.servicetype, external, "UDP", NULL);
    return status > 0 ? -status : status;
}
