"""Compares what `dep2p nat-check` says with what each network is."""

import json

from . import nat, selftest, stun
from .system import LabError
from .topology import FOLDER, Lab

NAMES = {
    ("public", 4): "none", ("full-cone", 4): "full cone", ("address-restricted", 4): "address-restricted cone",
    ("symmetric", 4): "symmetric", ("forwarded-symmetric", 4): "symmetric", ("sequential", 4): "symmetric",
    ("ipv6-only", 6): "firewall",
}


# The observers are at two addresses: one step in sequence may be chance.
PORTS = {nat.INDEPENDENT: "preserving", nat.ADDRESS: None, nat.PORT: "random"}


def expected(kind, legs):
    """The fields of a report that a network of this kind must give; None: not determined."""
    family = 4 if kind.ipv4 else 6
    facts = selftest.expected(kind, family)
    if not facts["udp"]:
        # Only TCP tells a network that blocks UDP from servers that are down; both let port 443 through.
        return {"udp": False if legs else None, "tcp": legs, "captive_portal": None, "exit": 69, "mapping": None,
                "filtering": None, "nat_type": None}
    name = NAMES.get((kind.name, family), "port-restricted cone")
    # Hairpinning is a question for translators whose mapping is steady.
    steady = facts["translated"] and facts["mapping"] == nat.INDEPENDENT
    return {
        "exit": 0, "udp": True, "ipv4": kind.ipv4, "ipv6": kind.ipv6, "mapping": facts["mapping"],
        "filtering": facts["filtering"], "nat_type": name, "mtu": 1500,
        "hairpin": facts["hairpin"] if steady else None,
        "ports": None if not facts["translated"] else PORTS[facts["mapping"]],
    }


def check(binary, kinds, report):
    """Every network by dep2p's relays and by the lab's observers: each shows the other's mistakes."""
    wrong = 0
    for name in kinds:
        kind = nat.KINDS[name]
        for observers in (relays, lab_observers):
            with Lab() as lab:
                ports = observers(lab, binary)
                site = lab.add_site(kind)
                seen = ask(lab, site.hosts[0], binary, ports)
            want = expected(kind, legs=observers is relays)
            differences = {key: seen.get(key) for key in want if seen.get(key) != want[key]}
            wrong += len(differences)
            report({"type": "nat-check", "kind": name, "observers": observers.__name__, "seen": seen,
                    "ok": not differences, "differences": differences})
    return wrong


# Kinds in front of which observers lie: one whose mapping is steady, and one whose is not.
LIED_TO = ("full-cone", "symmetric")


def liars(binary, report):
    """One observer that lies, beside two that do not, changes nothing of what is said; nor does it come first."""
    wrong = 0
    for name in LIED_TO:
        for lie in stun.LIES:
            with Lab() as lab:
                lab_observers(lab, binary)
                liar = lab.add_site("public")
                address = liar.addresses[0][0]
                process = lab.start(
                    liar.hosts[0], "python3", FOLDER / "natlab/stun.py", address, *selftest.PORTS, "--lie", lie)
                if process.child.stdout.readline() != b"ready\n":
                    raise LabError(f"liar: {process.child.stderr.read().decode()}")
                site = lab.add_site(nat.KINDS[name])
                lies = [f"{address}:{port}" for port in selftest.PORTS]
                seen = ask(lab, site.hosts[0], binary, selftest.PORTS, before=lies)
            want = expected(nat.KINDS[name], legs=False) | {"observed": [site.wan4]}
            seen["observed"] = sorted({item.rsplit(":", 1)[0] for item in seen.get("observed") or []})
            if lie.endswith(("-port", "-port-each")) and name == "symmetric" and lie != "no-port":
                # There honest ones see other ports too: nobody can tell, and less may be said of ports.
                want["filtering"] = "endpoint-dependent"
            differences = {key: seen.get(key) for key in want if seen.get(key) != want[key]}
            wrong += bool(differences)
            report({"type": "nat-check", "kind": name, "check": f"liar: {lie}", "seen": seen, "ok": not differences,
                    "differences": differences})
    return wrong


def ask(lab, host, binary, ports, before=()):
    servers = [option for address in before for option in ("--server", address)]
    servers += [option for v4, v6 in lab.relay_addresses for address in (v4, f"[{v6}]") for port in ports
                for option in ("--server", f"{address}:{port}")]
    process = lab.start(host, binary, "nat-check", "--json", *servers)
    output, errors = process.child.communicate(timeout=40)
    try:
        return json.loads(output.splitlines()[-1])
    except (IndexError, json.JSONDecodeError) as error:
        raise LabError(f"nat-check: {errors.decode(errors='replace').strip()}") from error


def relays(lab, binary, named=False):
    """dep2p relays, with one port and a TCP leg each: the ports, or the options that name them."""
    options = []
    for index, relay in enumerate(lab.relays):
        v4, v6 = lab.relay_addresses[index]
        process = lab.start(relay, binary, "relay", "--ephemeral", "--json", "--listen", f"{v4}:4001", "--listen",
                            f"[{v6}]:4001", "--tcp-listen", f"{v4}:443", "--tcp-listen", f"[{v6}]:443")
        while (event := json.loads(process.child.stdout.readline())).get("type") != "listening":
            pass
        options += [option for address in event["addresses"] for option in ("--relay", address)]
    return options if named else ("4001",)


def lab_observers(lab, _):
    selftest.observers(lab)
    return selftest.PORTS
