"""Compares what a listening node finds out about its reachability with what each network is."""

import os
import tempfile
import time

from . import nat, natcheck
from .drivers import Events
from .system import run
from .topology import Lab, address, ip

# Where UDP does not pass nobody dials back: that is found out by the time that others have their answer.
WAIT = 6


def expected(kind):
    if not kind.udp:
        return None
    return "public" if kind.filtering == nat.INDEPENDENT or kind.forwarded else "private"


def check(binary, kinds, report):
    wrong = 0
    for name in kinds:
        kind = nat.KINDS[name]
        with Lab() as lab, tempfile.TemporaryDirectory(prefix="natlab-") as folder:
            site = lab.add_site(kind)
            events = listen(lab, site, binary, folder)
            state, seconds, addresses = None, None, []
            while found := events.next({"reachability", "result"}, WAIT if state is None else 2):
                seconds, event = found
                if event["type"] == "result":
                    break
                state, addresses = event["state"], event["addresses"]
        want = expected(kind)
        ok = state == want and (not kind.forwarded or any(f"/{site.wan4}/udp/{kind.forwarded}/" in item for item in addresses))
        wrong += not ok
        report({"type": "reachability", "kind": name, "ok": ok, "seconds": seconds and round(seconds, 2),
                "differences": {} if ok else {"state": state}, "addresses": addresses})
    for name, ok in move(binary):
        wrong += not ok
        report({"type": "reachability", "check": name, "ok": bool(ok)})
    return wrong


def listen(lab, site, binary, folder):
    options = natcheck.relays(lab, binary, named=True)
    key = os.path.join(folder, "realm.key")
    run(binary, "realm-key", "-o", key)
    if site.kind.forwarded:
        options += ["--listen", f":{site.kind.forwarded}"]
    return Events(lab.start(
        site.hosts[0], binary, "listen", "--ephemeral", "--json", "--realm-key", key, "--no-port-mapping",
        "--state-dir", folder, *options))


def move(binary):
    """A host that gets another address: noticed, told, and tried out anew."""
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="natlab-") as folder:
        site = lab.add_site("full-cone")
        events = listen(lab, site, binary, folder)
        first = events.next({"reachability"}, WAIT)
        yield "reachable before", first and first[1]["state"] == "public"
        host = site.hosts[0]
        ip(host, "address", "del", "192.168.1.10/24", "dev", "eth0")
        time.sleep(0.1)
        address(host, "eth0", "192.168.1.77/24")
        ip(host, "route", "add", "default", "via", "192.168.1.1")
        moved = events.next({"addresses"}, WAIT)
        yield "the new address is told", moved and any("/192.168.1.77/" in item for item in moved[1]["addresses"])
        yield "the old one is not", moved and not any("/192.168.1.10/" in item for item in moved[1]["addresses"])
        # The lab's router keeps the port's old owner: what counts is that somebody was asked again.
        states = []
        while (found := events.next({"reachability"}, 12)) and (states or [""])[-1] not in ("public", "private"):
            states.append(found[1]["state"])
        yield f"tried again: {states}", (states or [""])[-1] in ("public", "private")
