"""Compares what a listening node finds out about its reachability with what each network is."""

import json
import os
import tempfile

from . import nat, natcheck
from .drivers import Events
from .system import run
from .topology import Lab

# Where UDP does not pass nobody dials back: that is found out by the time that others have their answer.
WAIT = 6


def expected(kind):
    if not kind.udp:
        return None
    return "public" if kind.filtering == nat.INDEPENDENT else "private"


def check(binary, kinds, report):
    wrong = 0
    for name in kinds:
        kind = nat.KINDS[name]
        with Lab() as lab, tempfile.TemporaryDirectory(prefix="natlab-") as folder:
            options = natcheck.relays(lab, binary, named=True)
            site = lab.add_site(kind)
            key = os.path.join(folder, "realm.key")
            run(binary, "realm-key", "-o", key)
            events = Events(lab.start(
                site.hosts[0], binary, "listen", "--ephemeral", "--json", "--realm-key", key, "--no-port-mapping",
                "--state-dir", folder, *options))
            state, seconds, addresses = None, None, []
            while found := events.next({"reachability", "result"}, WAIT if state is None else 2):
                seconds, event = found
                if event["type"] == "result":
                    break
                state, addresses = event["state"], event["addresses"]
        want = expected(kind)
        wrong += state != want
        report({"type": "reachability", "kind": name, "ok": state == want, "seconds": seconds and round(seconds, 2),
                "differences": {} if state == want else {"state": state}, "addresses": addresses})
    return wrong
