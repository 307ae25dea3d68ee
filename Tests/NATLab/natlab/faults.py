"""What goes wrong on real networks, done to a lab: and that a transfer survives it.

`run` sends a file through each; that each does what it says is shown in faulttest.py.
"""

import os
import signal
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import Callable

from . import hops, moves, nat, topology
from .stored import Stored
from .system import LabError
from .topology import Lab

TRANSFER_LIMIT = 180
# The part of a transfer after which things go wrong, and the part by which they must have: else it says nothing, and a
# larger one is tried.
STRIKES_AT = 0.3
STRUCK_BY = 0.8
ATTEMPTS = 3
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
    # Seconds in which bytes have to move again, when the machine is quiet: from when another way is open, which is at once
    # but where the fault says when (`Scene.back`). A busy machine takes longer, so that it is told (`over`), and fails
    # nothing.
    gap: float = WAY_OPEN


class Scene:
    """What a fault is done to, and when it was."""

    def __init__(self, driver, site, process):
        (self.driver, self.site, self.process) = (driver, site, process)
        self.began = self.struck = self.back = self.error = None

    def is_struck(self):
        """It is done, or lasts from now on."""
        self.struck = time.monotonic()

    def is_back(self):
        """What it took away is there again."""
        self.back = time.monotonic()


def both_sides(name, do, **options):
    return [Fault(name, do, **options), Fault(f"{name}-listener", do, at_receiver=True, **options)]


SYMMETRIC = ("symmetric", "symmetric")
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
        *both_sides("stopped", moves.stopped),
        *both_sides("stopped-relayed", moves.stopped, sites=SYMMETRIC, relays=1),
        *both_sides("outage", moves.outage),
        *both_sides("outage-relayed", moves.outage, sites=SYMMETRIC, relays=1),
        *both_sides("udp-blocked", moves.udp_blocked, sites=SYMMETRIC),
        *both_sides("udp-blocked-one-relay", moves.udp_blocked, sites=SYMMETRIC, relays=1),
        *both_sides("only-443", moves.only_443, sites=SYMMETRIC, relays=1),
        *both_sides("vpn-without-udp", moves.vpn_without_udp, sites=SYMMETRIC, relays=1),
        *both_sides("udp-blocked-direct", moves.udp_blocked, sites=("port-restricted", "public"), direct=True, relays=1),
        Fault("ipv6-only", moves.ipv6_only, ("dual-stack", "symmetric"), relays=1),
        Fault("ipv6-only-listener", moves.ipv6_only, ("symmetric", "dual-stack"), at_receiver=True, relays=1),
        Fault("ipv4-only", moves.ipv4_only, ("dual-stack", "symmetric"), relays=1),
        Fault("ipv4-only-listener", moves.ipv4_only, ("symmetric", "dual-stack"), at_receiver=True, relays=1),
        Fault("relay-restarts", moves.relays_restart(signal.SIGTERM, 0.4), SYMMETRIC, relays=1, gap=RELAY_BACK),
        Fault("relays-killed-1s", moves.relays_restart(signal.SIGKILL, 1), SYMMETRIC, gap=RELAY_BACK),
        *over_tcp("tcp-narrow", hops.narrow(1280)),
        *over_tcp("tcp-narrow-from-start", hops.narrow(1280), from_start=True),
        *over_tcp("tcp-very-narrow", hops.narrow(600)),
        *over_tcp("tcp-very-narrow-from-start", hops.narrow(600), from_start=True),
        *over_tcp("tcp-forgetful", hops.forgetful(5)),
        *both_sides("forgetful", hops.forgetful(5), sites=SYMMETRIC),
        Fault("relays-killed-5s", moves.relays_restart(signal.SIGKILL, 5), SYMMETRIC, gap=RELAY_BACK),
    ]
}


# A transfer through each fault


def run(make_driver, names, size, report):
    """Returns the number of transfers that did not arrive."""
    failed, over = 0, []
    for name in names:
        fault = FAULTS[name]
        row = {"type": "fault", "fault": name, "sites": fault.sites}
        try:
            row |= attempts(make_driver, fault, size)
        except (LabError, OSError) as error:
            row |= {"ok": False, "error": str(error)}
        failed += not row["ok"]
        if row.get("over"):
            over.append(f"{name} {row['back'] if row['back'] is not None else row['gap']} s (bound {fault.gap:g})")
        report(row)
    report({"type": "gaps", "ok": True, "bounds": "over its bound: " + ", ".join(over) if over else "all within their bounds"})
    return failed


def attempts(make_driver, fault, size):
    for attempt in range(ATTEMPTS):
        with Lab() as lab:
            row = transfer(make_driver(lab), lab, fault, size << attempt)
        if row["struck"] or not row["ended"]:
            break
    return row


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
        stored, paths, result = Stored(driver.inbox), [], None
        sender = driver.send(sender_site.hosts[0], target, file.name)
        scene = Scene(driver, *((receiver_site, receiver.process) if fault.at_receiver else (sender_site, sender.process)))
        if not fault.from_start:
            # Some take a while, and the transfer is watched meanwhile.
            strike = threading.Thread(target=happen, args=[lab, fault, scene, paths], daemon=True)
            stored.when(size * STRIKES_AT, strike.start)
        end = time.monotonic() + TRANSFER_LIMIT
        while (item := sender.next({"path", "result"}, end - time.monotonic())) is not None:
            if item[1]["type"] == "result":
                result = item[1]
                break
            paths.append(item[1]["path"])
        arrived = receiver.next({"file"}, 10) if result and result["ok"] else None
        ended = time.monotonic()
        stored.end()
        driver.end(sender)
        driver.end(receiver)
    if scene.error:
        raise scene.error
    struck = fault.from_start or (scene.struck is not None and stored.at(scene.struck) < size * STRUCK_BY)
    ok = bool(result and result["ok"] and struck and arrived and arrived[1]["bytes"] == size
              and arrived[1]["root"] == result["root"])
    if fault.direct:
        ok = ok and paths[0] == "direct" and paths[-1].startswith("relay")
    return {"ok": ok, "struck": struck, "ended": bool(arrived), "bytes": size, "paths": paths,
            "seconds": result and result.get("seconds"), "result": result,
            **gaps(fault, scene, stored, None if arrived else ended)}


def gaps(fault, scene, stored, until):
    """How long no byte came: in all (`gap`), and from when what the fault took away was there again (`back`)."""
    since = scene.began or (stored.seen[0][0] if stored.seen else None)
    if since is None:
        return {"gap": None, "back": None}
    gap = round(stored.gap(since, until), 2)
    back = round(stored.gap(scene.back, until), 2) if scene.back else None
    judged = gap if back is None else back
    over = {"over": f"over its bound of {fault.gap:g} s"} if judged > fault.gap else {}
    return {"gap": gap, "back": back, **({"returned": f"{back} s after the return"} if back is not None else {}), **over}


def happen(lab, fault, scene, paths):
    """Does a fault to a transfer that is under way."""
    scene.began = time.monotonic()
    try:
        if fault.do.__module__ == moves.__name__ or getattr(fault.do, "takes_time", False):
            fault.do(scene)
        elif fault.name == "relay-killed":
            # The path says which relay carries it.
            relays = scene.driver.relays
            used = [relay for relay in relays if paths and relay.seen
                    and str(relay.seen[0][1].get("node_id")) in paths[-1]]
            (used or relays)[0].process.signal(signal.SIGKILL)
        else:
            fault.do(lab, scene.site)
    except (LabError, OSError) as error:
        # A transfer that ended first took its networks with it: it was not struck by the rest.
        if scene.struck is None and lab.internet is not None:
            scene.error = error
        return
    if scene.struck is None:
        scene.is_struck()


def write_random(file, size):
    block = os.urandom(1 << 20)
    for offset in range(0, size, len(block)):
        # Each block differs, so that one in another's place is noticed.
        file.write((offset.to_bytes(8, "big") + block[8:])[: size - offset])
    file.flush()
