"""Running dep2p nodes: each with its own home folder, its NDJSON read in a thread."""

import hashlib
import json
import os
import pathlib
import queue
import signal
import subprocess
import threading
import time

# No single command of these tests needs longer; the stall rule of the command line is 30 s.
PATIENCE = 60

OK, USAGE, DATA, NO_INPUT, UNKNOWN, UNAVAILABLE = 0, 64, 65, 66, 68, 69
OS_ERROR, CANNOT_CREATE, IO_ERROR, TRY_AGAIN, PROTOCOL, PERMISSION = 71, 73, 74, 75, 76, 77


class NeedsRoot(Exception):
    """Says what a test needs root for: it is not run then, and counts as failed where CI is set."""


def need_root(what):
    if os.geteuid() != 0:
        raise NeedsRoot(what)


class Node:
    """One running dep2p command with --json; `events` come as they are printed."""

    def __init__(self, argv, environment, stdin=None):
        self.argv = argv
        self.child = subprocess.Popen(
            argv, env=environment, stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.seen, self.raw, self.errors = [], b"", b""
        self._queue = queue.Queue()
        self._readers = [threading.Thread(target=self._read_events, daemon=True),
                         threading.Thread(target=self._read_errors, daemon=True)]
        for reader in self._readers:
            reader.start()

    def _read_events(self):
        for line in self.child.stdout:
            self.raw += line
            try:
                event = json.loads(line)
            except ValueError:
                event = {"type": "not json", "line": line.decode(errors="replace")}
            self.seen.append(event)
            self._queue.put(event)
        self._queue.put(None)

    def _read_errors(self):
        for line in self.child.stderr:
            self.errors += line

    def until(self, kind, timeout=PATIENCE):
        """The next event of a kind; fails when the command ends first."""
        deadline = time.monotonic() + timeout
        while True:
            event = self._queue.get(timeout=max(deadline - time.monotonic(), 0.001))
            if event is None:
                raise AssertionError(f"{self}: ended without {kind}: {self.text()}")
            if event.get("type") == kind:
                return event

    def ever(self, kind):
        """An event of a kind, whether it has come already or is still to come."""
        return next((event for event in list(self.seen) if event.get("type") == kind), None) or self.until(kind)

    def wait(self, timeout=PATIENCE):
        """The exit status, once everything printed has been read."""
        try:
            self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self}: still running after {timeout} s: {self.text()}") from None
        for reader in self._readers:
            reader.join(timeout=5)
        return self.child.returncode

    def result(self):
        """The last line: every command with --json closes with its result, and its exit status is in it."""
        last = self.seen[-1] if self.seen else {}
        assert last.get("type") == "result", f"{self}: no result: {self.text()}"
        assert last["exit"] == self.child.returncode, f"{self}: {last} but exit status {self.child.returncode}"
        assert last["ok"] == (last["exit"] == 0), f"{self}: {last}"
        return last

    def kill(self, number=signal.SIGKILL):
        if self.child.poll() is None:
            self.child.send_signal(number)

    def forget(self):
        """Nothing of what it has printed is wanted any more."""
        while not self._queue.empty():
            self._queue.get_nowait()
        del self.seen[:]
        self.raw = b""

    def text(self):
        return self.errors.decode(errors="replace").strip() or "(nothing on stderr)"

    def __str__(self):
        return f"dep2p {self.argv[1]}"


class House:
    """Two homes, one realm, one inbox, below one folder."""

    def __init__(self, binary, folder, random, rounds):
        self.binary, self.folder, self.random, self.rounds = binary, pathlib.Path(folder), random, rounds
        self.inbox = self.folder / "inbox"
        self.inbox.mkdir()
        self.realm_key = self.folder / "realm.key"
        self.nodes = []
        done = self.run("realm-key", "-o", self.realm_key)
        assert done.returncode == OK, done.stderr

    def environment(self, home, finds=False):
        path = self.folder / f"home-{home}"
        path.mkdir(exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "HOME": str(path), "LC_ALL": "C.UTF-8"}
        # By itself no test meets the nodes of another, or of this network.
        return environment if finds else environment | {"DEP2P_NO_MDNS": "1"}

    def run(self, *arguments, home="sender", **options):
        """One command to its end."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([self.binary, *map(os.fsencode, arguments)], env=self.environment(home),
                              capture_output=True, timeout=PATIENCE, **options)

    def start(self, home, command, *arguments, stdin=None, finds=False):
        """`finds`: on this machine's networks, by itself."""
        node = Node([self.binary, command, "--json", *map(os.fsdecode, arguments)], self.environment(home, finds), stdin)
        self.nodes.append(node)
        return node

    def listen(self, *arguments, port=0, inbox=None, realm_key=None):
        """A listener that is ready, and the address to send to."""
        node = self.start("receiver", "listen", "--realm-key", realm_key or self.realm_key, "--listen",
                          f"127.0.0.1:{port}", "-o", inbox or self.inbox, *arguments)
        return node, node.until("listening")["addresses"][0]

    def send(self, address, *arguments, realm_key=None, home="sender", stdin=None):
        return self.start(home, "send", "--realm-key", realm_key or self.realm_key, "--to", address, *arguments,
                          stdin=stdin)

    def sent(self, address, *arguments, **options):
        """A send that has to succeed; its result."""
        node = self.send(address, *arguments, **options)
        status = node.wait()
        assert status == OK, f"send ended with {status}: {node.text()}"
        return node.result()

    def source(self, name, size):
        path = self.folder / name
        path.write_bytes(self.random.randbytes(size))
        return path

    def close(self):
        for node in self.nodes:
            node.kill()
        for node in self.nodes:
            node.wait(timeout=10)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def assert_same(source, target):
    assert os.path.getsize(source) == os.path.getsize(target), f"{target} has another size than {source}"
    assert digest(source) == digest(target), f"{target} differs from {source}"


def port_of(address):
    parts = address.split("/")
    return int(parts[parts.index("udp") + 1])
