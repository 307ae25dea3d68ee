"""Publishing to a topic: one publisher and seven subscribers, whole processes that are all connected with each other."""

import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

import brokers
from brokers import SIZE, SUBSCRIBERS, TOPIC
from measure import Failure, Process, cpu_seconds, median, status_kib
from table import Row


def line(number, text=""):
    return f"{number:09} {text} ".ljust(SIZE - 1, "x").encode() + b"\n"


class Topic:
    """The eight, until the end of a `with`; the publisher publishes each line that it is given."""

    def __init__(self, bench, count, *, read=False, keep=True):
        """`count`: of lines, after which subscribers end. Read: what they print is kept with its time of arrival. Keep: it is
        written to files, otherwise to nothing."""
        if not bench.binary:
            raise Failure("no dep2p binary (--dep2p)")
        self.folder = pathlib.Path(bench.folder) / "topics"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.environment = dict(os.environ, HOME=str(self.folder), XDG_STATE_HOME=str(self.folder / "state"),
                                XDG_CONFIG_HOME=str(self.folder / "config"))
        self.binary, self.key, self.smoke = bench.binary, self.folder / "realm.key", bench.smoke
        subprocess.run([self.binary, "realm-key", "-o", self.key], check=True, env=self.environment,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.keep, self.arrivals, self.readers, self.nodes = keep, [], [], []
        addresses = []
        for number in range(SUBSCRIBERS):
            output = self.folder / f"subscriber-{number}" if keep else os.devnull
            node = self.start("subscribe", "--count", str(count), "--timeout", "0", "--listen", "127.0.0.1:0",
                              *self.peers(addresses), TOPIC, output=subprocess.PIPE if read else open(output, "wb"))
            self.nodes.append(node)
            addresses.append(self.address(node))
            if read:
                self.listen(node)
        self.publisher = self.start("publish", "--wait-peers", str(SUBSCRIBERS), "--timeout", "60s",
                                    *self.peers(addresses), TOPIC, "--lines", source=subprocess.PIPE)
        self.pipe = self.publisher.child.stdin

    def start(self, command, *arguments, source=subprocess.DEVNULL, output=subprocess.DEVNULL):
        process = Process([self.binary, command, "--realm-key", self.key, "--ephemeral", "--no-mdns", *arguments],
                          stdin=source, stdout=output, env=self.environment)
        if output not in (subprocess.DEVNULL, subprocess.PIPE):
            output.close()
        return process

    @staticmethod
    def peers(addresses):
        return [word for address in addresses for word in ("--peer", address)]

    @staticmethod
    def address(node):
        """Waits for the subscriber's address, among what it says first."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = [text for text in node.errors if "listening on" in text]
            if found:
                return found[0].split()[-1]
            time.sleep(0.02)
        raise Failure("a subscriber told no address")

    def listen(self, node):
        arrivals = {}
        self.arrivals.append(arrivals)

        def read():
            for text in node.child.stdout:
                words = text.split()
                if len(words) > 1 and words[1].isdigit():
                    arrivals[int(words[1])] = (time.monotonic(), float(words[2]))

        self.readers.append(threading.Thread(target=read, daemon=True))
        self.readers[-1].start()

    def publish(self, number, text=""):
        self.pipe.write(line(number, text))
        self.pipe.flush()

    def warm_up(self):
        """Until each has had one message, and everybody is connected with everybody."""
        time.sleep(0.5 if self.smoke else 3)
        self.publish(0, "0")
        sizes = [self.folder / f"subscriber-{number}" for number in range(SUBSCRIBERS)]
        deadline = time.monotonic() + 60
        while self.keep and not self.arrivals and min(path.stat().st_size for path in sizes) < SIZE:
            if time.monotonic() > deadline:
                raise Failure("the first message did not come")
            time.sleep(0.02)
        time.sleep(0.1 if self.smoke else 1)

    @property
    def all(self):
        return [self.publisher, *self.nodes]

    def finish(self):
        """What all have used, each of which ends with status 0 only when it has had every message."""
        self.pipe.close()
        used = [node.succeed(timeout=600) for node in self.nodes]
        return used + [self.publisher.succeed(timeout=60)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.all:
            process.stop()
        for node in self.nodes:
            if node.child.stdout:
                node.child.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def stream(bench, count):
    """As fast as it goes: publishes in a second, and CPU seconds for each."""
    with Topic(bench, count + 1) as topic:
        topic.warm_up()
        before = sum(cpu_seconds(process.pid) for process in topic.all)
        started = time.monotonic()
        for _ in publish_all(topic, count):
            pass
        used = topic.finish()
        seconds = time.monotonic() - started
    return count / seconds, (sum(usage.cpu for usage in used) - before) / count


def publish_all(topic, count, batch=250):
    """Publishes as fast as it goes; yields how many it has given to the publisher."""
    for number in range(1, count + 1, batch):
        topic.pipe.write(b"".join(line(each) for each in range(number, min(number + batch, count + 1))))
        yield min(number + batch, count + 1) - 1
    topic.pipe.flush()


def memory(bench, count, looks=20):
    """The memory of the publisher and of each subscriber without what are pages of files (RssAnon, KiB), at so many places of
    a stream of messages that goes as fast as it can."""
    samples = []
    with Topic(bench, count + 1, keep=False) as topic:
        topic.warm_up()
        for number in publish_all(topic, count):
            if number % (count // looks) == 0:
                samples.append((number, [status_kib(process.pid, "RssAnon") for process in topic.all]))
        topic.finish()
    return samples


def latency(bench, rate, seconds):
    """From the publisher's standard input to a subscriber's standard output: the 99th percentile and the median, in ms."""
    count = rate * seconds
    with Topic(bench, count + 1, read=True) as topic:
        topic.warm_up()
        start = time.monotonic()
        for number in range(1, count + 1):
            time.sleep(max(0, start + number / rate - time.monotonic()))
            topic.publish(number, repr(time.monotonic()))
        topic.finish()
        for reader in topic.readers:
            reader.join(timeout=5)
    times = sorted(came - sent for arrivals in topic.arrivals for number, (came, sent) in arrivals.items() if number)
    if len(times) < count * SUBSCRIBERS:
        raise Failure(f"{len(times)} of {count * SUBSCRIBERS} messages came")
    return times[len(times) * 99 // 100] * 1000, times[len(times) // 2] * 1000


def openssl_speed():
    """Signatures in a second, made and verified, by one thread."""
    text = subprocess.run(["openssl", "speed", "-mr", "-seconds", "1", "ed25519"], check=True, capture_output=True,
                          text=True).stdout
    fields = next(entry for entry in text.splitlines() if entry.startswith("+F")).split(":")
    rates = [float(field) for field in fields[4:6]]
    return [1 / rate if rate < 1 else rate for rate in rates]


def topic_rows(bench):
    """(i) Messages of 1 KiB from one publisher to seven subscribers, every one delivered to all."""
    count, seconds = (500, 2) if bench.smoke else (20_000, 20)
    runs = [(stream(bench, count), openssl_speed(), brokers.nats(count), brokers.mosquitto(count, bench.folder))
            for _ in range(bench.runs)]
    rate, cpu = (median([run[0][index] for run in runs]) for index in (0, 1))
    made, checked = (median([run[1][index] for run in runs]) for index in (0, 1))
    nats, mosquitto = ([median([run[broker][index] for run in runs]) for index in (0, 1)] for broker in (2, 3))
    yield Row("topics", f"{count} messages of 1 KiB to 7 subscribers", rate, "1/s", "openssl speed ed25519, signatures",
              made, True, ">= 2,000/s", rate >= 2_000)
    yield Row("topics", "the same", rate, "1/s", "openssl speed ed25519, verifications", checked, True)
    # A ceiling: nothing of theirs is signed or encrypted.
    yield Row("topics", "the same", rate, "1/s", "nats-server", nats[0], True)
    yield Row("topics", "the same", rate, "1/s", "mosquitto (QoS 0)", mosquitto[0], True)
    yield Row("topics", "CPU a message, all eight processes", cpu * 1000, "ms", "mosquitto, without its publisher",
              mosquitto[1] * 1000, wanted="<= 1 ms", reached=cpu <= 1e-3)
    times = [latency(bench, 200, seconds) for _ in range(bench.runs)]
    worst, middle = (median([time[index] for time in times]) for index in (0, 1))
    yield Row("topics", "200/s, standard input to output, p99", worst, "ms", wanted="<= 25 ms", reached=worst <= 25)
    yield Row("topics", "the same, median", middle, "ms")


def topic_memory_rows(bench):
    """(j) The memory of the eight over a million messages; what is kept for those who come back is full, with 32 MiB, after
    32,000 of them, the ids that were seen after at most 393,216."""
    count = 2_000 if bench.smoke else 1_000_000
    samples = memory(bench, count)
    for number, sizes in samples:
        print(f"  after {number}: publisher {sizes[0] / 1024:.1f} MiB, subscribers "
              + " ".join(f"{size / 1024:.1f}" for size in sizes[1:]), file=sys.stderr)
    half, end = (samples[index][1] for index in (len(samples) // 2 - 1, -1))
    growth = max((after - before) / 1024 for before, after in zip(half, end))
    # A few messages show how a start grows, which nobody has set a limit.
    judged = {} if bench.smoke else {"wanted": "<= 4 MiB", "reached": growth <= 4}
    yield Row("topic-memory", f"the most that one of eight grew by in the second half of {count} messages", growth, "MiB",
              **judged)
    yield Row("topic-memory", "the largest, at the end", max(end) / 1024, "MiB")
