"""Links of a given round trip, rate, loss and queue: how much of one a whole `send` fills, beside whole scp commands.

The links are the NAT lab's (Tests/NATLab): an internet that delays, tbf at the sender's router, loss for each packet.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from measure import Failure, alternate, median
from table import Row

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "NATLab"))
from natlab import drivers, topology  # noqa: E402
from natlab.links import Link, shape  # noqa: E402
from natlab.system import LabError, Process, run  # noqa: E402

WANTED = 0.88
LIMIT = 300
# What scp has moved by then counts: with 1 % loss, CUBIC takes ten minutes over 64 MiB.
PATIENCE = 60
PORT = 2222

# With the size of the file, MiB.
LINKS = [
    (Link("near", 2, 1000), 256),
    (Link("wide", 40, 200), 128),
    (Link("far", 150, 100), 64),
    (Link("far, lossy", 150, 100, loss=1), 64),
    (Link("radio", 30, 50, loss=3), 32),
    (Link("bloated", 30, 20, queue=1), 32),
]


def link_rows(bench):
    """(a) One file over links between machines, whole commands; the share of the link's rate."""
    if os.geteuid() != 0:
        raise Failure("needs root: network namespaces, nftables and TUN devices")
    for link, mebibytes in LINKS[:2] if bench.smoke else LINKS:
        size = max(mebibytes // 16, 1) if bench.smoke else mebibytes
        source = bench.source(size)
        ours, cubic, bbr = (median(shares) for shares in alternate(
            bench.runs, lambda: share(bench, link, source, send), lambda: share(bench, link, source, scp("cubic")),
            lambda: share(bench, link, source, scp("bbr"))))
        yield Row("links", f"{described(link)}, {size} MiB", ours, "of the rate", "scp, CUBIC", cubic, True,
                  f">= {WANTED} of the rate", ours >= WANTED)
        yield Row("links", "", ours, "of the rate", "scp, BBR", bbr, True)


def described(link):
    loss = f", {link.loss:g} % lost" if link.loss else ""
    queue = f", queue of {link.queue:g} s" if link.queue else ""
    return f"{link.round_trip} ms, {link.rate:g} Mbit/s{loss}{queue}"


def share(bench, link, source, copy):
    """Of the link's rate, by the seconds from a command's start to its end. `copy` returns bytes a second."""
    try:
        with temporary_files(bench.folder), topology.Lab(delay=link.round_trip / 2) as lab:
            sites = lab.add_site("no-hairpin"), lab.add_site("public")
            shape(*sites, link)
            rate = copy(bench, lab, sites[0].hosts[0], sites[1], source)
    except LabError as error:
        raise Failure(f"{described(link)}: {error}") from error
    finally:
        topology.remove_binary()
    return rate * 8 / 1e6 / link.rate


@contextlib.contextmanager
def temporary_files(folder):
    """The lab's files, those that it receives too, lie where the benchmarks' do."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    if not os.path.exists("/dev/net/tun"):
        os.makedirs("/dev/net", exist_ok=True)
        os.mknod("/dev/net/tun", 0o20600, os.makedev(10, 200))
    try:
        yield
    finally:
        tempfile.tempdir = before


def send(bench, lab, sender, site, source):
    drivers.DeP2P.binary = bench.binary
    driver = drivers.DeP2P(lab)
    receiver, target = driver.listen(site.hosts[0])
    started = time.monotonic()
    sending = driver.send(sender, target, source)
    result = sending.next({"result"}, LIMIT)
    sending.process.child.wait(LIMIT)
    seconds = time.monotonic() - started
    driver.end(receiver)
    if not result or not result[1]["ok"]:
        raise LabError(f"send: {result and result[1]}")
    return source.stat().st_size / seconds


def scp(control):
    """`scp` under a congestion control of the kernel's."""

    def copy(bench, lab, sender, site, source):
        address, target = site.addresses[0][0], bench.folder / "links.out"
        # By the route: the setting of a namespace takes only what the machine's allows everybody.
        way = run("ip", "-n", sender, "route", "show", "default").split()
        run("ip", "-n", sender, "route", "replace", *way, "congctl", control)
        server = lab.start(site.hosts[0], *bench.scp().server(address, PORT))
        while b"listening on" not in (line := server.child.stderr.readline()):
            if not line:
                raise LabError("sshd does not listen")
        started = time.monotonic()
        client = Process(sender, list(map(str, bench.scp().client(address, PORT, source, target))))
        try:
            _, said = client.child.communicate(timeout=PATIENCE)
            if client.child.returncode != 0:
                raise LabError(f"scp, {control}: {said.decode(errors='replace')[-400:]}")
        except subprocess.TimeoutExpired:
            pass  # what has arrived is looked at below
        finally:
            seconds = time.monotonic() - started
            client.end()
        moved = target.stat().st_size
        target.unlink()
        if seconds < PATIENCE and moved != source.stat().st_size:
            raise LabError(f"scp, {control}: half a file")
        return moved / seconds

    return copy
