"""What a hop on the way does to those who send over it: it is narrow and says nothing, or it forgets."""

import time

from . import topology
from .system import run


def narrow(size):
    """A hop that drops packets of more bytes than that, and tells nobody: no ICMP, and nothing is fragmented."""

    def narrowed(lab, site):
        lab.command(f"size {site.port} {size}")

    return narrowed


def forget(router):
    """Every mapping and every flow that a router has."""
    run("ip", "netns", "exec", router, "python3", str(topology.FOLDER / "natlab/conntrack.py"))
    rules = run("ip", "netns", "exec", router, "nft", "list", "ruleset")
    if "map given" in rules:
        topology.nft(router, "flush map ip lab_nat given\n")
    if "map cone" in rules:
        topology.nft(router, "flush map ip lab_nat cone\nflush set ip lab_nat seen_address\nflush set ip lab_nat seen\n")


def strict(router):
    """What belongs to no known flow is dropped: by itself Linux takes a TCP flow up in its middle."""
    run("ip", "netns", "exec", router, "sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0")
    # At the head, before what is let through because it comes from inside.
    topology.nft(router, "insert rule inet lab_filter forward ct state invalid drop\n")


def forgetful(seconds):
    """A middlebox that forgets every flow each so many seconds, and drops silently, without a reset, what goes on."""

    def forgetting(scene):
        router = scene.site.routers[0]
        strict(router)
        while True:
            forget(router)
            if scene.struck is None:
                scene.is_struck()
            time.sleep(seconds)

    forgetting.takes_time = True
    return forgetting
