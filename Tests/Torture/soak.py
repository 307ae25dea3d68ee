"""A node under comings and goings, messages, files and topics for as long as one likes: does it grow?

    python3 -B Tests/Torture/soak.py --dep2p BINARY [--minutes N]

Commands come and go beside a `dep2p start` and a `dep2p subscribe`, each with an identity of its own or an old one, some of
them killed. Memory, descriptors and threads of both are read every few seconds. What is compared is the middle third of the time with the last:
until then a node has filled what it fills once. Nothing is compared of a run of less than three minutes.
"""

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time

from nodes import OK, House

LOOK = 5
# The last third may have so much more than the middle one: a page table here, a heap that is cut up there.
GROWTH_KIB, GROWTH_PART = 1024, 0.05
# Below it the thirds are too short to say anything.
LEAST_MINUTES = 3
WORKERS = 3


def arguments():
    parser = argparse.ArgumentParser(prog="Tests/Torture/soak.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dep2p", required=True, metavar="FILE", help="the binary")
    parser.add_argument("--minutes", type=float, default=30, help="how long (30)")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("DEP2P_SEED") or time.time_ns() % 1_000_000))
    return parser.parse_args()


class Look:
    """What a process has of the machine."""

    def __init__(self, pid):
        with open(f"/proc/{pid}/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        self.kib, self.threads = int(fields["VmRSS"].split()[0]), int(fields["Threads"])
        self.descriptors = len(os.listdir(f"/proc/{pid}/fd"))


class Churn:
    """Commands that come, do something with the node, and go."""

    def __init__(self, house, address, listening, seed):
        self.house, self.address, self.listening, self.random = house, address, listening, random.Random(seed)
        self.done, self.failed, self.lock, self.is_over = {}, [], threading.Lock(), False
        self.threads = [threading.Thread(target=self.work, args=(number,)) for number in range(WORKERS)]
        for thread in self.threads:
            thread.start()

    def work(self, number):
        home, kinds = f"guest-{number}", (self.message, self.pings, self.file, self.publish, self.killed)
        while not self.is_over:
            with self.lock:
                kind, ephemeral = self.random.choice(kinds), self.random.random() < 0.7
            try:
                kind(home, ("--ephemeral",) if ephemeral else ())
            except AssertionError as failure:
                with self.lock:
                    self.failed.append(f"{kind.__name__}: {failure}")
            with self.lock:
                self.done[kind.__name__] = self.done.get(kind.__name__, 0) + 1

    def run(self, home, *words):
        done = self.house.run(*words, home=home)
        assert done.returncode == OK, f"{words[0]} ended with {done.returncode}: {done.stderr.decode()[-300:]}"

    def message(self, home, who):
        self.run(home, "send", *who, "--realm-key", self.house.realm_key, "--to", self.address, "-m", "x" * 3_000)

    def pings(self, home, who):
        self.run(home, "ping", *who, "--realm-key", self.house.realm_key, "-c", "3", "-i", "20ms", self.address)

    def file(self, home, who):
        source = self.house.source(f"{home}.bin", 300_000)
        self.run(home, "send", *who, "--realm-key", self.house.realm_key, "--to", self.address, source)
        for stored in self.house.inbox.glob(f"{home}*.bin"):
            # Another may have been faster.
            stored.unlink(missing_ok=True)

    def publish(self, home, who):
        self.run(home, "publish", *who, "--realm-key", self.house.realm_key, "--peer", self.listening, "--wait-peers", "1",
                 "--timeout", "20s", "soak", "hello")

    def killed(self, home, _):
        """Without a goodbye; never by the identity that others have too, of which a node takes only so many connections."""
        node = self.house.start(home, "ping", "--ephemeral", "--realm-key", self.house.realm_key, "-c", "1000", "-i", "50ms", self.address)
        try:
            node.until("reply")
        finally:
            node.kill()
            node.wait()
            self.house.nodes.remove(node)

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()


def verdict(who, looks):
    """What grew, by the medians of the middle and the last third."""
    third = len(looks) // 3
    grown = []
    for name in ("kib", "descriptors", "threads"):
        middle, last = (statistics.median(getattr(look, name) for look in part) for part in (looks[third:2 * third], looks[2 * third:]))
        allowed = max(GROWTH_KIB, middle * GROWTH_PART) if name == "kib" else 4
        print(f"{who}, {name}: {middle:.0f} in the middle third, {last:.0f} in the last")
        if last - middle > allowed:
            grown.append(f"{name} of {who}")
    return grown


def soak(options, house):
    node = house.start("receiver", "start", "--realm-key", house.realm_key, "--listen", "127.0.0.1:0", "-o", house.inbox)
    address = node.until("listening")["addresses"][0]
    topics = house.start("subscriber", "subscribe", "--realm-key", house.realm_key, "--peer", address, "--listen",
                         "127.0.0.1:0", "soak")
    churn = Churn(house, address, topics.until("listening")["addresses"][0], options.seed)
    watched, end = {"start": (node, []), "subscribe": (topics, [])}, time.monotonic() + options.minutes * 60
    try:
        while time.monotonic() < end:
            time.sleep(LOOK)
            for who, (process, looks) in watched.items():
                assert process.child.poll() is None, f"{who} has ended: {process.text()}"
                looks.append(Look(process.child.pid))
                # Events that nobody reads would be this program's growth.
                process.forget()
                if len(looks) % 12 == 0:
                    print(f"{len(looks) * LOOK / 60:.0f} min, {who}: {looks[-1].kib} KiB, {looks[-1].descriptors} descriptors, "
                          f"{sum(churn.done.values())} commands", flush=True)
    finally:
        churn.end()
    print(f"{churn.done} of which failed: {len(churn.failed)}")
    for failure in churn.failed[:5]:
        print(failure)
    thirds = watched if options.minutes >= LEAST_MINUTES else {}
    grown = [what for who, (_, looks) in thirds.items() for what in verdict(who, looks)]
    if grown:
        print(f"grew: {', '.join(grown)}")
    return 1 if grown or churn.failed else 0


def main():
    options = arguments()
    print(f"seed {options.seed}, {options.minutes:g} minutes")
    folder, house = tempfile.mkdtemp(prefix="dep2p-soak-"), None
    try:
        house = House(os.path.abspath(options.dep2p), folder, random.Random(options.seed), 1)
        return soak(options, house)
    finally:
        if house:
            house.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
