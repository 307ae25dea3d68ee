"""Builds sites, relays and the internet between them out of network namespaces, and takes them down again.

    host ── host          hosts of a site: 192.168.1.10 and .11, and 2600:1f00:SITE:1::10 and ::11
      └──┬──┘  bridge
       router             nftables; a second one before it for double NAT
         │ TUN
      internet.c          routes, delays, drops
         │ TUN
       relay              public: 45.10.0.1, 45.10.1.1, with IPv6 beside

Every private network has the same addresses, as at home: a peer's private address may be one's own.
"""

import itertools
import os
import pathlib
import subprocess
import tempfile
import threading

from . import nat
from .system import LabError, Process, run

PREFIX = "dl"
RELAYS = 2
HOSTS = 2
ONE_WAY_MILLISECONDS = 20
FOLDER = pathlib.Path(__file__).resolve().parent.parent
_labs = itertools.count()


class Site:
    """What a kind of network looks like from inside: `hosts` are namespaces, `addresses[i]` their own addresses."""

    def __init__(self, kind, index):
        self.kind = kind
        self.index = index
        self.hosts = []
        self.routers = []
        self.addresses = []
        self.wan4 = f"45.{20 + index}.0.1"
        self.wan6 = f"2600:1f00:{index:x}"
        self.port = ""  # its name in internet.c


class Lab:
    """A lab with its relays; a context manager that leaves nothing behind."""

    def __init__(self, delay=ONE_WAY_MILLISECONDS):
        self.name = f"{PREFIX}{os.getpid():x}-{next(_labs)}"
        self.delay = delay
        self.namespaces = []
        self.processes = []
        self.relays = []
        self.relay_addresses = []
        self.sites = []
        self._links = itertools.count()

    def __enter__(self):
        try:
            sweep()
            self.internet = subprocess.Popen(
                [compiled_internet()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
            self.command(f"delay {self.delay}")
            for index in range(RELAYS):
                self.add_relay(index)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in reversed(self.processes):
            process.end()
        self.processes = []
        if getattr(self, "internet", None):
            self.internet.stdin.close()
            self.internet.wait(5)
            self.internet.stdout.close()
            self.internet = None
        for namespace in reversed(self.namespaces):
            delete(namespace)
        self.namespaces = []

    def command(self, line):
        """One command to internet.c."""
        self.internet.stdin.write(line + "\n")
        self.internet.stdin.flush()
        answer = self.internet.stdout.readline().strip()
        if answer != "ok":
            raise LabError(f"internet: {line}: {answer}")

    def start(self, namespace, *arguments, **options):
        process = Process(namespace, [str(argument) for argument in arguments], **options)
        self.processes.append(process)
        return process

    def end(self, process):
        self.processes.remove(process)
        process.end()

    # Namespaces and links

    def namespace(self, role):
        name = f"{self.name}-{role}"
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        ip(name, "link", "set", "lo", "up")
        return name

    def attach(self, namespace, device, port, *routes):
        """Connects a namespace to the internet by a TUN device."""
        self.command(f"attach {port} {namespace} {device}")
        ip(namespace, "link", "set", device, "up")
        ip(namespace, "route", "add", "default", "dev", device)
        ip(namespace, "-6", "route", "add", "default", "dev", device)
        for route in routes:
            self.command(f"route {route} {port}")

    def cable(self, inner, inner_device, outer, outer_device):
        """A veth pair between two namespaces; the outer end joins bridge br0 where there is one."""
        name = f"v{next(self._links)}"
        ip(outer, "link", "add", name, "type", "veth", "peer", "name", inner_device, "netns", inner)
        ip(outer, "link", "set", name, "name", outer_device)
        for namespace, device in ((inner, inner_device), (outer, outer_device)):
            ip(namespace, "link", "set", device, "up")

    def add_relay(self, index):
        namespace = self.namespace(f"relay{index}")
        self.attach(namespace, "eth0", f"relay{index}", f"45.10.{index}.1/32", f"2600:1f01:{index:x}::1/128")
        address(namespace, "eth0", f"45.10.{index}.1/32")
        address(namespace, "eth0", f"2600:1f01:{index:x}::1/128")
        self.relays.append(namespace)
        self.relay_addresses.append((f"45.10.{index}.1", f"2600:1f01:{index:x}::1"))

    # Sites

    def add_site(self, kind):
        if isinstance(kind, str):
            kind = nat.KINDS[kind]
        site = Site(kind, len(self.sites))
        site.port = f"site{site.index}"
        self.sites.append(site)
        if kind.routers == 0:
            self.add_public_hosts(site)
        else:
            self.add_network(site)
        return site

    def add_public_hosts(self, site):
        for host in range(HOSTS):
            namespace = self.namespace(f"s{site.index}h{host}")
            v4, v6 = f"45.{20 + site.index}.0.{10 + host}", f"{site.wan6}:1::{10 + host}"
            port = site.port if host == 0 else f"{site.port}h{host}"
            self.attach(namespace, "eth0", port, f"{v4}/32", f"{v6}/128")
            address(namespace, "eth0", f"{v4}/32")
            address(namespace, "eth0", f"{v6}/128")
            site.hosts.append(namespace)
            site.addresses.append([v4, v6])

    def add_network(self, site):
        kind = site.kind
        outer = None
        if kind.routers == 2:
            outer = self.router(site, "isp")
            self.attach(outer, "wan0", site.port, f"{site.wan4}/32")
            address(outer, "wan0", f"{site.wan4}/32")
        router = self.router(site, "router")
        if outer:
            self.cable(router, "wan0", outer, "lan0")
            address(outer, "lan0", f"{kind.carrier}.1/24")
            address(router, "wan0", f"{kind.carrier}.2/24")
            ip(router, "route", "add", "default", "via", f"{kind.carrier}.1")
            nft(outer, nat.table(kind, "lan0", "wan0", site.wan4))
            nft(router, nat.table(kind, "br0", "wan0", f"{kind.carrier}.2"))
        else:
            self.attach(router, "wan0", site.port, f"{site.wan4}/32", f"{site.wan6}::/48")
            if kind.ipv4:
                address(router, "wan0", f"{site.wan4}/32")
            nft(router, nat.table(kind, "br0", "wan0", site.wan4))
        self.add_hosts(site, router)

    def router(self, site, role):
        namespace = self.namespace(f"s{site.index}{role}")
        site.routers.append(namespace)
        # Without the last one the bridge itself would translate what its hosts send each other through the router.
        run("ip", "netns", "exec", namespace, "sysctl", "-qw", "-e", "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1", "net.netfilter.nf_conntrack_udp_timeout=30",
            "net.bridge.bridge-nf-call-iptables=0", "net.bridge.bridge-nf-call-ip6tables=0")
        return namespace

    def add_hosts(self, site, router):
        kind = site.kind
        ip(router, "link", "add", "br0", "type", "bridge")
        ip(router, "link", "set", "br0", "up")
        if kind.ipv4:
            address(router, "br0", "192.168.1.1/24")
        if kind.ipv6:
            address(router, "br0", f"{site.wan6}:1::1/64")
        for host in range(HOSTS):
            namespace = self.namespace(f"s{site.index}h{host}")
            self.cable(namespace, "eth0", router, f"lan{host}")
            ip(router, "link", "set", f"lan{host}", "master", "br0")
            own = []
            if kind.ipv4:
                own.append(f"192.168.1.{10 + host}")
                address(namespace, "eth0", f"{own[-1]}/24")
                ip(namespace, "route", "add", "default", "via", "192.168.1.1")
            if kind.ipv6:
                own.append(f"{site.wan6}:1::{10 + host}")
                address(namespace, "eth0", f"{own[-1]}/64")
                ip(namespace, "-6", "route", "add", "default", "via", f"{site.wan6}:1::1")
            site.hosts.append(namespace)
            site.addresses.append(own)


def ip(namespace, *arguments):
    run("ip", "-n", namespace, *arguments)


def address(namespace, device, value):
    # nodad: an address is usable at once, not after duplicate detection.
    extra = ("nodad",) if ":" in value else ()
    ip(namespace, "address", "add", value, "dev", device, *extra)


def nft(namespace, rules):
    run("ip", "netns", "exec", namespace, "nft", "-f", "-", text=rules)


def delete(namespace):
    """Ends what still runs in a namespace of this lab, and removes it."""
    try:
        for pid in run("ip", "netns", "pids", namespace).split():
            os.kill(int(pid), 9)
    except (LabError, ProcessLookupError):
        pass
    subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, timeout=20, check=False)


def sweep():
    """Removes namespaces of labs whose process is gone: a lab that was killed could not."""
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0] if line.split() else ""
        owner = name[len(PREFIX):].split("-")[0]
        if name.startswith(PREFIX) and "-" in name and is_hex(owner) and not os.path.exists(f"/proc/{int(owner, 16)}"):
            delete(name)


def is_hex(text):
    return bool(text) and all(digit in "0123456789abcdef" for digit in text)


_binary = None
_compiling = threading.Lock()


def compiled_internet():
    """internet.c, compiled once a run."""
    global _binary
    with _compiling:
        if _binary is None:
            path = os.path.join(tempfile.mkdtemp(prefix="natlab-"), "internet")
            run("cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", path, str(FOLDER / "internet.c"))
            _binary = path
    return _binary


def remove_binary():
    global _binary
    if _binary:
        os.unlink(_binary)
        os.rmdir(os.path.dirname(_binary))
        _binary = None
