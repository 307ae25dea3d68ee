#define _GNU_SOURCE
#include "cminiupnpc.h"

#include <linux/close_range.h>
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

struct dep2p_upnp_gateway {
    struct UPNPUrls urls;
    struct IGDdatas data;
    char local[64];
    char external[64];
};

enum { TTL = 2, PORT_TEXT = 8 };

// miniupnpc waits for slow gateways with select(2), whose sets hold descriptors below FD_SETSIZE only: with a socket
// beyond, the C library ends the process. So each call runs on a thread whose table of descriptors is its own and holds
// the standard streams alone: its sockets have the lowest numbers, whatever the other threads have open or open
// meanwhile, and these keep theirs.
enum { FIRST_CLOSED = STDERR_FILENO + 1, DESCRIPTOR_MARGIN = 64 };

typedef struct {
    void (*work)(void *context);
    void *context;
    int has_run;
} call;

// Where a kernel before 5.9, or a sandbox, has no such table to give.
static int has_low_descriptors(void) {
    int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return 0;
    close(probe);
    return probe < FD_SETSIZE - DESCRIPTOR_MARGIN;
}

static void *run(void *argument) {
    call *self = argument;
    if (close_range(FIRST_CLOSED, ~0U, CLOSE_RANGE_UNSHARE) != 0 && !has_low_descriptors()) return NULL;
    self->work(self->context);
    self->has_run = 1;
    return NULL;
}

// 0 when nothing was done.
static int with_low_descriptors(void (*work)(void *context), void *context) {
    call self = {work, context, 0};
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, &self) != 0) return 0;
    pthread_join(thread, NULL);
    return self.has_run;
}

static dep2p_upnp_gateway *discover(int delay_ms) {
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

typedef struct {
    int delay_ms;
    dep2p_upnp_gateway *found;
} discovery;

static void run_discovery(void *context) {
    discovery *self = context;
    self->found = discover(self->delay_ms);
}

dep2p_upnp_gateway *dep2p_upnp_discover(int delay_ms) {
    discovery self = {delay_ms, NULL};
    return with_low_descriptors(run_discovery, &self) ? self.found : NULL;
}

void dep2p_upnp_free(dep2p_upnp_gateway *gateway) {
    if (!gateway) return;
    FreeUPNPUrls(&gateway->urls);
    free(gateway);
}

const char *dep2p_upnp_control_url(const dep2p_upnp_gateway *gateway) {
    return gateway->urls.controlURL ? gateway->urls.controlURL : "";
}

const char *dep2p_upnp_local_address(const dep2p_upnp_gateway *gateway) { return gateway->local; }

const char *dep2p_upnp_external_address(const dep2p_upnp_gateway *gateway) { return gateway->external; }

// A mapping that is to be added, or removed when it has no description; and what came of it.
typedef struct {
    const dep2p_upnp_gateway *gateway;
    int external_port, internal_port, lifetime_seconds;
    const char *description;
    int result;
} mapping;

static int add(const mapping *wanted) {
    char external[PORT_TEXT], internal[PORT_TEXT], lifetime[16], reserved[16] = "";
    snprintf(external, sizeof external, "%d", wanted->external_port & 0xffff);
    snprintf(internal, sizeof internal, "%d", wanted->internal_port & 0xffff);
    snprintf(lifetime, sizeof lifetime, "%d", wanted->lifetime_seconds);
    const char *url = wanted->gateway->urls.controlURL;
    const char *service = wanted->gateway->data.first.servicetype;
    const char *local = wanted->gateway->local;
    // AddAnyPortMapping is IGD v2's; it alone lets the gateway choose another port.
    int status = UPNP_AddAnyPortMapping(url, service, external, internal, local, wanted->description, "UDP", NULL,
                                        lifetime, reserved);
    if (status == UPNPCOMMAND_SUCCESS) return atoi(reserved);
    status = UPNP_AddPortMapping(url, service, external, internal, local, wanted->description, "UDP", NULL, lifetime);
    // 725: only permanent leases (IGD v1). Removed on exit like the others.
    if (status == 725) {
        status = UPNP_AddPortMapping(url, service, external, internal, local, wanted->description, "UDP", NULL, "0");
    }
    if (status == UPNPCOMMAND_SUCCESS) return wanted->external_port;
    return status > 0 ? -status : status;
}

static int forget(const mapping *wanted) {
    char external[PORT_TEXT];
    snprintf(external, sizeof external, "%d", wanted->external_port & 0xffff);
    int status = UPNP_DeletePortMapping(wanted->gateway->urls.controlURL, wanted->gateway->data.first.servicetype,
                                        external, "UDP", NULL);
    return status > 0 ? -status : status;
}

static void run_mapping(void *context) {
    mapping *self = context;
    self->result = self->description ? add(self) : forget(self);
}

int dep2p_upnp_add(const dep2p_upnp_gateway *gateway, int external_port, int internal_port, int lifetime_seconds,
                   const char *description) {
    mapping self = {gateway, external_port, internal_port, lifetime_seconds, description, UPNPCOMMAND_UNKNOWN_ERROR};
    with_low_descriptors(run_mapping, &self);
    return self.result;
}

int dep2p_upnp_remove(const dep2p_upnp_gateway *gateway, int external_port) {
    mapping self = {gateway, external_port, 0, 0, NULL, UPNPCOMMAND_UNKNOWN_ERROR};
    with_low_descriptors(run_mapping, &self);
    return self.result;
}
