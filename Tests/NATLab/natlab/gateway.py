"""Port mapping against the real miniupnpd, on the router of a site: each protocol maps, lets strangers in, and removes
the mapping at the end."""

import dataclasses
import json
import os
import signal
import sys
import tempfile
import time

from . import nat, natcheck, topology
from .drivers import Events
from .system import LabError, run
from .topology import Lab

PROTOCOLS = ("pcp", "nat_pmp", "upnp")
PORT = 4001
WAIT = 8
# How long an end with an unmapping may take, and a mapping that was lost until it stands again.
STOP = 2
RESTORE = 15

CONFIGURATION = """
ext_ifname=wan0
listening_ip=br0
enable_natpmp={pcp}
enable_upnp={upnp}
secure_mode=yes
system_uptime=no
uuid=11111111-2222-3333-4444-555555555555
lease_file={folder}/leases
upnp_table_name=lab_map
upnp_nat_table_name=lab_map
upnp_forward_chain=map_forward
upnp_nat_chain=map_admit
upnp_nat_postrouting_chain=map_translate
allow 1024-65535 192.168.1.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""

TABLES = """
table inet lab_map {
    chain map_forward { }
    chain map_admit { }
    chain map_translate { }
    chain forward { type filter hook forward priority filter - 1; jump map_forward; }
    chain admit { type nat hook prerouting priority dstnat + 1; jump map_admit; }
    chain translate { type nat hook postrouting priority srcnat + 1; jump map_translate; }
}
"""


class Gateway:
    """A site whose router runs miniupnpd: port-restricted, or of another kind."""

    def __init__(self, lab, folder, pcp=True, upnp=True, kind="port-restricted"):
        self.lab = lab
        self.site = lab.add_site(kind)
        # The one that the hosts see: before it there may be the provider's.
        self.router = self.site.routers[-1]
        topology.nft(self.router, TABLES)
        self.configuration = os.path.join(folder, "miniupnpd.conf")
        self.folder = folder
        self.write(pcp, upnp)
        self.daemon = None
        self.start()

    def write(self, pcp, upnp):
        with open(self.configuration, "w", encoding="ascii") as file:
            file.write(CONFIGURATION.format(
                pcp="yes" if pcp else "no", upnp="yes" if upnp else "no", folder=self.folder))

    def start(self):
        self.daemon = self.lab.start(self.router, "miniupnpd", "-d", "-f", self.configuration, "-P",
                                     os.path.join(self.folder, "pid"))
        time.sleep(0.5)
        if self.daemon.child.poll() is not None:
            raise LabError(f"miniupnpd: {self.daemon.child.stderr.read().decode()}")

    def restart(self):
        """As after a loss of power: the daemon comes back and knows of no mapping."""
        self.lab.end(self.daemon)
        run("ip", "netns", "exec", self.router, "nft", "flush chain inet lab_map map_admit; "
            "flush chain inet lab_map map_forward")
        if os.path.exists(os.path.join(self.folder, "leases")):
            os.unlink(os.path.join(self.folder, "leases"))
        self.start()

    def mappings(self):
        rules = run("ip", "netns", "exec", self.router, "nft", "list", "chain", "inet", "lab_map", "map_admit")
        return [line.strip() for line in rules.splitlines() if "dnat" in line]


class Client:
    """`dep2p listen` in the site's first host."""

    def __init__(self, lab, site, binary, folder, *options):
        self.lab = lab
        key = os.path.join(folder, "realm.key")
        if not os.path.exists(key):
            run(binary, "realm-key", "-o", key)
        self.process = lab.start(site.hosts[0], binary, "listen", "--ephemeral", "--json", "--realm-key", key,
                                 "--listen", f":{PORT}", *options)
        self.events = Events(self.process)

    def mapping(self, wait=WAIT):
        """The next mapping that it tells; None when nothing comes."""
        found = self.events.next({"port_mapping"}, wait)
        return found and found[1]

    def reachability(self):
        """What it has found out when nothing more comes of it."""
        while self.events.next({"reachability"}, WAIT):
            pass
        states = [item["state"] for _, item in self.events.seen if item["type"] == "reachability"]
        return states[-1] if states else None

    def stop(self):
        """SIGTERM; returns how long it took."""
        started = time.monotonic()
        self.process.signal(signal.SIGTERM)
        self.process.child.wait(10)
        self.lab.end(self.process)
        return time.monotonic() - started


def speak_only(router, protocol):
    """Drops the requests of the protocols that would be preferred: PCP's have version 2, NAT-PMP's version 0."""
    if protocol == "nat_pmp":
        topology.nft(router, "table inet lab_only {\n chain input {\n type filter hook input priority -10;\n"
                             "udp dport 5351 @th,64,8 2 drop\n }\n}\n")


def reaches(lab, site, port):
    """Whether a stranger's STUN request to the external port is answered by the first host's node."""
    request = "bytes.fromhex('000100002112a442') + bytes(12)"
    ask = ("import socket;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.settimeout(1);"
           "[s.sendto(%s,('%s',%d)) for _ in range(3)];print(s.recv(64)[:2].hex())" % (request, site.wan4, port))
    try:
        return run("ip", "netns", "exec", lab.relays[1], sys.executable, "-c", ask).strip() == "0101"
    except LabError:
        return False


def check(binary, report):
    """Tries every protocol; returns the number of failures."""
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="natlab-") as folder:
        for protocol in PROTOCOLS:
            for name, value in one_protocol(binary, folder, protocol):
                wrong += not value
                report({"type": "gateway", "protocol": protocol, "check": name, "ok": bool(value)})
        for name, value in carrier(binary, folder):
            wrong += not value
            report({"type": "gateway", "protocol": "carrier's NAT", "check": name, "ok": bool(value)})
        for name, value in answers(binary, folder):
            wrong += not value
            report({"type": "gateway", "protocol": "all", "check": name, "ok": bool(value)})
    return wrong


def one_protocol(binary, folder, protocol):
    with Lab(delay=0) as lab:
        gateway = Gateway(lab, folder, pcp=protocol != "upnp")
        speak_only(gateway.router, protocol)
        client = Client(lab, gateway.site, binary, folder)
        mapped = client.mapping()
        yield f"maps: {mapped}", mapped and mapped["protocol"] == protocol
        if not mapped:
            return
        # NAT-PMP tells the address in a message of its own, after or before the port.
        address = mapped["address"] or (client.mapping(1) or {}).get("address")
        yield "tells the external address", address == gateway.site.wan4
        yield "a rule stands in the router", len(gateway.mappings()) == 1
        yield "a stranger gets in", reaches(lab, gateway.site, mapped["port"])
        seconds = client.stop()
        yield f"ends in {seconds:.1f} s", seconds < STOP
        yield "removed at the end", not gateway.mappings()
        again = Client(lab, gateway.site, binary, folder)
        yield "maps again", again.mapping()
        if protocol != "upnp":
            # UPnP has no epoch to tell a restart by: the mapping comes back with the next renewal.
            # It counts in seconds; two of them may be a packet that was late.
            time.sleep(4)
            gateway.restart()
            yield "mapped anew after a restart of the router", wait_for(gateway.mappings)


OPEN = "can be opened for everyone"


def carrier(binary, folder):
    """A home router that maps ports, alone and behind a carrier's NAT, where what it opens leads nowhere."""
    # miniupnpd maps nothing at an address that it knows to be private. Some carriers number such networks from others' space.
    squatting = dataclasses.replace(nat.KINDS["double-nat"], name="double-nat-squatting", carrier="30.0.0")
    for kind in (nat.KINDS["port-restricted"], nat.KINDS["double-nat"], squatting):
        is_open = kind.routers == 1
        with Lab(delay=0) as lab:
            gateway = Gateway(lab, folder, kind=kind)
            options = natcheck.relays(lab, binary, named=True)
            output, _ = lab.start(gateway.site.hosts[0], binary, "nat-check", "--json", *options).child.communicate(timeout=40)
            verdict = json.loads(output.splitlines()[-1])["verdict"]
            yield f"{kind.name}: {verdict}", (OPEN in verdict) == is_open
            client = Client(lab, gateway.site, binary, folder, *options)
            mapped = client.mapping()
            yield f"{kind.name} maps: {mapped and mapped['address']}", bool(mapped) == (kind.name != "double-nat")
            state = client.reachability()
            yield f"{kind.name}: {state}", state == ("public" if is_open else "private")
            client.stop()


def answers(binary, folder):
    """Which protocols nat-check finds, in each configuration."""
    for pcp, upnp in ((True, True), (True, False), (False, True)):
        with Lab(delay=0) as lab:
            gateway = Gateway(lab, folder, pcp=pcp, upnp=upnp)
            found = protocols(lab, gateway.site, binary)
            expected = {"pcp": pcp, "nat_pmp": pcp, "upnp": upnp}
            yield f"protocols with pcp={pcp} upnp={upnp}: {found}", found == expected
    with Lab(delay=0) as lab:
        site = lab.add_site("port-restricted")
        found = protocols(lab, site, binary)
        yield f"a router without any: {found}", found == {"pcp": False, "nat_pmp": False, "upnp": False}


def protocols(lab, site, binary):
    output, _ = lab.start(site.hosts[0], binary, "nat-check", "--json").child.communicate(timeout=20)
    return json.loads(output.splitlines()[-1])["port_mapping"]


def wait_for(condition):
    end = time.monotonic() + RESTORE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True
