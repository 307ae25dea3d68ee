"""Members of a realm that find each other in the BitTorrent DHT, held against a network of libtorrent's nodes.

usage: mainline.py BINARY [TEST…]     needs root: all of it runs in two network namespaces without a way out
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Hostile"))

PATIENCE = 60
# Hosts of one wire, each libtorrent node has one of its own. dep2p's have the first, at the wire's other end: who asks an IPv6
# address of his own machine comes from that very address, and libtorrent, which heeds no `ro`, would take each of our nodes for
# sixteen, near one key, and hide what is stored there behind them.
OURS, SILENT, FIRST, COUNT = 1, 2, 10, 16
PORT = 6881
DAY = 86_400_000


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
    return done.stdout


class Family:
    """One family's addresses on the wire, and how they are written."""

    def __init__(self, name, kind, prefix, code):
        self.name, self.kind, self.prefix, self.code = name, kind, prefix, code

    def host(self, number):
        return f"{self.prefix}{number}"

    def at(self, number, port):
        host = self.host(number)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def theirs(self, number):
        return self.at(FIRST + number, PORT)

    def raw(self, number):
        return socket.inet_pton(self.kind, self.host(number))


FAMILIES = (Family("IPv4", socket.AF_INET, "10.88.0.", b"\x04"), Family("IPv6", socket.AF_INET6, "fd88::", b"\x29"))


class Swarm:
    """Nodes of libtorrent's that know each other, all of one family."""

    def __init__(self, family):
        import libtorrent
        self.family = family
        self.kind = libtorrent.alert.category_t.dht_notification
        self.sessions = [libtorrent.session({
            "listen_interfaces": family.theirs(number), "enable_dht": True, "enable_lsd": False, "enable_upnp": False,
            "enable_natpmp": False, "alert_mask": self.kind, "dht_bootstrap_nodes": family.theirs(0),
            # All of them are in one private network.
            "dht_restrict_routing_ips": False, "dht_restrict_search_ips": False, "dht_enforce_node_id": False,
            "dht_prefer_verified_node_ids": False, "dht_ignore_dark_internet": False,
            # Who asks more often than five times a second is deaf to them for five minutes otherwise.
            "dht_block_ratelimit": 10_000, "dht_upload_rate_limit": 1_000_000}) for number in range(COUNT)]
        # They know each other when what one stores is stored by eight, and another finds it.
        deadline = time.monotonic() + PATIENCE
        seed = os.urandom(32)
        self.acquaint()
        while self.put(seed, b"control") < 8 or self.get(public(seed), 5)[1] == 0:
            assert time.monotonic() < deadline, "libtorrent's nodes don't find each other"
            time.sleep(0.2)
            self.acquaint()

    def acquaint(self):
        """Each hears of the next ones. By itself a node asks its entrance once, which may not listen yet."""
        for number, session in enumerate(self.sessions):
            for step in (1, 2, 4, 8):
                session.add_dht_node((self.family.host(FIRST + (number + step) % COUNT), PORT))

    def put(self, seed, value, number=3):
        """Stores a string with `seq` 1; by how many nodes it was taken."""
        secret = bytearray(hashlib.sha512(seed).digest())
        secret[0] &= 248
        secret[31] = secret[31] & 63 | 64
        self.sessions[number].dht_put_mutable_item(bytes(secret), public(seed), value, b"")
        return self.alert(number, "dht_put_alert").num_success

    def get(self, key, number):
        """The string of a key and its `seq`; `seq` 0 where there is none."""
        self.sessions[number].dht_get_mutable_item(key, b"")
        # What is found is told at once; that there is nothing, at the end.
        found = self.alert(
            number, "dht_mutable_item_alert", lambda alert: bytes(alert.key) == key and (alert.seq > 0 or alert.authoritative))
        return found.item, found.seq

    def alert(self, number, name, condition=lambda alert: True):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.sessions[number].wait_for_alert(200)
            for alert in self.sessions[number].pop_alerts():
                if type(alert).__name__ == name and condition(alert):
                    return alert
        raise AssertionError(f"no {name} of libtorrent's node {number}")


def public(seed):
    from nacl.bindings import crypto_sign_seed_keypair
    return crypto_sign_seed_keypair(seed)[0]


class Slot:
    """A member's place in an epoch, by hand: PROTOCOL.md, section 24."""

    def __init__(self, realm_key, node_id, epoch):
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        from hostile.wire import varint

        def derive(label):
            info = varint(len(label)) + label + epoch.to_bytes(8, "big") + node_id
            return HKDF(hashes.SHA256(), 32, b"dep2p-realm-derive-v1", info).derive(realm_key)

        self.seed, self.seal = derive(b"record-member"), derive(b"record-member-seal")
        self.key = public(self.seed)

    def sealed(self, envelope):
        from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as encrypt
        plain = len(envelope).to_bytes(2, "big") + envelope
        nonce = os.urandom(24)
        return nonce + encrypt(plain.ljust(808, b"\0"), self.key, nonce, self.seal)

    def opened(self, value):
        from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as decrypt
        plain = decrypt(value[24:], self.key, value[:24], self.seal)
        return plain[2:2 + int.from_bytes(plain[:2], "big")]


class Mainline:
    def __init__(self, program, folder, swarm):
        """`program`: how dep2p is begun at its end of the wire."""
        self.swarm, self.family = swarm, swarm.family
        self.program, self.folder, self.homes, self.children = program, pathlib.Path(folder), 0, []
        self.realm_key = self.folder / "realm.key"
        run(*program, "realm-key", "-q", "-o", str(self.realm_key))

    def environment(self):
        self.homes += 1
        home = self.folder / f"home{self.homes}"
        home.mkdir()
        return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "DEP2P_NO_MDNS": "1",
                # Nothing else finds anybody; and nobody of the Internet's is ever asked.
                "DEP2P_NO_DHT": "1", "DEP2P_MAINLINE_NODE": self.family.theirs(0)}

    def listen(self, *arguments):
        child = subprocess.Popen(
            [*self.program, "listen", "--json", "--realm-key", self.realm_key, "--listen", self.family.at(OURS, 0),
             "-o", self.folder / "inbox", *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment())
        self.children.append(child)
        for line in child.stdout:
            event = json.loads(line)
            if event["type"] == "listening":
                return event
        raise AssertionError(f"it does not listen: {child.stderr.read().decode(errors='replace')}")

    def send(self, node_id, *arguments):
        done = subprocess.run(
            [*self.program, "send", "--json", "--realm-key", self.realm_key, "--to", node_id, "-m", "hello", *arguments],
            capture_output=True, timeout=PATIENCE, env=self.environment(), stdin=subprocess.DEVNULL)
        return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr.decode(errors="replace")

    def slots(self, node_id):
        """Of today and the days next to it."""
        key = bytes.fromhex(self.realm_key.read_text())
        today = int(time.time() * 1000) // DAY
        return [Slot(key, node_id, today + day) for day in (0, 1, -1)]

    def end(self):
        for child in self.children:
            child.send_signal(signal.SIGTERM)
        for child in self.children:
            child.communicate(timeout=PATIENCE)

    # The tests.

    def libtorrent_returns_what_we_stored(self):
        node_id = self.listen("--mainline")["node_id"]
        slot = self.slots(unbase58(node_id))[0]
        deadline = time.monotonic() + 3 * PATIENCE
        value, seq = None, 0
        while seq == 0:
            assert time.monotonic() < deadline, "libtorrent does not find the record"
            value, seq = self.swarm.get(slot.key, 5)
            time.sleep(0.2)
        # It is a string of 848 bytes, which who has the realm key opens.
        assert len(value) == 848, value
        envelope = slot.opened(value)
        assert unbase58(node_id) in envelope and self.family.raw(OURS) in envelope, envelope
        assert abs(seq - time.time() * 1000) < DAY, seq

    def we_return_what_libtorrent_stored(self):
        from cryptography.hazmat.primitives import serialization
        from hostile import records
        from hostile.identity import Identity
        identity = self.folder / "identity.pem"
        run(*self.program, "keygen", "-q", "-o", str(identity))
        # It listens, and tells nobody where.
        event = self.listen("--identity", identity)
        key = serialization.load_pem_private_key(identity.read_bytes(), None)
        raw = key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
        member = Identity(raw)
        assert str(member) == event["node_id"], event
        status, result, _ = self.send(event["node_id"], "--mainline")
        assert status == 68 or status == 75 or status == 69, (status, result)
        port = int(event["addresses"][0].split("/")[4])
        address = self.family.code + self.family.raw(OURS) + b"\x91\x02" + port.to_bytes(2, "big") + b"\xcd\x03"
        for slot in self.slots(member.node_id)[:1]:
            assert self.swarm.put(slot.seed, slot.sealed(records.sealed(member, [address]))) >= 8
        status, result, errors = self.send(event["node_id"], "--mainline")
        assert status == 0, (result, errors)

    def two_of_ours_find_each_other(self):
        event = self.listen("--mainline")
        deadline = time.monotonic() + PATIENCE
        while True:
            started = time.monotonic()
            status, result, errors = self.send(event["node_id"], "--mainline", "--timeout", "20s")
            if status == 0:
                print(f"        a message in {(time.monotonic() - started) * 1000:.0f} ms, the program's start included")
                break
            assert time.monotonic() < deadline, (result, errors)
        # Whoever is of another realm finds nobody.
        run(*self.program, "realm-key", "-q", "-o", str(self.folder / "other.key"))
        other, self.realm_key = self.realm_key, self.folder / "other.key"
        status, result, _ = self.send(event["node_id"], "--mainline", "--timeout", "10s")
        self.realm_key = other
        assert status != 0, result

    def who_is_not_told_to_asks_nobody(self):
        with dead(self.family) as silent:
            node = self.family.at(SILENT, silent.getsockname()[1])
            event = self.listen("--mainline-node", node)
            status, _, _ = self.send(event["node_id"], "--mainline-node", node, "--timeout", "3s")
            assert status != 0 and not received(silent)

    def where_nobody_answers_little_is_sent(self):
        with dead(self.family) as silent:
            node = self.family.at(SILENT, silent.getsockname()[1])
            event = self.listen("--mainline", "--mainline-node", node)
            status, _, errors = self.send(event["node_id"], "--mainline", "--mainline-node", node, "--timeout", "10s")
            assert status != 0, errors
            time.sleep(10)
            # Twenty seconds of one who stays, and one lookup of another.
            messages = received(silent)
            assert 2 <= len(messages) <= 8, messages
            assert all(b"2:roi1e" in message for message in messages), messages


def dead(family):
    """A node that never answers."""
    silent = socket.socket(family.kind, socket.SOCK_DGRAM)
    silent.bind((family.host(SILENT), 0))
    silent.setblocking(False)
    return silent


def received(silent):
    messages = []
    while True:
        try:
            messages.append(silent.recv(4_096))
        except BlockingIOError:
            return messages


def unbase58(text):
    number = 0
    for character in text:
        number = number * 58 + "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".index(character)
    return number.to_bytes(38, "big")


def inside():
    """Has this program run in a network without a way out."""
    if os.geteuid() != 0:
        print("needs root: a network namespace", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    return subprocess.run(
        ["unshare", "-n", sys.executable, "-B", __file__, "--inside", *sys.argv[1:]]).returncode


def connect(other_end):
    """Two namespaces and a wire. `other_end`: a process in that of dep2p's nodes."""
    ours = ("nsenter", "-n", "-t", str(other_end.pid))
    run("ip", "link", "add", "wire", "type", "veth", "peer", "name", "other")
    run("ip", "link", "set", "other", "netns", str(other_end.pid))
    ends = ((), "wire", (SILENT, *range(FIRST, FIRST + COUNT))), (ours, "other", (OURS,))
    for end, device, hosts in ends:
        run(*end, "ip", "link", "set", "lo", "up")
        for host in hosts:
            run(*end, "ip", "address", "add", f"10.88.0.{host}/24", "dev", device)
            run(*end, "ip", "address", "add", f"fd88::{host}/64", "dev", device, "nodad")
        run(*end, "ip", "link", "set", device, "up")
        routes = run(*end, "ip", "route") + run(*end, "ip", "-6", "route")
        assert "default" not in routes, routes
    return ours


@contextlib.contextmanager
def another_namespace():
    """A process in a network namespace of its own."""
    script = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(["unshare", "-n", sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        yield child
        child.stdin.close()


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 64
    if sys.argv[1] != "--inside":
        return inside()
    names = [one for one in vars(Mainline) if one.split("_")[0] in ("libtorrent", "we", "two", "who", "where")]
    names = [one for one in names if not sys.argv[3:] or any(part in one for part in sys.argv[3:])]
    with another_namespace() as other_end:
        program = (*connect(other_end), sys.argv[2])
        failed = [one for family in FAMILIES for one in tried(program, family, names)]
    print(f"{len(FAMILIES) * len(names) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not names else 0


def tried(program, family, names):
    """The names of the tests that fail among the nodes of one family; each prints its line."""
    swarm = Swarm(family)
    for one in names:
        folder = tempfile.mkdtemp(prefix="dep2p-mainline-")
        mainline = Mainline(program, folder, swarm)
        said = f"{one.replace('_', ' ')}, over {family.name}"
        try:
            getattr(mainline, one)()
            print(f"ok      {said}", flush=True)
        except Exception as failure:
            yield one
            print(f"FAILED  {said}\n  {type(failure).__name__}: {failure}", flush=True)
        finally:
            mainline.end()
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
