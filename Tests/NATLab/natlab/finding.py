"""Members behind NATs that know nothing but the realm key and a bootstrap relay: found by NodeID, and met without one."""

import filecmp
import os

from . import drivers
from .faults import write_random
from .topology import Lab

KIND = "port-restricted"
LIMIT = 30
# A file that takes no time of its own on the lab's links.
LARGEST = 200_000


class Members(drivers.DeP2P):
    """Knows the relay as a bootstrap node alone: nobody is told to reserve there, nor where anybody is."""

    def start_relays(self, count=1):
        super().start_relays(count)
        self.options = ["--bootstrap" if word == "--relay" else word for word in self.options]

    def member(self, host, command, *arguments):
        return self.dep2p(host, command, "--realm-key", self.realm, *self.options, *arguments)


def check(binary, runs, size, report):
    """Returns the number of failures. Seconds are those of whole commands, from their start to their end."""
    drivers.DeP2P.binary = binary
    failed = 0
    for _ in range(runs):
        for name, find in (("by NodeID", by_node_id), ("by the realm key alone", by_realm_key)):
            with Lab() as lab:
                members = Members(lab)
                members.start_relays()
                sites = [lab.add_site(KIND) for _ in range(2)]
                seconds, result = find(members, [site.hosts[0] for site in sites], size)
            ok = bool(result) and result.get("ok") is True
            failed += not ok
            item = {"type": "finding", "kind": KIND, "check": name, "ok": ok, "seconds": seconds and round(seconds, 2),
                    "paths": result and result.get("path")}
            report(item if ok else item | {"error": result})
    return failed


def by_node_id(members, hosts, size):
    inbox = members.path("inbox")
    listener = members.member(hosts[0], "listen", "-o", inbox)
    name = members.ready(listener, "listener")["node_id"]
    # Until the relay has granted its reservation nobody can reach it.
    listener.next({"addresses"}, LIMIT)
    path = members.path("file")
    with open(path, "wb") as file:
        write_random(file, size)
    seconds, result = members.member(hosts[1], "send", "--to", name, path).next({"result"}, LIMIT) or (None, None)
    arrived = os.path.join(inbox, os.path.basename(path))
    if not result or not os.path.exists(arrived) or not filecmp.cmp(arrived, path, shallow=False):
        return seconds, {"ok": False, "result": result}
    # What is asked for is a straight path.
    return seconds, result | {"ok": result["ok"] and result["path"] != "relay"}


def by_realm_key(members, hosts, size):
    subscriber = members.member(hosts[0], "subscribe", "news")
    members.ready(subscriber, "subscriber")
    seconds, result = members.member(hosts[1], "publish", "--wait-peers", "1", "news", "here").next(
        {"result"}, LIMIT) or (None, None)
    if result and result["ok"] and not subscriber.next({"message"}, LIMIT):
        return seconds, {"ok": False, "result": "nothing came"}
    return seconds, result
