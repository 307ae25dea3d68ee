"""Port mapping against the real miniupnpd, on the router of a site: each protocol maps, lets strangers in, and removes
the mapping at the end."""

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time

from . import topology
from .system import LabError, run
from .topology import FOLDER, Lab

PROTOCOLS = ("pcp", "nat_pmp", "upnp")
PORT = 4001
WAIT = 8

CONFIGURATION = """
ext_ifname=wan0
listening_ip=br0
enable_natpmp={pcp}
enable_upnp={upnp}
secure_mode=yes
system_uptime=yes
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
    """A port-restricted site whose router runs miniupnpd."""

    def __init__(self, lab, folder, pcp=True, upnp=True):
        self.lab = lab
        self.site = lab.add_site("port-restricted")
        self.router = self.site.routers[0]
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

    def mappings(self):
        rules = run("ip", "netns", "exec", self.router, "nft", "list", "chain", "inet", "lab_map", "map_admit")
        return [line.strip() for line in rules.splitlines() if "dnat" in line]


class Client:
    """`NATProbe map` in the site's first host."""

    def __init__(self, lab, site, probe, *arguments):
        self.process = lab.start(site.hosts[0], probe, *arguments, stdin=subprocess.PIPE)

    def line(self, wait=WAIT):
        """The next object it prints; None when nothing comes."""
        stream = self.process.child.stdout
        if not select.select([stream], [], [], wait)[0]:
            return None
        text = stream.readline()
        return json.loads(text) if text else None

    def stop(self):
        self.process.child.stdin.close()
        while (line := self.line()) and line.get("type") != "stopped":
            pass


def reaches(lab, site, port):
    """Whether a datagram from a stranger to the external port arrives at the first host's port."""
    code = ("import socket,sys;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.bind(('0.0.0.0',%d));"
            "s.settimeout(3);print('ready',flush=True);print(s.recv(64).decode())" % PORT)
    receiver = lab.start(site.hosts[0], sys.executable, "-c", code)
    receiver.child.stdout.readline()
    send = ("import socket;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);"
            "[s.sendto(b'stranger',('%s',%d)) for _ in range(3)]" % (site.wan4, port))
    run("ip", "netns", "exec", lab.relays[1], sys.executable, "-c", send)
    arrived = receiver.child.stdout.readline().strip() == b"stranger"
    lab.end(receiver)
    return arrived


def check(probe, report):
    """Tries every protocol; returns the number of failures."""
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="natlab-") as folder:
        for protocol in PROTOCOLS:
            for name, value in one_protocol(probe, folder, protocol):
                wrong += not value
                report({"type": "gateway", "protocol": protocol, "check": name, "ok": bool(value)})
        for name, value in answers(probe, folder):
            wrong += not value
            report({"type": "gateway", "protocol": "all", "check": name, "ok": bool(value)})
    return wrong


def one_protocol(probe, folder, protocol):
    with Lab(delay=0) as lab:
        gateway = Gateway(lab, folder)
        client = Client(lab, gateway.site, probe, "map", PORT, protocol)
        mapped = client.line()
        yield "maps", mapped and mapped["protocol"] == protocol
        if not mapped:
            return
        # NAT-PMP tells the address in a message of its own, after or before the port.
        address = mapped["address"] or (client.line(1) or {}).get("address")
        yield "tells the external address", address == gateway.site.wan4
        yield "a rule stands in the router", len(gateway.mappings()) == 1
        yield "a stranger gets in", reaches(lab, gateway.site, mapped["port"])
        client.stop()
        yield "removed at the end", not gateway.mappings()
        again = Client(lab, gateway.site, probe, "map", PORT, protocol)
        yield "maps again", again.line()


def answers(probe, folder):
    """Which protocols the gateway speaks, in each configuration; and falling back to the one that is left."""
    for pcp, upnp in ((True, True), (True, False), (False, True)):
        with Lab(delay=0) as lab:
            gateway = Gateway(lab, folder, pcp=pcp, upnp=upnp)
            found = Client(lab, gateway.site, probe, "protocols").line()
            expected = {"pcp": pcp, "nat_pmp": pcp, "upnp": upnp}
            yield f"protocols with pcp={pcp} upnp={upnp}: {found}", found == expected
            client = Client(lab, gateway.site, probe, "map", PORT)
            mapped = client.line() or {}
            yield f"maps with pcp={pcp} upnp={upnp}: {mapped}", mapped.get("protocol") == ("pcp" if pcp else "upnp")
            client.stop()
    with Lab(delay=0) as lab:
        site = lab.add_site("port-restricted")
        found = Client(lab, site, probe, "protocols").line()
        yield f"a router without any: {found}", found == {"pcp": False, "nat_pmp": False, "upnp": False}
