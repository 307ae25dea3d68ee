"""The rows: what each measures, beside which baseline, and the figure it has to reach."""

import json
import os
import pathlib
import resource
import signal
import subprocess
import threading

from copies import DeP2P, OpenSSL, SecureCopy, Tar, TarOverTLS, check_same_folder, free_port, wait_for_port
from crowd import crowd_rows, relayed_rows
from links import link_rows
from measure import Failure, Process, alternate, median, run_json, status_kib
from table import Row
from topics import topic_memory_rows, topic_rows

MEBIBYTE = 1024 * 1024
LOOP = "TLS 1.3/TCP loop"


class Bench:
    """Where the rows run: the folder on tmpfs, the programs, how much and how often."""

    def __init__(self, folder, binary, engine, loop, runs, smoke):
        self.folder, self.runs, self.smoke = pathlib.Path(folder), runs, smoke
        self.binary, self.engine_binary, self.loop_binary = binary, engine, loop
        self._made = {}

    def members(self, mode, count):
        """As `engine`, between two nodes of a realm."""
        return self.engine(mode, count, "serve-members")

    def once(self, make):
        if make not in self._made:
            self._made[make] = make()
        return self._made[make]

    def openssl(self):
        return self.once(self._openssl)

    def _openssl(self):
        return OpenSSL(self.folder)

    def scp(self):
        return self.once(self._scp)

    def _scp(self):
        return SecureCopy(self.folder)

    def dep2p(self):
        return self.once(self._dep2p)

    def _dep2p(self):
        if not self.binary:
            raise Failure("no dep2p binary (--dep2p)")
        return DeP2P(self.binary, self.folder)

    def source(self, mebibytes):
        path = self.folder / f"source-{mebibytes}"
        if not path.exists():
            with open(path, "wb") as file:
                for _ in range(mebibytes):
                    file.write(os.urandom(MEBIBYTE))
        return path

    def many(self, count):
        """A folder of so many files of 20 bytes, a thousand to a folder."""
        folder = self.folder / f"many-{count}"
        for number in range(0 if folder.exists() else count):
            if number % 1000 == 0:
                (folder / str(number // 1000)).mkdir(parents=True)
            (folder / str(number // 1000) / str(number)).write_bytes(b"%019d\n" % number)
        return folder

    def loop(self, mode, count):
        return run_json([self.loop_binary, mode, str(count)])

    def engine(self, mode, count, serve="serve"):
        """Runs one mode of the engine's benchmark program: a server process and a client process."""
        if not self.engine_binary:
            raise Failure("no engine benchmark program (--engine)")
        server = Process([self.engine_binary, serve], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            hello = json.loads(server.child.stdout.readline() or "{}")
            if "address" not in hello:
                raise Failure("the engine's server printed no address")
            before = status_kib(server.pid, "VmRSS")
            result = run_json([self.engine_binary, mode, hello["address"], str(count)])
            result["server_kib"] = status_kib(server.pid, "VmRSS") - before
            server.child.stdin.close()
            result["receiver_cpu"] = server.wait(timeout=20).cpu
            return result
        finally:
            server.stop()


class Relayed:
    """A `dep2p relay` and a node behind it, which serves; both until the end of a `with`."""

    UNLIMITED = ("--max-circuits", "65536", "--max-circuits-per-ip", "100000", "--max-circuits-per-subnet", "100000",
                 "--max-reservations-per-ip", "100000", "--max-reservations-per-subnet", "100000", "--max-requests",
                 "100000")

    def __init__(self, bench, *options, over_tcp=False):
        if not bench.binary or not bench.engine_binary:
            raise Failure("no dep2p binary or no engine benchmark program (--dep2p, --engine)")
        self.bench = bench
        self.relay = Process([bench.binary, "relay", "--ephemeral", "--public", "--json", "--preset", "server", "--listen",
                              "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0", *self.UNLIMITED, *options],
                             stdout=subprocess.PIPE)
        addresses = self.hello(self.relay, "addresses")["addresses"]
        relay = next(address for address in addresses if ("/tcp/" in address) == over_tcp)
        # Reports of circuits are not read any more: nothing may wait for room in the pipe.
        threading.Thread(target=self.relay.child.stdout.read, daemon=True).start()
        self.server = Process([bench.engine_binary, "serve-relayed", relay], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        hello = self.hello(self.server, "address")
        self.address, self.direct = hello["address"], hello["direct"]

    @staticmethod
    def hello(process, field):
        while line := process.child.stdout.readline():
            found = json.loads(line)
            if field in found:
                return found
        raise Failure(f"{process.argv[0]} {process.argv[1]} printed no {field}")

    def run(self, mode, count, direct=False):
        return run_json([self.bench.engine_binary, mode, self.direct if direct else self.address, str(count)])

    def start(self, mode, count):
        return Process([self.bench.engine_binary, mode, self.address, str(count)], stdin=subprocess.PIPE,
                       stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()
        self.relay.stop()


def relay_rows(bench):
    """(h) Through a relay beside direct, in one run; what circuits hold of its memory; a flood beside a circuit."""
    size, rounds, count = (64, 200, 50) if bench.smoke else (1024, 5_000, 1_000)
    direct = "the same, directly"
    with Relayed(bench, "--circuit-rate", "0", "--circuit-bytes", "0") as relayed, Relayed(
            bench, "--circuit-rate", "0", "--circuit-bytes", "0", over_tcp=True) as over_tcp:
        rates = [median([result["mib_per_second"] for result in results]) for results in alternate(
            bench.runs, lambda: relayed.run("node-throughput", size, direct=True),
            lambda: relayed.run("node-throughput", size), lambda: over_tcp.run("node-throughput", size))]
        yield Row("relay", f"one stream, {size} MiB, through a relay", rates[1], "MiB/s", direct, rates[0], True,
                  ">= 0.5 x direct", rates[1] / rates[0] >= 0.5)
        yield Row("relay", "the same, both sides on TCP", rates[2], "MiB/s", direct, rates[0], True)
        times = [median([result["median_us"] for result in results]) / 1000 for results in alternate(
            bench.runs, lambda: relayed.run("node-latency", rounds, direct=True),
            lambda: relayed.run("node-latency", rounds), lambda: over_tcp.run("node-latency", rounds))]
        yield Row("relay", "1 KiB request and reply, median", times[1], "ms", direct, times[0], False, "<= 1 ms more",
                  times[1] - times[0] <= 1)
        yield Row("relay", "the same, both sides on TCP", times[2], "ms", direct, times[0], False, "<= 1 ms more",
                  times[2] - times[0] <= 1)
    yield circuit_memory(bench, count)
    yield from flood_rows(bench)


def circuit_memory(bench, count):
    with Relayed(bench) as relayed:
        clients = relayed.start("node-circuits", count)
        nodes = relayed.hello(clients, "circuits")["nodes"]
        used = status_kib(relayed.relay.pid, "VmRSS") / 1024
        clients.stop()
    return Row("relay", f"memory of the relay, {count} circuits of {nodes} nodes", used, "MiB", wanted="<= 64 MiB", reached=used <= 64)


def flood_rows(bench):
    """A circuit at the rate that its relay allows, alone and beside others that send as fast as they can."""
    size = 16 if bench.smoke else 128
    with Relayed(bench, "--circuit-rate", "32MiB") as relayed:
        def beside(mode, count):
            flood = relayed.start(mode, count)
            try:
                return relayed.run("node-throughput", size)
            finally:
                flood.stop(signal.SIGKILL)

        alone, circuit, frames = (median([result["mib_per_second"] for result in results]) for results in alternate(
            bench.runs, lambda: relayed.run("node-throughput", size), lambda: beside("node-throughput", 1_000_000),
            lambda: beside("node-flood", 1_000)))
    for what, value in (("a greedy circuit", circuit), ("a flood of strange frames", frames)):
        yield Row("relay", f"a circuit of 32 MiB/s beside {what}", value, "MiB/s", "the same, alone", alone, True,
                  ">= 0.9 x alone", value / alone >= 0.9)


def copy_rows(bench):
    """(a) One file, whole commands."""
    size = 64 if bench.smoke else 1024
    source, gibibytes = bench.source(size), size / 1024
    ours, openssl, scp = alternate(
        bench.runs, lambda: bench.dep2p().copy(source), lambda: bench.openssl().copy(source),
        lambda: bench.scp().copy(source))

    def rate(copies):
        return median([size / copy.wall for copy in copies])

    def cpu(copies):
        return median([copy.cpu / gibibytes for copy in copies])

    def peak(copies):
        return max(max(copy.sender_peak_kib, copy.receiver_peak_kib) for copy in copies) / 1024

    beside = rate(ours) / rate(openssl)
    yield Row("send", f"send {size} MiB, tmpfs", rate(ours), "MiB/s", OpenSSL.name, rate(openssl), True,
              ">= 1.2 x openssl", beside >= 1.2)
    yield Row("send", "", rate(ours), "MiB/s", SecureCopy.name, rate(scp), True)
    yield Row("send", "CPU, both sides", cpu(ours), "s/GiB", OpenSSL.name, cpu(openssl), False, "<= 3.6 s/GiB",
              cpu(ours) <= 3.6)
    yield Row("send", "", cpu(ours), "s/GiB", SecureCopy.name, cpu(scp))
    yield Row("send", "peak memory of a side", peak(ours), "MiB", OpenSSL.name, peak(openssl), False, "<= 64 MiB",
              peak(ours) <= 64)


def many_rows(bench):
    """(a) Many small files, whole commands.

    Beside two tars. The one through a pipe has no link, no encryption, no hashes and no receipts, and is what the bar is
    set by; the one over TLS crosses the same loopback.
    """
    count = 5_000 if bench.smoke else 100_000
    source, tar, over_tls = bench.many(count), Tar(bench.folder), TarOverTLS(bench.folder, bench.openssl())
    ours, theirs, encrypted = alternate(
        bench.runs, lambda: bench.dep2p().copy(source, check_same_folder), lambda: tar.copy(source),
        lambda: over_tls.copy(source))
    seconds, baseline, other = (median([copy.wall for copy in copies]) for copies in (ours, theirs, encrypted))
    yield Row("many", f"send {count} files of 20 B, tmpfs", seconds, "s", Tar.name, baseline, False, "<= 2 x tar",
              seconds <= 2 * baseline)
    yield Row("many", "", seconds, "s", TarOverTLS.name, other)
    yield Row("many", "CPU, both sides", median([copy.cpu for copy in ours]), "s", Tar.name,
              median([copy.cpu for copy in theirs]))
    peak = max(max(copy.sender_peak_kib, copy.receiver_peak_kib) for copy in ours) / 1024
    yield Row("many", "peak memory of a side", peak, "MiB", wanted="<= 64 MiB", reached=peak <= 64)


def stream_rows(bench):
    """(b) Bytes of one stream, no disk."""
    size = 256 if bench.smoke else 4096
    ours, loop = alternate(
        bench.runs, lambda: bench.engine("throughput", size), lambda: bench.loop("throughput", size))

    def rate(results):
        return median([result["mib_per_second"] for result in results])

    def cpu(results):
        return median([(result["sender_cpu"] + result["receiver_cpu"]) * 1024 / size for result in results])

    yield Row("stream", f"one stream, {size} MiB, no disk", rate(ours), "MiB/s", LOOP, rate(loop), True,
              ">= 0.8 x loop", rate(ours) / rate(loop) >= 0.8)
    yield Row("stream", "CPU, both sides", cpu(ours), "s/GiB", LOOP, cpu(loop))


def request_rows(bench):
    """(c) 1 KiB requests and replies: messages between members, and bare streams below them."""
    rounds, many = (1000, 10_000) if bench.smoke else (20_000, 200_000)
    ours, bare, loop = alternate(
        bench.runs, lambda: bench.members("messages", rounds), lambda: bench.engine("latency", rounds),
        lambda: bench.loop("latency", rounds))
    value, below, other = (median([result["median_us"] for result in results]) / 1000 for results in (ours, bare, loop))
    yield Row("request", "1 KiB message and reply, median", value, "ms", LOOP, other, False, "<= 0.2 ms", value <= 0.2)
    yield Row("request", "the same on a bare stream each", below, "ms", LOOP, other)
    ours, bare, loop = alternate(
        bench.runs, lambda: bench.members("messages-pipelined", many), lambda: bench.engine("pipelined", many),
        lambda: bench.loop("pipelined", many))
    value, below, other = (median([result["per_second"] for result in results]) for results in (ours, bare, loop))
    yield Row("request", "messages, 64 in flight", value, "1/s", LOOP, other, True, ">= 40,000/s", value >= 40_000)
    yield Row("request", "the same on a bare stream each", below, "1/s", LOOP, other, True)


def handshake_rows(bench):
    """(d) A new connection to its first echoed byte; and to a member proven by both sides."""
    rounds = 50 if bench.smoke else 500
    admitted, bare, first, loop = alternate(
        bench.runs, lambda: bench.members("admission", rounds), lambda: bench.engine("handshake", rounds),
        lambda: bench.engine("first-contact", rounds), lambda: bench.loop("handshake", rounds))
    value, below, new, other = (
        median([result["median_us"] for result in results]) / 1000 for results in (admitted, bare, first, loop))
    yield Row("handshake", "handshake and realm admission, median", value, "ms", LOOP, other, False, "<= 1.5 ms",
              value <= 1.5)
    yield Row("handshake", "mutual handshake, first byte echoed", below, "ms", LOOP, other)
    yield Row("handshake", "the same, with a node not met before", new, "ms", LOOP, other)


def start_rows(bench):
    """(e) Whole processes against a listener that runs."""
    rounds = 3 if bench.smoke else 15 * bench.runs
    note = bench.folder / "note"
    note.write_text("build 512 is green\n")
    port = free_port()
    dep2p, openssl = bench.dep2p(), bench.openssl()
    inbox = bench.folder / "start-inbox"
    inbox.mkdir(exist_ok=True)
    with open(os.devnull, "wb") as nowhere:
        server = openssl.serve(port, nowhere, accepts=1_000_000)
        listener, address = dep2p.listen("-o", inbox, "-q")
        try:
            message, ping, other = alternate(
                rounds, lambda: dep2p.message(address), lambda: dep2p.ping(address), lambda: openssl.message(port, note))
        finally:
            listener.stop()
            openssl.close_input()
            server.stop()
    value, other = median(message) * 1000, median(other) * 1000
    yield Row("start", "send -m, whole process", value, "ms", "openssl s_client, one line", other, False, "<= 50 ms",
              value <= 50)
    yield Row("start", "ping -c 1, whole process", median(ping) * 1000, "ms", "openssl s_client, one line", other)


def memory_rows(bench):
    """(f) Peak memory while a large file moves."""
    size = 256 if bench.smoke else 8192
    source = bench.folder / f"sparse-{size}"
    with open(source, "wb") as file:
        file.truncate(size * MEBIBYTE)
    try:
        ours, other = bench.dep2p().copy(source, check=None), bench.openssl().copy(source)
    finally:
        source.unlink()
    for side, value, beside in (
            ("sender", ours.sender_peak_kib, other.sender_peak_kib),
            ("receiver", ours.receiver_peak_kib, other.receiver_peak_kib)):
        yield Row("memory", f"peak of the {side}, {size // 1024 or size} {'GiB' if size >= 1024 else 'MiB'} sent",
                  value / 1024, "MiB", OpenSSL.name, beside / 1024, False, "<= 64 MiB", value <= 64 * 1024)


def idle_rows(bench):
    """(g) Memory of a listener's idle connections."""
    count = 100 if bench.smoke else 1000
    ours, loop = bench.members("members-idle", count), bench.loop("idle", count)
    value = ours["server_kib"] / count
    yield Row("idle", f"memory a connection, {count} idle", value, "KiB", LOOP, loop["kib_per_connection"],
              False, "<= 100 KiB", value <= 100)


def codec_rows(bench):
    """Micro-benchmarks of the hot codecs; the hashes beside `openssl speed`."""
    if not bench.engine_binary:
        raise Failure("no engine benchmark program (--engine)")
    seconds = "1"
    speed = subprocess.run(["openssl", "speed", "-mr", "-seconds", seconds, "-bytes", "16384", "-evp", "sha256"],
                           check=True, capture_output=True, text=True).stdout
    hashing = float(next(line for line in speed.splitlines() if line.startswith("+F")).split(":")[-1]) / MEBIBYTE
    for result in run_json([bench.engine_binary, "codecs"])["codecs"]:
        if result["unit"] == "MiB/s":
            yield Row("codec", result["what"], result["value"], "MiB/s", "openssl speed sha256", hashing, True)
        else:
            yield Row("codec", result["what"], result["value"], result["unit"])


GROUPS = {
    "send": copy_rows, "many": many_rows, "stream": stream_rows, "request": request_rows, "handshake": handshake_rows,
    "start": start_rows, "memory": memory_rows, "idle": idle_rows, "crowd": crowd_rows, "relayed-crowd": relayed_rows,
    "relay": relay_rows, "links": link_rows, "topics": topic_rows, "topic-memory": topic_memory_rows, "codec": codec_rows,
}


def raise_descriptor_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 16384)), hard))
