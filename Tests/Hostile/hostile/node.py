"""Nodes under test, as the torture tests run them, and what the system knows of them."""

import os
import pathlib
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Torture"))

from nodes import House, port_of  # noqa: E402, F401

from .ends import Client, Server  # noqa: E402
from .identity import Identity, Realm  # noqa: E402
from .links import Loop  # noqa: E402


class Lab:
    """One test's world: a folder with homes and a realm, a loop, and every process and socket that has to go."""

    def __init__(self, binary, folder=None):
        self.folder = tempfile.TemporaryDirectory(prefix="dep2p-hostile-", dir=folder)
        self.house = House(os.path.abspath(binary), self.folder.name, random.Random(1), 1)
        self.loop = Loop()
        self.realm = Realm(self.house.realm_key.read_text())
        self.engines = []

    # Nodes.

    def listen(self, *arguments, ip="127.0.0.1", home="receiver", realm=True):
        """A listener that is ready, with its address as an attribute."""
        realm = ["--realm-key", self.house.realm_key] if realm else []
        return self._ready(self.house.start(home, "listen", *realm, "--no-port-mapping", "--listen", f"{ip}:0", "-o",
                                            self.house.inbox, *arguments))

    def relay(self, *arguments, ip="127.0.0.1"):
        return self._ready(self.house.start("relay", "relay", "--no-port-mapping", "--listen", f"{ip}:0", *arguments))

    @staticmethod
    def _ready(node):
        node.addresses = node.until("listening")["addresses"]
        node.address = node.addresses[0]
        return node

    def run(self, command, *arguments, home="sender"):
        return self.house.start(home, command, *arguments)

    def send(self, address, *arguments, home="sender"):
        return self.house.send(address, *arguments, home=home)

    def message(self, address, text, home="sender", seconds=20):
        """The exit status of an honest member's message."""
        return self.finished(self.send(address, "-m", text, home=home), seconds)

    def finished(self, node, seconds=30):
        """The exit status of a command that ends by itself; peers are served meanwhile."""
        self.loop.until(lambda: node.child.poll() is not None, seconds, f"the end of {node}")
        return node.wait()

    def engine(self, *arguments):
        """The engine's benchmark program, which lies beside the binary: peers that are faster than these."""
        path = pathlib.Path(self.house.binary).with_name("DeP2PBenchmarks")
        assert path.exists(), f"no {path}: build the product DeP2PBenchmarks as the binary was built"
        self.engines.append(subprocess.Popen([path, *arguments], stdout=subprocess.PIPE, text=True))
        return self.engines[-1]

    # Peers.

    def client(self, node, identity=None, wait=True, **options):
        """A connection with a node, or with an address; the handshake is over, unless it is not waited for."""
        peer = Client(self.loop, getattr(node, "address", node), identity, wait=False, **options)
        if wait:
            self.loop.until(lambda: peer.is_open or peer.closed or not alive(node), 10, "a handshake")
            assert_alive(node)
        return peer

    def member(self, node, identity=None, **options):
        peer = self.client(node, identity, **options)
        assert not peer.closed, f"the connection was refused: {peer.closed}"
        assert peer.admit(self.realm), "a right proof was not admitted"
        return peer

    def strangers(self, node, count, sources=("127.0.0.2",), seconds=30, **options):
        """Connections of as many identities, shaken hands side by side, by turns from `sources`; those that stand."""
        peers = [self.client(node, source=sources[number % len(sources)], wait=False, **options)
                 for number in range(count)]
        self.loop.until(lambda: all(peer.is_open or peer.closed for peer in peers), seconds, "handshakes")
        self.loop.pump(0.2)
        return [peer for peer in peers if not peer.closed]

    def server(self, identity=None, **options):
        return Server(self.loop, identity or Identity(), **options)

    def close(self):
        self.loop.close()
        for engine in self.engines:
            engine.kill()
            engine.communicate()
        self.house.close()
        self.folder.cleanup()


def alive(node):
    return not hasattr(node, "child") or node.child.poll() is None


def assert_alive(node):
    assert alive(node), f"{node} ended with {node.child.returncode}: {node.text()[-400:]}"


def resident(node):
    """Resident memory in bytes."""
    with open(f"/proc/{node.child.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor(node):
    """Seconds of processor time used."""
    with open(f"/proc/{node.child.pid}/stat", encoding="ascii") as file:
        parts = file.read().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
