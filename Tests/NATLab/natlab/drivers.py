"""The programs that the harness runs in the hosts: how they are started, and what they print."""

import json
import os
import queue
import subprocess
import tempfile
import threading
import time

from .system import LabError
from .topology import FOLDER

START_LIMIT = 10


class Events:
    """A program's NDJSON with the times at which its lines came, in seconds since the program was started."""

    def __init__(self, process):
        self.process = process
        self.started = time.monotonic()
        self.seen = []
        self.queue = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for line in self.process.child.stdout:
                try:
                    self.queue.put((time.monotonic() - self.started, json.loads(line)))
                except json.JSONDecodeError:
                    continue
        except ValueError:
            pass  # closed while reading, at the end
        self.queue.put(None)

    def next(self, kind, limit):
        """(time, object) of the next object of a kind; None when the program ends or the time is up."""
        end = time.monotonic() + limit
        while True:
            try:
                item = self.queue.get(timeout=max(end - time.monotonic(), 0))
            except queue.Empty:
                return None
            if item is None:
                return None
            self.seen.append(item)
            if item[1].get("type") in kind:
                return item

    def errors(self):
        """What it said on standard error, once it has ended."""
        return self.process.child.stderr.read().decode(errors="replace").strip()[-400:]


class Driver:
    """Starts relays, listeners and pingers in namespaces of one lab."""

    def __init__(self, lab):
        self.lab = lab
        self.relays = []

    def start(self, namespace, *arguments, **options):
        return Events(self.lab.start(namespace, *arguments, **options))

    def ready(self, events, what):
        found = events.next({"listening"}, START_LIMIT)
        if not found:
            said = events.seen[-1][1].get("message") if events.seen else None
            self.lab.end(events.process)
            raise LabError(f"{what} does not listen: {said}")
        return found[1]

    def end(self, events):
        self.lab.end(events.process)


class StandIn(Driver):
    PROGRAM = ("python3", FOLDER / "natlab/standin.py")

    def start_relays(self):
        for index, relay in enumerate(self.lab.relays):
            self.relays.append(self.start(relay, *self.PROGRAM, "relay", *self.lab.relay_addresses[index]))
            self.ready(self.relays[-1], "relay")

    def addresses(self):
        return [address for pair in self.lab.relay_addresses for address in pair]

    def listen(self, host, _=None):
        """(events, target): the target is what `ping` is given."""
        identifier = os.urandom(4).hex()
        events = self.start(host, *self.PROGRAM, "listen", identifier, *self.addresses())
        return events, self.ready(events, "listener")["addresses"]

    def ping(self, host, target, limit):
        return self.start(host, *self.PROGRAM, "ping", "pinger", target[0], *self.addresses())


class DeP2P(Driver):
    """The real program, by its command line (cli.md)."""

    binary = "dep2p"

    def __init__(self, lab):
        super().__init__(lab)
        # Removed with the driver; the lab's processes have ended by then.
        self.folder = tempfile.TemporaryDirectory(prefix="natlab-")
        self.count = 0
        self.options = []
        self.homes = []
        self.inbox = None
        self.realm = os.path.join(self.folder.name, "realm.key")
        subprocess.run([self.binary, "realm-key", "-o", self.realm], check=True, capture_output=True, timeout=10)

    @classmethod
    def has_relay(cls):
        commands = subprocess.run([cls.binary, "--help"], capture_output=True, text=True, timeout=10, check=True).stdout
        return any(line.split()[:1] == ["relay"] for line in commands.splitlines())

    def path(self, name):
        self.count += 1
        return os.path.join(self.folder.name, f"{name}{self.count}")

    def dep2p(self, namespace, command, *arguments):
        return self.run_at(self.path("node"), namespace, command, *arguments)

    def run_at(self, home, namespace, command, *arguments):
        """Its identity and state are in folders of their own, as on a machine of its own."""
        return self.start(namespace, self.binary, command, "--json", *arguments, environment={
            "XDG_DATA_HOME": f"{home}.data", "XDG_STATE_HOME": f"{home}.state", "DEP2P_NO_MDNS": "1"})

    def start_relays(self, count=None):
        for index, relay in enumerate(self.lab.relays[:count]):
            self.homes.append(self.path("relay"))
            self.relays.append(self.start_relay(index, relay))
            for address in self.ready(self.relays[-1], "relay")["addresses"]:
                self.options += ["--relay", address]

    def start_relay(self, index, namespace):
        v4, v6 = self.lab.relay_addresses[index]
        return self.run_at(
            self.homes[index], namespace, "relay", "--listen", f"{v4}:4001", "--listen", f"[{v6}]:4001", "--tcp-listen",
            f"{v4}:443", "--tcp-listen", f"[{v6}]:443")

    def restart_relays(self):
        """They have ended; each begins anew with what its disk has."""
        self.relays = [self.start_relay(index, self.lab.relays[index]) for index in range(len(self.relays))]
        for relay in self.relays:
            self.ready(relay, "relay")

    def listen(self, host, port=None):
        self.inbox = folder = self.path("inbox")
        at = ("--listen", f":{port}") if port else ()
        events = self.dep2p(host, "listen", "--realm-key", self.realm, "-o", folder, *at, *self.options)
        return events, self.ready(events, "listener")["addresses"]

    def target(self, addresses):
        """The relayed address, which carries every way in; the others as hints."""
        relayed = [address for address in addresses if "/p2p-circuit/" in address]
        hints = [option for address in addresses if address not in relayed for option in ("--peer", address)]
        return hints, (relayed or addresses)[0]

    def ping(self, host, target, limit):
        hints, address = self.target(target)
        return self.dep2p(host, "ping", "--realm-key", self.realm, "--until-direct", "--timeout", f"{limit}s", *self.options, *hints,
                          address)

    def send(self, host, target, path):
        hints, address = self.target(target)
        return self.dep2p(host, "send", "--realm-key", self.realm, "--to", address, *self.options, *hints, path)
