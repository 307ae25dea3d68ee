"""How much of a link a transfer fills: links of a given round trip, rate, loss and queue, one sender each.

With two binaries each link is filled by one and then by the other, in turn, so that a busy machine slows both.
"""

import statistics
import tempfile
from dataclasses import dataclass

from . import drivers, topology
from .faults import write_random
from .system import LabError
from .topology import Lab

TRANSFER_LIMIT = 120


@dataclass(frozen=True)
class Link:
    name: str
    round_trip: int  # milliseconds
    rate: float  # Mbit/s
    loss: float = 0  # of a hundred packets, at random, towards the receiver
    queue: float = 0  # seconds at the rate; 0: one round trip, 20 ms at least
    seconds: float = 8  # how long the transfer takes when it fills the link

    @property
    def bytes(self):
        return int(self.rate * 125_000 * self.seconds)

    @property
    def queue_bytes(self):
        return int(self.rate * 125_000 * (self.queue or max(self.round_trip / 1000, 0.02)))


LINKS = {
    link.name: link
    for link in [
        Link("lossy", 30, 50, loss=3),
        Link("very-lossy", 30, 50, loss=10),
        Link("far", 150, 50, loss=1, seconds=12),
        Link("far-slow", 150, 5, loss=3, seconds=12),
        Link("wide", 40, 200, seconds=6),
        Link("near", 2, 1000, seconds=3),
        Link("bloated", 30, 20, queue=1),
        Link("clean", 40, 100),
        Link("shallow", 40, 50, queue=0.005),
        Link("slow", 60, 2, seconds=20),
    ]
}


def run(binaries, names, rounds, report):
    """Returns the number of transfers that did not arrive. Each row: the share of the link's rate, a run."""
    failed = 0
    for name in names:
        link = LINKS[name]
        shares = [[] for _ in binaries]
        for _ in range(rounds):
            for index, binary in enumerate(binaries):
                try:
                    shares[index].append(fill(binary, link))
                except (LabError, OSError) as error:
                    failed += 1
                    report({"type": "link", "check": name, "ok": False, "error": str(error)})
        for binary, share in zip(binaries, shares):
            if share:
                report({"type": "link", "check": name, "ok": True, "fault": binary, "shares": share,
                        "seconds": f"median {statistics.median(share):.2f} of {share}"})
    return failed


def fill(binary, link):
    """The share of the link's rate at which a file's bytes arrive."""
    drivers.DeP2P.binary = binary
    with Lab(delay=link.round_trip / 2) as lab, tempfile.NamedTemporaryFile(prefix="natlab-") as file:
        driver = drivers.DeP2P(lab)
        sender_site, receiver_site = lab.add_site("no-hairpin"), lab.add_site("public")
        shape(sender_site, receiver_site, link)
        write_random(file, link.bytes)
        receiver, target = driver.listen(receiver_site.hosts[0])
        sender = driver.send(sender_site.hosts[0], target, file.name)
        found = sender.next({"result"}, TRANSFER_LIMIT)
        driver.end(sender)
        driver.end(receiver)
    if not found or not found[1]["ok"]:
        raise LabError(f"{link.name}: {found and found[1]}")
    return round(link.bytes / found[1]["seconds"] / (link.rate * 125_000), 3)


def shape(sender_site, receiver_site, link):
    """The rate and the queue at the sender's router, the loss at the receiver."""
    burst = max(int(link.rate * 125_000 * 0.001), 3_200)
    topology.run("tc", "-n", sender_site.routers[0], "qdisc", "add", "dev", "wan0", "root", "tbf",
                 "rate", f"{link.rate}mbit", "burst", str(burst), "limit", str(link.queue_bytes))
    if link.loss:
        topology.nft(receiver_site.hosts[0], f"""
table inet lab_loss {{
    chain lose {{
        type filter hook input priority filter - 5;
        meta l4proto {{ udp, tcp }} numgen random mod 1000 < {int(link.loss * 10)} drop;
    }}
}}
""")
