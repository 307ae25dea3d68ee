"""Compares dep2p's NAT check with what each network is."""

import json
import subprocess

from . import nat, selftest
from .topology import Lab

NAMES = {
    ("public", 4): "none", ("full-cone", 4): "full cone", ("address-restricted", 4): "address-restricted cone",
    ("symmetric", 4): "symmetric", ("ipv6-only", 6): "firewall",
}


def expected(kind):
    """The fields of a report that a network of this kind must give; None: not determined."""
    family = 4 if kind.ipv4 else 6
    facts = selftest.expected(kind, family)
    if not facts["udp"]:
        return {"udp": None, "mapping": None, "filtering": None, "nat_type": None}
    name = NAMES.get((kind.name, family), "port-restricted cone")
    # Hairpinning is a question for translators whose mapping is steady.
    steady = facts["translated"] and facts["mapping"] == nat.INDEPENDENT
    return {
        "udp": True, "ipv4": kind.ipv4, "ipv6": kind.ipv6, "mapping": facts["mapping"],
        "filtering": facts["filtering"], "nat_type": name, "mtu": 1500,
        "hairpin": facts["hairpin"] if steady else None,
        "ports": None if not facts["translated"] else "preserving" if steady else "random",
    }


def check(probe, kinds, report):
    wrong = 0
    for name in kinds:
        kind = nat.KINDS[name]
        # Half of the networks see dep2p's own observers, half the lab's: each shows the other's mistakes.
        own = list(nat.KINDS).index(name) % 2 == 0
        with Lab() as lab:
            ports = own_observers(lab, probe) if own else lab_observers(lab)
            site = lab.add_site(kind)
            addresses = [f"{host}:{port}" for v4, v6 in lab.relay_addresses for host in (v4, f"[{v6}]")
                         for port in ports]
            process = lab.start(site.hosts[0], probe, "check", *addresses)
            seen = json.loads(process.child.communicate(timeout=30)[0])
        want = expected(kind)
        differences = {key: seen.get(key) for key in want if seen.get(key) != want[key]}
        wrong += len(differences)
        report({"type": "nat-check", "kind": name, "seen": seen, "ok": not differences, "differences": differences})
    return wrong


def lab_observers(lab):
    selftest.observers(lab)
    return selftest.PORTS


def own_observers(lab, probe):
    for index, relay in enumerate(lab.relays):
        v4, v6 = lab.relay_addresses[index]
        addresses = [f"{host}:{port}" for host in (v4, f"[{v6}]") for port in selftest.PORTS]
        process = lab.start(relay, probe, "observe", *addresses, stdin=subprocess.PIPE)
        process.child.stdout.readline()
    return selftest.PORTS
