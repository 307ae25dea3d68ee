"""How a transfer shares a link with TCP: one of each on the same bottleneck, and what each of them gets.

A TCP flow has the link for itself first, then a transfer begins and is looked at once it has started up. Two TCP flows
on that link, one later than the other, say what a newcomer gets there at all.
"""

import statistics
import subprocess
import tempfile
import time
from dataclasses import replace

from . import drivers
from .faults import write_random
from .links import LINKS, shape
from .system import LabError
from .topology import FOLDER, Lab

CONTROL = "cubic"
PORT = 5001
ALONE = 6
TOGETHER = 25
# Of the time together, what start-up may take.
SETTLING = 5


class TCPFlow:
    """From one host to another, until the lab ends."""

    def __init__(self, lab, sender, receiver, address, port, control=CONTROL):
        program = ("python3", FOLDER / "natlab/flow.py")
        self.sink = lab.start(receiver, *program, "sink", address, port, stdin=subprocess.PIPE).child
        if self.sink.stdout.readline() != b"ready\n":
            raise LabError("the TCP sink does not listen")
        lab.start(sender, *program, "source", address, port, control)

    def bytes(self):
        self.sink.stdin.write(b"\n")
        self.sink.stdin.flush()
        return int(self.sink.stdout.readline() or 0)


class Transfer:
    """A file of more bytes than the time together can carry."""

    def __init__(self, lab, link, sender, receiver):
        self.driver = drivers.DeP2P(lab)
        self.file = tempfile.NamedTemporaryFile(prefix="natlab-")
        write_random(self.file, int(link.rate * 125_000 * (TOGETHER + SETTLING)))
        _, target = self.driver.listen(receiver)
        self.sender = self.driver.send(sender, target, self.file.name)
        self.sent = 0

    def bytes(self):
        while item := self.sender.next({"progress", "result"}, 0.001):
            if item[1]["type"] == "result":
                raise LabError(f"the transfer ended: {item[1]}")
            self.sent = item[1]["bytes"]
        return self.sent


def run(binaries, names, rounds, report):
    """Returns the number of runs that failed. Each row: the newcomer's share of what both of them got, a run."""
    failed = 0
    for name in names:
        newcomers = [*binaries, CONTROL]
        found = {newcomer: [] for newcomer in newcomers}
        for _ in range(rounds):
            for newcomer in newcomers:
                try:
                    found[newcomer].append(share(newcomer, LINKS[name]))
                except (LabError, OSError) as error:
                    failed += 1
                    report({"type": "fairness", "check": name, "ok": False, "error": str(error)})
        for newcomer, runs in found.items():
            if runs:
                newest, first, alone = (round(statistics.median(values), 2) for values in zip(*runs))
                report({"type": "fairness", "check": name, "ok": True, "fault": newcomer, "runs": runs,
                        "paths": f"{newest} of the link, {CONTROL} beside it {first}, alone before {alone}"})
    return failed


def share(newcomer, link):
    """Shares of the link's rate: the newcomer's, that of the TCP flow beside it, and that flow's before, alone."""
    # A long queue's delay has to build up, and be acknowledged, before anything can settle.
    link = replace(link, seconds=TOGETHER)
    with Lab(delay=link.round_trip / 2) as lab:
        sites = lab.add_site("no-hairpin"), lab.add_site("public")
        shape(*sites, link)
        sender, receiver, address = sites[0].hosts[0], sites[1].hosts[0], sites[1].addresses[0][0]
        first = TCPFlow(lab, sender, receiver, address, PORT)
        time.sleep(SETTLING)
        alone = rates([first], ALONE)[0]
        if newcomer == CONTROL:
            second = TCPFlow(lab, sender, receiver, address, PORT + 1)
        else:
            drivers.DeP2P.binary = newcomer
            second = Transfer(lab, link, sender, receiver)
        time.sleep(SETTLING)
        both = rates([second, first], TOGETHER - SETTLING)
    return [round(value / (link.rate * 125_000), 3) for value in (*both, alone)]


def rates(flows, seconds):
    """Bytes a second of each, over some seconds."""
    started, before = time.monotonic(), [flow.bytes() for flow in flows]
    time.sleep(seconds)
    after = [flow.bytes() for flow in flows]
    elapsed = time.monotonic() - started
    return [(late - early) / elapsed for early, late in zip(before, after)]
