"""What goes wrong on real networks, done to a lab: and that a transfer survives it.

`test` shows with an instrument of its own that each fault does what it says; `run` sends a file through each.
"""

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import Callable

from . import hops, moves, nat, selftest, topology
from .system import LabError
from .topology import FOLDER, Lab

TRANSFER_LIMIT = 180
# The part of a transfer after which things go wrong.
STRIKES_AT = 0.3
# Seconds in which bytes move again where another way is open, and after a relay is back.
WAY_OPEN = 3
RELAY_BACK = 1


def nat_reboot(lab, site):
    """The router's mappings are gone; a random NAT gives others next time."""
    hops.forget(site.routers[0])


def black_hole(lab, site):
    """Nothing passes directly between this site and other sites any more; relays stay reachable."""
    for other in lab.sites:
        if other is not site:
            lab.command(f"block {site.port} {other.port}")


def new_external_address(lab, site):
    """The provider gives the router another address."""
    router, old = site.routers[0], site.wan4
    site.wan4 = old.rsplit(".", 1)[0] + ".2"
    lab.command(f"route {site.wan4}/32 {site.port}")
    # In this order: with its last address a device loses its routes.
    topology.address(router, "wan0", f"{site.wan4}/32")
    topology.ip(router, "address", "del", f"{old}/32", "dev", "wan0")
    topology.nft(router, "delete table ip lab_nat\ndelete table inet lab_filter\n"
                 + nat.table(site.kind, "br0", "wan0", site.wan4))
    hops.forget(router)


def roaming(lab, site):
    """The first host gets another private address, as on another access point."""
    host = site.hosts[0]
    topology.ip(host, "address", "del", "192.168.1.10/24", "dev", "eth0")
    topology.address(host, "eth0", "192.168.1.20/24")
    topology.ip(host, "route", "replace", "default", "via", "192.168.1.1")


def loss(lab, site):
    """Every tenth packet is lost, in each direction. Packets, in the internet: what leaves a host over veth is still one
    train of many (GSO), which a router's rule would lose as a whole."""
    lab.command(f"lose {site.port} 100")


def small_link(lab, site):
    """A link of 1280 bytes, which says so (ICMP)."""
    topology.ip(site.routers[0], "link", "set", "wan0", "mtu", "1280")


def silent_small_link(lab, site):
    """A link that drops packets of more than 1280 bytes and says nothing."""
    lab.command(f"size {site.port} 1280")


def relay_killed(lab, site):
    """Done by `strike`, which knows the relay that is used."""


@dataclass(frozen=True)
class Fault:
    name: str
    do: Callable
    # The kinds of the sender's and the receiver's site; the fault is done to the sender's.
    sites: tuple = ("port-restricted", "port-restricted")
    relayed: bool = False
    from_start: bool = False
    # Begins on a direct path, and has to go on through a relay.
    direct: bool = False
    # To whom it is done: the sender, or the receiver.
    at_receiver: bool = False
    relays: int = topology.RELAYS
    # Seconds in which bytes have to move again, when the machine is quiet: three where another way is open all the time,
    # else so many after one is. A busy machine takes longer, so that it is told (`over`), and fails nothing.
    gap: float = WAY_OPEN


class Scene:
    """What a fault of `moves` is done to."""

    def __init__(self, driver, site, process):
        (self.driver, self.site, self.process) = (driver, site, process)


def both_sides(name, do, **options):
    return [Fault(name, do, **options), Fault(f"{name}-listener", do, at_receiver=True, **options)]


SYMMETRIC = ("symmetric", "symmetric")
# No way is open before that is over.
AFTER_OUTAGE = moves.OUTAGE + WAY_OPEN
# From the one end, or from the other, nothing but TCP to port 443 gets out: the relay carries all.
ONLY_TCP = (("only-443", "symmetric"), ("symmetric", "only-443"))


def over_tcp(name, do, **options):
    """At the end that reaches its relay over TCP alone."""
    return [Fault(name, do, sites=ONLY_TCP[0], relays=1, **options),
            Fault(f"{name}-listener", do, sites=ONLY_TCP[1], relays=1, at_receiver=True, **options)]


FAULTS = {
    fault.name: fault
    for fault in [
        Fault("relay-killed", relay_killed, ("symmetric", "symmetric"), relayed=True),
        Fault("black-hole", black_hole),
        Fault("black-hole-direct", black_hole, ("port-restricted", "public"), direct=True),
        Fault("nat-reboot", nat_reboot, ("symmetric", "full-cone")),
        Fault("nat-reboot-relayed", nat_reboot, ("symmetric", "symmetric"), relayed=True),
        Fault("new-external-address", new_external_address),
        Fault("roaming", roaming),
        Fault("loss", loss),
        Fault("mtu", small_link),
        Fault("mtu-silent", silent_small_link),
        Fault("mtu-silent-from-start", silent_small_link, from_start=True),
        *both_sides("stopped", moves.stopped, gap=AFTER_OUTAGE),
        *both_sides("stopped-relayed", moves.stopped, sites=SYMMETRIC, relays=1, gap=AFTER_OUTAGE),
        *both_sides("outage", moves.outage, gap=AFTER_OUTAGE),
        *both_sides("outage-relayed", moves.outage, sites=SYMMETRIC, relays=1, gap=AFTER_OUTAGE),
        *both_sides("udp-blocked", moves.udp_blocked, sites=SYMMETRIC),
        *both_sides("udp-blocked-one-relay", moves.udp_blocked, sites=SYMMETRIC, relays=1),
        *both_sides("only-443", moves.only_443, sites=SYMMETRIC, relays=1),
        *both_sides("vpn-without-udp", moves.vpn_without_udp, sites=SYMMETRIC, relays=1),
        *both_sides("udp-blocked-direct", moves.udp_blocked, sites=("port-restricted", "public"), direct=True, relays=1),
        Fault("ipv6-only", moves.ipv6_only, ("dual-stack", "symmetric"), relays=1),
        Fault("ipv6-only-listener", moves.ipv6_only, ("symmetric", "dual-stack"), at_receiver=True, relays=1),
        Fault("ipv4-only", moves.ipv4_only, ("dual-stack", "symmetric"), relays=1),
        Fault("ipv4-only-listener", moves.ipv4_only, ("symmetric", "dual-stack"), at_receiver=True, relays=1),
        Fault("relay-restarts", moves.relays_restart(signal.SIGTERM, 0.4), SYMMETRIC, relays=1, gap=0.4 + RELAY_BACK),
        Fault("relays-killed-1s", moves.relays_restart(signal.SIGKILL, 1), SYMMETRIC, gap=1 + RELAY_BACK),
        *over_tcp("tcp-narrow", hops.narrow(1280)),
        *over_tcp("tcp-narrow-from-start", hops.narrow(1280), from_start=True),
        *over_tcp("tcp-very-narrow", hops.narrow(600)),
        *over_tcp("tcp-very-narrow-from-start", hops.narrow(600), from_start=True),
        *over_tcp("tcp-forgetful", hops.forgetful(5)),
        *both_sides("forgetful", hops.forgetful(5), sites=SYMMETRIC),
        Fault("relays-killed-5s", moves.relays_restart(signal.SIGKILL, 5), SYMMETRIC, gap=5 + RELAY_BACK),
    ]
}


# A transfer through each fault


def run(make_driver, names, size, report):
    """Returns the number of transfers that did not arrive."""
    failed, over = 0, []
    for name in names:
        fault = FAULTS[name]
        row = {"type": "fault", "fault": name, "sites": fault.sites, "bytes": size}
        try:
            with Lab() as lab:
                row |= transfer(make_driver(lab), lab, fault, size)
        except (LabError, OSError) as error:
            row |= {"ok": False, "error": str(error)}
        failed += not row["ok"]
        if row.get("over"):
            over.append(f"{name} {row['gap']} s (bound {fault.gap:g})")
        report(row)
    report({"type": "gaps", "ok": True, "bounds": "over its bound: " + ", ".join(over) if over else "all within their bounds"})
    return failed


def transfer(driver, lab, fault, size):
    driver.start_relays(fault.relays)
    sender_site, receiver_site = (lab.add_site(kind) for kind in fault.sites)
    if fault.from_start:
        fault.do(lab, receiver_site if fault.at_receiver else sender_site)
    with tempfile.NamedTemporaryFile(prefix="natlab-") as file:
        write_random(file, size)
        receiver, target = driver.listen(receiver_site.hosts[0])
        if fault.direct:
            target = [address for address in target if "/p2p-circuit/" not in address]
        sender = driver.send(sender_site.hosts[0], target, file.name)
        struck, result, paths, moved = fault.from_start, None, [], Moves()
        end = time.monotonic() + TRANSFER_LIMIT
        while (item := sender.next({"path", "progress", "result"}, end - time.monotonic())) is not None:
            event = item[1]
            if event["type"] == "progress":
                moved.to(event["bytes"])
            if event["type"] == "path":
                paths.append(event["path"])
            elif event["type"] == "result":
                result = event
                break
            elif not struck and event["bytes"] >= size * STRIKES_AT:
                struck = True
                moved.begin()
                strike(driver, lab, fault, (sender_site, sender), (receiver_site, receiver), paths)
        arrived = receiver.next({"file"}, 10) if result and result["ok"] else None
        driver.end(sender)
        driver.end(receiver)
    ok = bool(result and result["ok"] and struck and arrived and arrived[1]["bytes"] == size
              and arrived[1]["root"] == result["root"])
    if fault.direct:
        ok = ok and paths[0] == "direct" and paths[-1].startswith("relay")
    if not ok:
        moved.end()
    # Progress is told twice a second.
    gap = round(moved.longest, 1)
    over = {"over": f"over its bound of {fault.gap:g} s"} if gap > fault.gap else {}
    return {"ok": ok, "struck": struck, "paths": paths, "seconds": result and result.get("seconds"), "result": result,
            "gap": gap, **over}


class Moves:
    """The longest time without a byte, from when it is asked for."""

    def __init__(self):
        self.bytes, self.at, self.longest = 0, None, 0

    def begin(self):
        self.at = time.monotonic()

    def end(self):
        """Nothing comes any more of a transfer that is not over."""
        if self.at is not None:
            self.longest = max(self.longest, time.monotonic() - self.at)

    def to(self, count):
        if self.at is not None and count > self.bytes:
            self.longest, self.at = max(self.longest, time.monotonic() - self.at), time.monotonic()
        self.bytes = max(self.bytes, count)


def strike(driver, lab, fault, sender, receiver, paths):
    site, process = receiver if fault.at_receiver else sender
    if getattr(fault.do, "takes_time", fault.do.__module__ == moves.__name__):
        # Some take a while, and the transfer is watched meanwhile.
        threading.Thread(target=happen, args=[fault, Scene(driver, site, process.process)], daemon=True).start()
    elif fault.name == "relay-killed":
        # The path says which relay carries it.
        used = [index for index, relay in enumerate(driver.relays) if paths and relay.seen
                and str(relay.seen[0][1].get("node_id")) in paths[-1]]
        driver.relays[used[0] if used else 0].process.signal(signal.SIGKILL)
    else:
        fault.do(lab, site)


def happen(fault, scene):
    try:
        fault.do(scene)
    except (LabError, OSError):
        pass  # the transfer ended first, and took its networks with it: it was not struck by the rest


def write_random(file, size):
    block = os.urandom(1 << 20)
    for offset in range(0, size, len(block)):
        # Each block differs, so that one in another's place is noticed.
        file.write((offset.to_bytes(8, "big") + block[8:])[: size - offset])
    file.flush()


# What the faults themselves do


class Asker:
    def __init__(self, lab, host):
        self.process = lab.start(host, "python3", FOLDER / "natlab/asker.py", stdin=subprocess.PIPE)

    def __call__(self, address, size=100, count=3):
        self.process.child.stdin.write(f"{address} {selftest.PORTS[0]} {size} {count}\n".encode())
        self.process.child.stdin.flush()
        return json.loads(self.process.child.stdout.readline())


def test(report):
    """Returns the number of faults that do not do what they say."""
    wrong = 0
    for name, check in TESTS.items():
        with Lab(delay=1) as lab:
            selftest.observers(lab)
            site = lab.add_site(FAULTS[name].sites[0])
            seen = check(lab, site, Asker(lab, site.hosts[0]))
        wrong += not seen["ok"]
        report({"type": "fault-test", "check": name, **seen})
    return wrong


def test_reboot(lab, site, ask):
    relay = lab.relay_addresses[0][0]
    before, again = ask(relay)["mapped"], ask(relay)["mapped"]
    nat_reboot(lab, site)
    after = ask(relay)["mapped"]
    return {"ok": before == again and after is not None and after[1] != before[1], "seen": [before, again, after]}


def test_black_hole(lab, site, ask):
    other = lab.add_site("public")
    address = other.addresses[0][0]
    process = lab.start(other.hosts[0], "python3", FOLDER / "natlab/stun.py", address, *selftest.PORTS)
    process.child.stdout.readline()
    before = ask(address)["answered"]
    black_hole(lab, site)
    direct, relay = ask(address)["answered"], ask(lab.relay_addresses[0][0])["answered"]
    return {"ok": (before, direct, relay) == (3, 0, 3), "seen": [before, direct, relay]}


def test_new_address(lab, site, ask):
    relay = lab.relay_addresses[0][0]
    before = ask(relay)["mapped"]
    new_external_address(lab, site)
    after = ask(relay)["mapped"]
    return {"ok": after is not None and after[0] == site.wan4 != before[0], "seen": [before, after]}


def test_roaming(lab, site, ask):
    relay = lab.relay_addresses[0][0]
    before = ask(relay)["answered"]
    roaming(lab, site)
    # The socket is bound to no address, so it goes on from the new one; the old one is gone.
    after, fresh = ask(relay)["answered"], Asker(lab, site.hosts[0])(relay)["answered"]
    return {"ok": (before, after, fresh) == (3, 3, 3), "seen": [before, after, fresh]}


def test_loss(lab, site, ask):
    count = 600
    loss(lab, site)
    answered = ask(lab.relay_addresses[0][0], count=count)["answered"]
    # Both ways: 0.9² = 81 %; four standard deviations are 6.4 %.
    return {"ok": 0.74 < answered / count < 0.88, "seen": answered / count}


def test_size(do):
    def check(lab, site, ask):
        relay = lab.relay_addresses[0][0]
        before = ask(relay, size=1400)["answered"]
        do(lab, site)
        large, small = ask(relay, size=1400)["answered"], ask(relay, size=1200)["answered"]
        return {"ok": (before, large, small) == (3, 0, 3), "seen": [before, large, small]}

    return check


class Echo:
    """A TCP connection from a site's first host to a relay's: what comes back over it."""

    def __init__(self, lab, site):
        address, port, program = lab.relay_addresses[0][0], 443, FOLDER / "natlab/echo.py"
        lab.start(lab.relays[0], "python3", program, "serve", address, port).child.stdout.readline()
        self.process = lab.start(site.hosts[0], "python3", program, "ask", address, port, stdin=subprocess.PIPE)

    def __call__(self, what):
        self.process.child.stdin.write(f"{what}\n".encode())
        self.process.child.stdin.flush()
        return json.loads(self.process.child.stdout.readline())


def test_narrow_tcp(lab, site, ask):
    echo = Echo(lab, site)
    before = echo(20_000)
    hops.narrow(1280)(lab, site)
    # Segments of 1460 bytes: what is short passes, what is long is gone, and nobody says so.
    seen = [before, echo(1000), echo(20_000)]
    return {"ok": [item["echoed"] for item in seen] == [True, True, False] and seen[2]["ended"] is None, "seen": seen}


def test_forgetful(lab, site, ask):
    echo = Echo(lab, site)
    hops.strict(site.routers[0])
    before = echo(100)
    hops.forget(site.routers[0])
    seen = [before, echo(100), echo("anew")]
    return {"ok": [item["echoed"] for item in seen] == [True, False, True] and seen[1]["ended"] is None, "seen": seen}


TESTS = {
    "nat-reboot": test_reboot, "black-hole": test_black_hole, "new-external-address": test_new_address,
    "roaming": test_roaming, "loss": test_loss, "mtu": test_size(small_link),
    "mtu-silent": test_size(silent_small_link), "tcp-narrow": test_narrow_tcp, "forgetful": test_forgetful,
}
