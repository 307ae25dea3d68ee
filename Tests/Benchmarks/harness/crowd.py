"""Many idle connections of one node: whether one costs at the end what one did at the beginning, and what a relay has of
those of one node behind it."""

import json
import os
import subprocess
import threading
import time

from measure import Failure, Process, status_kib
from table import Row

# What a connection may cost more at the end, since clocks, caches and tables are not as quick.
FLAT = 1.25
COUNT, SMOKE = 10_000, 200
# Members of one node behind a relay with its default limits; more than 32, what one may have that carry something.
RELAYED, RELAYED_SMOKE = 1_000, 80
RELAY_MIB = 128


def processor_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Stage:
    """What the server had used when so many connections were open, and how long the last of them took."""

    def __init__(self, report, server, seconds):
        self.count, self.milliseconds = report["connections"], report["median_us"] / 1000
        if report["open"] != self.count:
            raise Failure(f"{report['open']} of {self.count} connections are open")
        if report["answered"] != min(self.count, 50):
            raise Failure(f"only {report['answered']} of the first members are answered")
        self.kib, self.seconds = status_kib(server.pid, "VmRSS"), seconds


def told(client):
    """The next that the crowd tells: that so many are there, and a while later the same with what they still have."""
    line = client.child.stdout.readline()
    if not line:
        raise Failure(f"the crowd ended: {client.errors[-1:]}")
    return json.loads(line)


def stages(bench, count, relay=None):
    """At the start, and at a tenth, the half and the end of the connections; and the processor time of a while of nothing.

    Of the server, or of the `relay` (a process and its address) that all come through."""
    server = Process([bench.engine_binary, "serve-crowd", *([relay[1]] if relay else [])], stdin=subprocess.PIPE,
                     stdout=subprocess.PIPE)
    client = None
    try:
        address = json.loads(server.child.stdout.readline() or "{}").get("address")
        if not address:
            raise Failure("the engine's server printed no address")
        measured = relay[0] if relay else server
        start = status_kib(measured.pid, "VmRSS")
        client = Process([bench.engine_binary, "members-crowd", address, str(count)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
        found = []
        while len(found) < 3:
            reached = told(client)
            seconds = processor_seconds(measured.pid)
            found.append(Stage(reached | told(client), measured, seconds))
        idle = idle_share(measured.pid, 3 if bench.smoke else 10)
        client.child.stdin.close()
        return start, found, idle
    finally:
        if client:
            client.stop()
        server.stop()


def idle_share(pid, seconds):
    """The part of a processor that a process takes while nothing happens."""
    before, started = processor_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (processor_seconds(pid) - before) / (time.monotonic() - started)


def crowd_rows(bench):
    """(i) 10,000 members that say nothing: memory, and time to be admitted, from the first thousand to the last."""
    if not bench.engine_binary:
        raise Failure("no engine benchmark program (--engine)")
    start, (first, half, last), idle = stages(bench, SMOKE if bench.smoke else COUNT)
    what = f"{last.count} idle connections"
    used = last.kib / 1024
    yield Row("crowd", f"memory of a node with {what}", used, "MiB", wanted="<= 1024 MiB", reached=used <= 1024)
    early = (first.kib - start) / first.count
    late = (last.kib - half.kib) / (last.count - half.count)
    yield Row("crowd", f"memory a connection, from {half.count} to {last.count}", late, "KiB",
              f"up to {first.count}", early, False, f"<= {FLAT} x", late <= FLAT * early)
    yield Row("crowd", f"handshake and admission, up to {last.count}, median", last.milliseconds, "ms",
              f"up to {first.count}", first.milliseconds, False, f"<= {FLAT} x",
              last.milliseconds <= FLAT * first.milliseconds)
    middle = (half.seconds - first.seconds) / (half.count - first.count) * 1000
    end = (last.seconds - half.seconds) / (last.count - half.count) * 1000
    yield Row("crowd", f"processor time a connection, from {half.count} to {last.count}", end, "ms",
              f"from {first.count} to {half.count}", middle, False)
    yield Row("crowd", f"processor with {what}", idle * 100, "% of one")


def relayed_rows(bench):
    """1,000 members of one node behind a relay that has its default limits, and no straight path."""
    relay = Process([bench.binary, "relay", "--ephemeral", "--public", "--json", "--listen", "127.0.0.1:0"],
                    stdout=subprocess.PIPE)
    try:
        address = None
        while not address:
            line = relay.child.stdout.readline()
            if not line:
                raise Failure(f"the relay ended: {relay.errors[-1:]}")
            address = next(iter(json.loads(line).get("addresses", [])), None)
        # Reports of circuits are not read any more: nothing may wait for room in the pipe.
        threading.Thread(target=relay.child.stdout.read, daemon=True).start()
        start, (_, half, last), idle = stages(bench, RELAYED_SMOKE if bench.smoke else RELAYED, (relay, address))
    finally:
        relay.stop()
    what = f"{last.count} idle members of one node behind it"
    used = last.kib / 1024
    yield Row("relayed-crowd", f"memory of a relay with {what}", used, "MiB", wanted=f"<= {RELAY_MIB} MiB", reached=used <= RELAY_MIB)
    yield Row("relayed-crowd", f"its memory a member, from {half.count} to {last.count}", (last.kib - half.kib) / (last.count - half.count),
              "KiB", "at all", (last.kib - start) / last.count, False)
    yield Row("relayed-crowd", f"processor of a relay with {what}", idle * 100, "% of one")
