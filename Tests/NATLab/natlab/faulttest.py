"""Shows with an instrument of its own that each fault does what it says."""

import json
import subprocess

from . import faults, hops, selftest
from .topology import FOLDER, Lab


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
            site = lab.add_site(faults.FAULTS[name].sites[0])
            seen = check(lab, site, Asker(lab, site.hosts[0]))
        wrong += not seen["ok"]
        report({"type": "fault-test", "check": name, **seen})
    return wrong


def test_reboot(lab, site, ask):
    relay = lab.relay_addresses[0][0]
    before, again = ask(relay)["mapped"], ask(relay)["mapped"]
    faults.nat_reboot(lab, site)
    after = ask(relay)["mapped"]
    return {"ok": before == again and after is not None and after[1] != before[1], "seen": [before, again, after]}


def test_black_hole(lab, site, ask):
    other = lab.add_site("public")
    address = other.addresses[0][0]
    process = lab.start(other.hosts[0], "python3", FOLDER / "natlab/stun.py", address, *selftest.PORTS)
    process.child.stdout.readline()
    before = ask(address)["answered"]
    faults.black_hole(lab, site)
    direct, relay = ask(address)["answered"], ask(lab.relay_addresses[0][0])["answered"]
    return {"ok": (before, direct, relay) == (3, 0, 3), "seen": [before, direct, relay]}


def test_new_address(lab, site, ask):
    relay = lab.relay_addresses[0][0]
    before = ask(relay)["mapped"]
    faults.new_external_address(lab, site)
    after = ask(relay)["mapped"]
    return {"ok": after is not None and after[0] == site.wan4 != before[0], "seen": [before, after]}


def test_roaming(lab, site, ask):
    relay = lab.relay_addresses[0][0]
    before = ask(relay)["answered"]
    faults.roaming(lab, site)
    # The socket is bound to no address, so it goes on from the new one; the old one is gone.
    after, fresh = ask(relay)["answered"], Asker(lab, site.hosts[0])(relay)["answered"]
    return {"ok": (before, after, fresh) == (3, 3, 3), "seen": [before, after, fresh]}


def test_loss(lab, site, ask):
    count = 600
    faults.loss(lab, site)
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
    "roaming": test_roaming, "loss": test_loss, "mtu": test_size(faults.small_link),
    "mtu-silent": test_size(faults.silent_small_link), "tcp-narrow": test_narrow_tcp, "forgetful": test_forgetful,
}
