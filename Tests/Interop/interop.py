"""Holds the dep2p binary against libp2p for Python (quic-v1), libtorrent (BEP 52) and Prometheus' own client.

usage: interop.py BINARY [--control | TEST…]     --control runs the other implementation against itself only; TEST is a part
                                                 of a name
"""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Torture"))
from clocks import clock  # noqa: E402

PEER = [sys.executable, "-B", str(pathlib.Path(__file__).with_name("peer.py"))]
# More than the peer's own patience, so that it can say where it stands.
TIMEOUT = 150
# Content that is nobody's: the CID of a hash.
CONTENT = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"
OTHER_CONTENT = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"


class Node:
    """A child that prints JSON lines, and ends when its standard input does (the peer) or on a signal (dep2p)."""

    def __init__(self, argv, environment=None):
        self.child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        self.child.communicate(timeout=20)

    def events(self):
        for line in self.child.stdout:
            yield json.loads(line)

    def until(self, kind):
        for event in self.events():
            if event.get("type") == kind:
                return event
        raise AssertionError(f"no event {kind}; stderr: {self.child.stderr.read().decode(errors='replace')}")


class Gossiper(Node):
    """One that publishes and subscribes, ours or the other implementation's."""

    def __enter__(self):
        self.heard, self.states = [], []
        hello = self.next()
        self.address, self.peer_id = hello["address"], hello["peer_id"]
        self.heard.clear()
        return self

    def next(self):
        line = self.child.stdout.readline()
        assert line, self.child.stderr.read().decode(errors="replace")
        event = json.loads(line)
        (self.states if "mesh" in event else self.heard).append(event)
        return event

    def say(self, command):
        self.child.stdin.write(command.encode() + b"\n")
        self.child.stdin.flush()

    def settle(self, **wanted):
        """Until it says that it has so many listeners, and so many in its mesh."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            before = len(self.states)
            self.say("state")
            while len(self.states) == before:
                self.next()
            if self.states[-1] == wanted:
                return
            assert time.monotonic() < deadline, f"{self.states[-1]} instead of {wanted}"
            time.sleep(0.1)

    def hear(self, count, author=None):
        """The next so many messages, of an author's if one is named; as texts."""
        def chosen():
            return [bytes.fromhex(one["data"]).decode() for one in self.heard if author in (None, one["from"])]
        while len(chosen()) < count:
            self.next()
        return chosen()[:count]


class Interop:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, pathlib.Path(folder)
        self.realm_key = self.folder / "realm.key"

    def environment(self, home):
        path = self.folder / home
        path.mkdir(exist_ok=True)
        return {"PATH": os.environ["PATH"], "HOME": str(path), "LC_ALL": "C.UTF-8", "DEP2P_NO_MDNS": "1"}

    def dep2p(self, *arguments, home="dialler", environment=None):
        done = subprocess.run([self.binary, *map(str, arguments)], capture_output=True, timeout=TIMEOUT,
                              env=self.environment(home) | (environment or {}), stdin=subprocess.DEVNULL)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
        return done.returncode, lines, done.stderr.decode(errors="replace")

    def make_realm(self):
        if not self.realm_key.exists():
            status, _, errors = self.dep2p("realm-key", "-o", self.realm_key)
            assert status == 0, errors

    def listener(self, *arguments):
        self.make_realm()
        return Node([self.binary, "listen", "--realm-key", str(self.realm_key), "--json", "--listen", "127.0.0.1:0",
                     "-o", str(self.folder / "inbox"), *arguments], self.environment("listener"))

    def peer(self, *arguments):
        return Node(PEER + list(arguments))

    def peer_dials(self, address, key="ed25519", check=True):
        done = subprocess.run([*PEER, "dial", address, "--key", key], capture_output=True, timeout=TIMEOUT,
                              stdin=subprocess.DEVNULL)
        if check:
            assert done.returncode == 0, done.stderr.decode(errors="replace")
            return json.loads(done.stdout)
        return done

    # The tests. Each is one sentence about the wire.

    def control_the_other_implementation_reaches_itself(self):
        with self.peer("listen") as node:
            address = next(node.events())["address"]
            seen = self.peer_dials(address)
            assert seen["identify"]["record"]["peer_id"] == seen["peer_id"], seen
            assert len(seen["ping_ms"]) == 5

    def it_dials_us_identifies_and_pings(self):
        with self.listener() as node:
            address = loopback(node)
            for key in ("ed25519", "secp256k1", "rsa"):
                seen = self.peer_dials(address, key)
                assert len(seen["ping_ms"]) == 5, seen
                check_identify(seen)

    def it_refuses_us_under_another_node_id(self):
        with self.listener() as node, self.peer("listen") as other:
            address = loopback(node)
            wrong = address.rsplit("/", 1)[0] + "/" + next(other.events())["peer_id"]
            done = self.peer_dials(wrong, check=False)
            assert done.returncode != 0, "a dial with the wrong NodeID went through"

    def we_dial_it_with_every_kind_of_key(self):
        # IPv4 only: the other implementation cannot even reach itself over IPv6.
        for key in ("ed25519", "secp256k1", "rsa"):
            with self.peer("listen", "--key", key) as node:
                hello = next(node.events())
                status, lines, errors = self.dep2p("ping", "--json", "-c", "5", "-i", "10ms", hello["address"])
                assert status == 0, f"{key}: {errors}"
                result = lines[-1]
                assert (result["sent"], result["received"]) == (5, 5), result
                assert "py-libp2p" in (result.get("agent") or ""), result

    def we_refuse_it_under_another_node_id(self):
        with self.peer("listen") as node, self.peer("listen") as other:
            right, wrong = next(node.events()), next(other.events())
            address = right["address"].rsplit("/", 1)[0] + "/" + wrong["peer_id"]
            status, _, errors = self.dep2p("ping", "--json", "-c", "1", address)
            assert status != 0, "a dial with the wrong NodeID went through"
            assert right["peer_id"] in errors and wrong["peer_id"] in errors, errors

    def we_in_1970_say_that_the_clocks_differ(self):
        # Its certificates begin with its run. Ours are valid from 1970 on, so that dep2p nodes meet all the same.
        with self.peer("listen") as node:
            address = next(node.events())["address"]
            status, _, errors = self.dep2p("ping", "--json", "-c", "1", address, environment=clock(self.folder, "1970"))
            assert status != 0 and "not valid yet; check both clocks" in errors, (status, errors)

    def we_look_up_a_node_in_its_kademlia(self):
        with self.peer("kad") as middle:
            entrance = next(middle.events())
            with self.peer("kad", "--through", entrance["address"]) as far:
                wanted = next(far.events())
                status, lines, errors = self.dep2p(
                    "dht-find", "--json", "--dht-protocol", "/ipfs/kad/1.0.0", "--bootstrap", entrance["address"],
                    wanted["peer_id"])
                assert status == 0, (lines, errors)
                assert wanted["address"] in lines[-1]["addresses"], (wanted, lines)
                assert entrance["peer_id"] in lines[-1]["closest"], lines

    def we_find_who_provides_something_in_its_kademlia(self):
        with self.peer("kad") as middle:
            entrance = next(middle.events())
            with self.peer("kad", "--through", entrance["address"]) as far:
                provider = next(far.events())
                far.child.stdin.write(f"provide {CONTENT}\n".encode())
                far.child.stdin.flush()
                assert next(far.events())["provides"]
                status, lines, errors = self.dep2p(
                    "dht-find", "--json", "--dht-protocol", "/ipfs/kad/1.0.0", "--bootstrap", entrance["address"],
                    "--providers", CONTENT)
                assert status == 0, (lines, errors)
                found = {one["node_id"]: one["addresses"] for one in lines[-1]["providers"]}
                assert provider["address"] in found[provider["peer_id"]], (provider, lines)

    def it_looks_up_a_node_in_ours(self):
        server = Node([self.binary, "start", "--json", "--bootstrap-server", "--listen", "127.0.0.1:0"],
                      self.environment("server"))
        with server:
            address = loopback(server)
            other = Node([self.binary, "start", "--json", "--bootstrap", address, "--listen", "127.0.0.1:0"],
                         self.environment("other"))
            with other:
                event = other.until("listening")
                # Known there as soon as its first lookup is over, which begins when it is clear that it joins no realm.
                deadline = time.monotonic() + 10
                while True:
                    status, lines, errors = self.dep2p("ping", "--json", "-c", "1", "--bootstrap", address,
                                                       event["node_id"])
                    if status == 0:
                        break
                    assert time.monotonic() < deadline, (lines, errors)
                    time.sleep(0.1)
                with self.peer("kad", "--protocol", "/dep2p/sys/dht/1.0.0", "--through", address) as asker:
                    assert next(asker.events())["table"] == 1
                    asker.child.stdin.write(event["node_id"].encode() + b"\n")
                    asker.child.stdin.flush()
                    found = next(asker.events())["found"]
                    place = event["addresses"][0].split("/p2p/")[0]
                    assert any(item.startswith(place) for item in found), (found, event)

    def it_finds_who_provides_something_in_ours(self):
        server = Node([self.binary, "start", "--json", "--bootstrap-server", "--listen", "127.0.0.1:0"],
                      self.environment("server"))
        with server:
            address = loopback(server)
            with Node([self.program(), "provide", address, CONTENT], self.environment("provider")) as ours:
                provider = next(ours.events())
                assert provider["told"] == 1, provider
                with self.peer("kad", "--protocol", "/dep2p/sys/dht/1.0.0", "--through", address) as asker:
                    assert next(asker.events())["table"] == 1
                    for cid, wanted in ((CONTENT, [provider["peer_id"]]), (OTHER_CONTENT, [])):
                        asker.child.stdin.write(f"providers {cid}\n".encode())
                        asker.child.stdin.flush()
                        found = next(asker.events())["providers"]
                        assert list(found) == wanted, found
                        place = provider["address"].split("/p2p/")[0]
                        assert all(place in addresses for addresses in found.values()), (provider, found)

    def program(self):
        """The engine without the command (DeP2PBenchmarks, which lies beside the binary)."""
        engine = pathlib.Path(self.binary).with_name("DeP2PBenchmarks")
        assert engine.exists(), f"no {engine}"
        return str(engine)

    def engine(self, *arguments):
        """The product's router on an open connection."""
        return Gossiper([self.program(), "meshsub", *arguments], self.environment("engine"))

    def it_and_we_publish_to_each_other(self):
        for version in ("1.1.0", "1.2.0"):
            protocol = f"/meshsub/{version}"
            with self.engine(protocol, "interop") as ours, Gossiper(
                    [*PEER, "gossip", "--protocol", protocol, ours.address]) as other:
                # Subscriptions both ways, and GRAFT: each is in the other's mesh.
                ours.settle(listeners=1, mesh=1)
                other.settle(listeners=1, mesh=1)
                for number in range(10):
                    ours.say(f"publish ours {number}")
                    other.say(f"publish theirs {number}")
                assert ours.hear(10, other.peer_id) == [f"theirs {number}" for number in range(10)]
                assert other.hear(10, ours.peer_id) == [f"ours {number}" for number in range(10)]
                # PRUNE, and that nobody listens any more.
                ours.say("unsubscribe")
                other.settle(listeners=0, mesh=0)

    def it_passes_on_what_we_sign_and_we_what_it_signs(self):
        for key in ("ed25519", "rsa"):
            with Gossiper([*PEER, "gossip", "--key", key]) as middle:
                with self.engine("/meshsub/1.2.0", "interop", middle.address) as ours:
                    with self.engine("/meshsub/1.2.0", "interop", middle.address) as second:
                        with Gossiper([*PEER, "gossip", ours.address]) as far:
                            middle.settle(listeners=2, mesh=2)
                            far.settle(listeners=1, mesh=1)
                            ours.settle(listeners=2, mesh=2)
                            second.settle(listeners=1, mesh=1)
                            # Two steps each: through theirs to ours, through ours to theirs, and through both.
                            ours.say("publish one")
                            assert second.hear(1, ours.peer_id) == ["one"]
                            middle.say("publish two")
                            assert far.hear(1, ours.peer_id) == ["one"]
                            assert far.hear(1, middle.peer_id) == ["two"]
                            far.say("publish three")
                            assert middle.hear(1, far.peer_id) == ["three"]
                            assert second.hear(3) == ["one", "two", "three"]

    def it_asks_for_what_we_announce(self):
        # A large message goes to three at once (PROTOCOL.md, section 25), and to the fourth on its IWANT.
        with self.engine("/meshsub/1.2.0", "interop") as ours:
            with contextlib.ExitStack() as stack:
                others = [stack.enter_context(Gossiper([*PEER, "gossip", ours.address])) for _ in range(4)]
                ours.settle(listeners=4, mesh=4)
                ours.say("fill 100000")
                for other in others:
                    other.hear(1, ours.peer_id)
                    assert other.heard[0]["bytes"] == 100_000, other.heard

    def the_merkle_roots_are_those_of_libtorrent(self):
        sizes = (0, 1, 16383, 16384, 16385, 3 * 16384 + 7, 65536, 1 << 20, (1 << 20) + 1, 5_000_000)
        sources = self.folder / "sources"
        sources.mkdir()
        wanted = {}
        for size in sizes:
            (sources / f"file-{size}").write_bytes(os.urandom(size))
            if size > 0:
                wanted[f"file-{size}"] = merkle_root(sources / f"file-{size}")
        with self.listener() as node:
            address = loopback(node)
            status, _, errors = self.dep2p("send", "--json", "--realm-key", self.realm_key, "--to", address,
                                           *sorted(sources.iterdir()))
            assert status == 0, errors
            seen = {}
            while len(seen) < len(sizes):
                event = node.until("file")
                seen[pathlib.Path(event["path"]).name] = event["root"]
        for name, root in wanted.items():
            assert seen[name] == root, f"{name}: {seen[name]} instead of {root}"

    def the_metrics_are_what_prometheus_reads(self):
        from prometheus_client.parser import text_string_to_metric_families
        self.make_realm()
        node = Node([self.binary, "start", "--json", "--realm-key", str(self.realm_key), "--listen", "127.0.0.1:0",
                     "--introspect", "127.0.0.1:0"], self.environment("shown"))
        with node:
            address = loopback(node)
            status, _, errors = self.dep2p("ping", "--json", "-c", "1", address)
            assert status == 0, errors
            shown = http.client.HTTPConnection(node.until("introspection")["address"].split("/")[2], timeout=TIMEOUT)
            shown.request("GET", "/metrics?peers")
            text = shown.getresponse().read().decode()
        promtool(text)
        families = {family.name: family for family in text_string_to_metric_families(text)}
        samples = [sample for family in families.values() for sample in family.samples]
        # Nothing of the text is left over or taken for something else.
        assert len(samples) == sum(not line.startswith("#") for line in text.splitlines()), text
        assert all(family.documentation and family.type in ("counter", "gauge") for family in families.values()), text
        ping = [sample.value for sample in families["dep2p_payload_received_bytes"].samples
                if sample.labels == {"protocol": "/dep2p/sys/ping/1.0.0", "path": "direct"}]
        assert ping and ping[0] >= 32, text


def promtool(text):
    """Asks Prometheus' own checker too where there is one: in Debian it comes with all of Prometheus, 19 MB.

    By hand: `apt-get download prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool`, and
    PROMTOOL=usr/bin/promtool.
    """
    program = shutil.which(os.environ.get("PROMTOOL", "promtool"))
    if not program:
        return
    done = subprocess.run([program, "check", "metrics"], input=text, capture_output=True, text=True, timeout=TIMEOUT)
    # It has a status of its own for what it would only write otherwise.
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr


def loopback(node):
    """The address a dep2p listener prints first."""
    address = node.until("listening")["addresses"][0]
    assert address.startswith("/ip4/127.0.0.1/udp/"), address
    assert "/quic-v1/p2p/" in address, address
    return address


def check_identify(seen):
    identify = seen["identify"]
    assert "dep2p" in identify["agent"], identify
    for wanted in ("/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"):
        assert wanted in identify["protocols"], identify
    # A stranger learns nothing of realms and applications (design: identify).
    hidden = [name for name in identify["protocols"] if name.startswith(("/dep2p/app/", "/dep2p/realm/"))]
    assert not hidden, hidden
    record = identify["record"]
    assert record and record["signer"] == record["peer_id"] == seen["peer_id"], identify
    assert record["seq"] > 0
    assert identify["observed"].startswith("/ip4/127.0.0.1/udp/"), identify


def merkle_root(path):
    """The BEP 52 root of one file as libtorrent computes it, in hex."""
    import libtorrent
    storage = libtorrent.file_storage()
    libtorrent.add_files(storage, str(path))
    torrent = libtorrent.create_torrent(storage, 16384, libtorrent.create_torrent.v2_only)
    libtorrent.set_piece_hashes(torrent, str(path.parent))
    tree = torrent.generate()[b"info"][b"file tree"]
    return tree[path.name.encode()][b""][b"pieces root"].hex()


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 64
    names = [name for name in vars(Interop) if name.split("_")[0] in ("control", "it", "we", "the")]
    if "--control" in sys.argv:
        names = [name for name in names if name.startswith("control")]
    elif sys.argv[2:]:
        names = [name for name in names if any(part in name for part in sys.argv[2:])]
    passed = failed = 0
    for name in names:
        folder = tempfile.mkdtemp(prefix="dep2p-interop-")
        try:
            getattr(Interop(sys.argv[1], folder), name)()
            passed += 1
            print(f"ok      {name.replace('_', ' ')}", flush=True)
        except Exception as failure:
            failed += 1
            print(f"FAILED  {name.replace('_', ' ')}\n  {type(failure).__name__}: {failure}", flush=True)
        finally:
            shutil.rmtree(folder)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main())
