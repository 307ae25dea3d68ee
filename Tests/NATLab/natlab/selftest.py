"""Shows that every kind of network behaves as its name says, before anything is tried in it."""

import json
import subprocess
import time

from . import nat
from .system import LabError
from .topology import FOLDER, Lab

PORTS = ("3478", "3479")


def observers(lab):
    """STUN observers on both relays, on two ports of each family."""
    for index, relay in enumerate(lab.relays):
        process = lab.start(relay, "python3", FOLDER / "natlab/stun.py", *lab.relay_addresses[index], *PORTS)
        if process.child.stdout.readline() != b"ready\n":
            raise LabError(f"observer {index}: {process.child.stderr.read().decode()}")


def probe(lab, host, family):
    column = 0 if family == 4 else 1
    first, second = (addresses[column] for addresses in lab.relay_addresses)
    process = lab.start(host, "python3", FOLDER / "natlab/probe.py", "0.0.0.0" if family == 4 else "::", first,
                        *PORTS, second)
    try:
        output, errors = process.child.communicate(timeout=30)
        return json.loads(output)
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        raise LabError(f"probe in {host}: {error} {process.child.stderr and errors}") from error
    finally:
        lab.end(process)


def forwards(lab, site, report):
    """Whether a stranger's request to a port that is forwarded is answered by the host behind it."""
    seen = []
    for number, host in enumerate(site.hosts):
        port = site.kind.forwarded + number
        process = lab.start(host, "python3", FOLDER / "natlab/stun.py", "0.0.0.0", port)
        process.child.stdout.readline()
        asker = lab.start(lab.relays[1], "python3", FOLDER / "natlab/asker.py", stdin=subprocess.PIPE)
        output, _ = asker.child.communicate(f"{site.wan4} {port} 100 3\n".encode(), timeout=30)
        seen.append(json.loads(output)["answered"])
    report({"type": "selftest", "kind": site.kind.name, "check": "forwards", "seen": seen, "ok": seen == [3, 3]})
    return seen == [3, 3]


def expected(kind, family):
    if not kind.udp or not (kind.ipv4 if family == 4 else kind.ipv6):
        return {"udp": False}
    if kind.routers == 0:
        return {"udp": True, "translated": False, "mapping": nat.INDEPENDENT, "filtering": nat.INDEPENDENT}
    if family == 6:
        # Unchanged addresses behind a firewall that lets answers in (RFC 6092).
        return {"udp": True, "translated": False, "mapping": nat.INDEPENDENT, "filtering": nat.PORT}
    return {"udp": True, "translated": kind.translated, "mapping": kind.mapping, "filtering": kind.filtering,
            "hairpin": kind.hairpin}


def check(kinds, report):
    """Probes each kind from both hosts in both families; returns the number of differences."""
    wrong = 0
    for name in kinds:
        kind = nat.KINDS[name]
        started = time.monotonic()
        with Lab() as lab:
            observers(lab)
            site = lab.add_site(kind)
            if kind.forwarded:
                wrong += not forwards(lab, site, report)
            for host in range(len(site.hosts)):
                for family in (4, 6):
                    seen, want = probe(lab, site.hosts[host], family), expected(kind, family)
                    differences = {key: seen.get(key) for key in want if seen.get(key) != want[key]}
                    wrong += len(differences)
                    report({"type": "selftest", "kind": name, "host": host, "family": family, "seen": seen,
                            "ok": not differences, "differences": differences,
                            "seconds": round(time.monotonic() - started, 1)})
    return wrong
