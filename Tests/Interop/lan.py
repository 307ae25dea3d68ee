"""Nodes that find each other on a network, held against avahi and Python's zeroconf, in network namespaces of its own.

usage: lan.py BINARY [TEST…]     needs root, avahi-daemon, avahi-utils, dbus-daemon and dnsmasq
"""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

PATIENCE = 60
GROUP, PORT = "224.0.0.251", 5353
SERVICE = "_p2p._udp.local."
HELPER = str(pathlib.Path(__file__).resolve())


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
    return done.stdout


class Place:
    """A network namespace, with the programs that run in it."""

    def __init__(self, name, folder):
        self.name, self.folder, self.children = f"dep2p-lan-{os.getpid()}-{name}", folder, []
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments):
        return run("ip", "-n", self.name, *arguments)

    def start(self, *argv, environment=None, own_files=()):
        """- own_files: pairs of a file and where the program sees it."""
        binds = " && ".join([f"mount --bind '{source}' '{at}'" for source, at in own_files] + ['exec "$@"'])
        argv = ["unshare", "-m", "sh", "-c", binds, "sh", *argv] if own_files else argv
        child = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *map(str, argv)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True, env=os.environ | (environment or {}))
        self.children.append(child)
        return child

    def finish(self, *argv, environment=None, own_files=()):
        child = self.start(*argv, environment=environment, own_files=own_files)
        output, errors = child.communicate(timeout=PATIENCE)
        return child.returncode, output.decode(errors="replace"), errors.decode(errors="replace")

    def end(self):
        for child in self.children:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGTERM)
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            child.stdout.close()
            child.stderr.close()
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)


class Lan:
    """Two machines on one wire."""

    def __init__(self, binary, folder):
        self.binary, self.folder, self.homes = binary, pathlib.Path(folder), 0
        self.realm_key = self.folder / "realm.key"
        run(binary, "realm-key", "-q", "-o", str(self.realm_key))
        self.places = []

    def connect(self, v4=True, v6=True):
        here, there = Place("here", self.folder), Place("there", self.folder)
        self.places += [here, there]
        here.ip("link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", there.name)
        for number, place in enumerate((here, there), 1):
            if v4:
                place.ip("address", "add", f"10.99.0.{number}/24", "broadcast", "+", "dev", "wire")
            if v6:
                place.ip("address", "add", f"fd99::{number}/64", "dev", "wire", "nodad")
            place.ip("link", "set", "wire", "addrgenmode", "eui64", "up")
        wait(lambda: all("tentative" not in place.ip("address") for place in (here, there)), "addresses settle")
        return here, there

    def alone(self):
        self.places.append(Place("alone", self.folder))
        return self.places[-1]

    def environment(self, home=None):
        self.homes += home is None
        path = self.folder / (home or f"home{self.homes}")
        path.mkdir(exist_ok=True)
        return {"HOME": str(path), "XDG_DATA_HOME": "", "XDG_STATE_HOME": "", "LC_ALL": "C.UTF-8"}

    def listen(self, place, *arguments, realm=True, own_files=()):
        command = ["listen", "--realm-key", self.realm_key] if realm else ["start", "--listen", ":0"]
        child = place.start(
            self.binary, *command, "--json", *arguments, environment=self.environment(), own_files=own_files)
        for line in child.stdout:
            event = json.loads(line)
            if event["type"] == "listening":
                return child, event
        raise AssertionError(child.stderr.read().decode(errors="replace"))

    def dep2p(self, place, *arguments, own_files=()):
        begun = time.monotonic()
        status, output, errors = place.finish(
            self.binary, *arguments, environment=self.environment(), own_files=own_files)
        lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        return status, lines, errors, time.monotonic() - begun

    def message(self, place, node_id, *arguments):
        return self.dep2p(place, "send", "--json", "--realm-key", self.realm_key, "--to", node_id, "-m", "hello", *arguments)

    def found(self, place, node_id, *arguments):
        status, lines, errors, took = self.dep2p(place, "ping", "--json", "-c", "1", node_id, *arguments)
        assert status == 0, (lines, errors)
        return lines[-1], took

    # The tests. Each is one sentence.

    def it_is_found_by_its_node_id_alone(self):
        here, there = self.connect()
        _, listening = self.listen(there)
        address = next(one for one in listening["addresses"] if "/ip4/10.99.0.2/" in one)
        times = {"alone": [], "with its address": []}
        for _ in range(11):
            for how, more in (("alone", []), ("with its address", ["--no-mdns", "--peer", address])):
                status, lines, errors, took = self.message(here, listening["node_id"], *more)
                assert status == 0, (lines, errors)
                times[how].append(took)
        told = ", ".join(f"{sorted(one)[5] * 1000:.0f} ms {how}" for how, one in times.items())
        print(f"        a message by NodeID, whole process, medians of 11: {told}")

    def it_is_found_on_one_machine_without_a_network(self):
        place = self.alone()
        _, listening = self.listen(place)
        status, lines, errors, _ = self.message(place, listening["node_id"])
        assert status == 0, (lines, errors)

    def it_is_found_at_loopback_alone(self):
        here, _ = self.connect()
        _, listening = self.listen(here, "--listen", "127.0.0.1:0")
        status, lines, errors, _ = self.message(here, listening["node_id"])
        assert status == 0, (lines, errors)

    def it_is_found_over_link_local_addresses(self):
        here, there = self.connect(v4=False, v6=False)
        _, listening = self.listen(there)
        status, lines, errors, _ = self.message(here, listening["node_id"])
        assert status == 0, (lines, errors)

    def two_on_one_machine_are_told_apart(self):
        here, there = self.connect()
        nodes = [self.listen(there)[1]["node_id"] for _ in range(3)]
        for node in nodes:
            status, lines, errors, _ = self.message(here, node)
            assert status == 0, (lines, errors)

    def who_leaves_it_out_neither_finds_nor_is_found(self):
        here, there = self.connect()
        _, listening = self.listen(there)
        status, lines, _, _ = self.message(here, listening["node_id"], "--no-mdns")
        assert (status, lines[-1]["code"]) == (68, "unknownPeer"), lines
        _, silent = self.listen(there, "--no-mdns")
        status, lines, _, _ = self.message(here, silent["node_id"])
        assert (status, lines[-1]["code"]) == (68, "unknownPeer"), lines
        mdns = [source for source in lines[-1]["sources"] if source["source"] == "mdns"]
        assert mdns[0]["addresses"] == 0 and mdns[0]["detail"] == "1 node heard", lines

    def outsiders_are_not_shown_who_is_there(self):
        here, there = self.connect()
        _, listening = self.listen(there)
        status, lines, _, _ = self.dep2p(here, "ping", "--json", "-c", "1", listening["node_id"])
        assert (status, lines[-1]["code"]) == (68, "unknownPeer"), lines
        told = self.browse(here)
        assert len(told) == 1 and "member" in told[0]["properties"], told
        assert listening["node_id"] not in json.dumps(told), told

    def zeroconf_sees_us_and_our_goodbye(self):
        here, there = self.connect()
        child, listening = self.listen(there, realm=False)
        told = self.browse(here)
        assert len(told) == 1, told
        address = told[0]["properties"]["dnsaddr"]
        assert address.endswith(f"/quic-v1/p2p/{listening['node_id']}"), told
        assert "10.99.0.2" in told[0]["addresses"], told
        browser = here.start(sys.executable, "-B", HELPER, "--browse", "30")
        wait_line(browser, "added")
        child.send_signal(signal.SIGTERM)
        wait_line(browser, "removed")

    def we_see_zeroconfs_peer(self):
        here, there = self.connect()
        _, silent = self.listen(there, "--no-mdns", realm=False)
        address = next(one for one in silent["addresses"] if "/ip4/10.99.0.2/" in one)
        other = there.start(sys.executable, "-B", HELPER, "--register", "10.99.0.2", address)
        wait_line(other, "registered")
        result, took = self.found(here, silent["node_id"])
        assert result["node_id"] == silent["node_id"], result

    def avahi_sees_us_and_we_see_its_peer(self):
        here, there = self.connect()
        _, listening = self.listen(there, realm=False)
        with Avahi(here) as avahi:
            lines = avahi.run("avahi-browse", "-rtp", "_p2p._udp")
            resolved = [line for line in lines.splitlines() if line.startswith("=")]
            assert any(listening["node_id"] in line and "10.99.0.2" in line for line in resolved), lines
            types = avahi.run("avahi-browse", "-atp")
            assert "_p2p._udp" in types, types
            _, silent = self.listen(here, "--no-mdns", realm=False)
            address = next(one for one in silent["addresses"] if "/ip4/10.99.0.1/" in one)
            publisher = avahi.start("avahi-publish", "-s", "somebody", "_p2p._udp", "4001", f"dnsaddr={address}")
            wait_line(publisher, "Established", publisher.stderr)
            result, _ = self.found(there, silent["node_id"])
            assert result["node_id"] == silent["node_id"], result

    def ten_thousand_peers_hide_nobody(self):
        here, there = self.connect()
        child, listening = self.listen(there)
        flood = here.start(sys.executable, "-B", HELPER, "--flood", "10000")
        for _ in range(3):
            status, lines, errors, _ = self.message(here, listening["node_id"])
            assert status == 0, (lines, errors)
        assert flood.wait(PATIENCE) == 0, flood.stderr.read()
        status, lines, errors, _ = self.message(here, listening["node_id"])
        assert status == 0, (lines, errors)
        assert child.poll() is None
        print(f"        the listener's peak: {peak(child)} KiB")

    def who_lies_sends_nobody_to_many_places(self):
        # Somebody claims to be the node at a thousand ports, of its own host and of others near and far.
        here, there = self.connect()
        here.ip("route", "add", "default", "via", "10.99.0.2")
        node = self.dep2p(there, "keygen", "--json", "-o", self.folder / "key.pem")[1][-1]["node_id"]
        ear = there.start(sys.executable, "-B", HELPER, "--overhear", "8")
        wait_line(ear, "listening")
        liar = there.start(sys.executable, "-B", HELPER, "--lie", node)
        wait_line(liar, "lying")
        status, lines, _, _ = self.dep2p(here, "ping", "--json", "-c", "1", "--timeout", "5s", node)
        assert status != 0, lines
        heard = json.loads(ear.stdout.readline())
        named = [source for source in lines[-1]["sources"] if source["source"] == "mdns"][0]
        assert named["addresses"] == 4, lines
        assert 1 <= len(heard) <= 4 and all(place.startswith("10.99.0.2:") for place in heard), heard

    def no_bytes_end_a_node(self):
        here, there = self.connect()
        child, listening = self.listen(there)
        noise = here.start(sys.executable, "-B", HELPER, "--noise", "20000", os.environ.get("DEP2P_SEED", "1"))
        assert noise.wait(PATIENCE) == 0, noise.stderr.read()
        status, lines, errors, _ = self.message(here, listening["node_id"])
        assert status == 0 and child.poll() is None, (lines, errors)

    def dns_names_lead_to_nodes(self):
        place = self.alone()
        _, listening = self.listen(place, "--listen", "127.0.0.1:0", "--no-mdns", realm=False)
        node, address = listening["node_id"], listening["addresses"][0]
        _, entrance = self.listen(place, "--listen", "127.0.0.1:0", "--no-mdns", "--bootstrap-server", realm=False)
        many = [f"--txt-record=_dnsaddr.many.test,dnsaddr=/ip4/127.0.0.1/udp/{port}/quic-v1/p2p/{node}"
                for port in range(1, 60)]
        conf = self.folder / "resolv.conf"
        conf.write_text("nameserver 127.0.0.1\n")
        server = place.start(
            "dnsmasq", "--keep-in-foreground", "--no-hosts", "--no-resolv", "--conf-file=/dev/null", "--port=53",
            "--listen-address=127.0.0.1", "--bind-interfaces", "--user=root", "--log-facility=-", "--local=/test/",
            "--address=/host.test/127.0.0.1", f"--txt-record=_dnsaddr.one.test,dnsaddr={address}",
            f"--txt-record=_dnsaddr.boot.test,v=spf1 -all,dnsaddr=/ip4/127.0.0.1",
            f"--txt-record=_dnsaddr.boot.test,dnsaddr=/dnsaddr/one.test/p2p/{node}",
            f"--txt-record=_dnsaddr.boot.test,dnsaddr={entrance['addresses'][0]}",
            f"--txt-record=_dnsaddr.loop.test,dnsaddr=/dnsaddr/loop.test/p2p/{node}", *many)
        wait_line(server, "started", server.stderr)
        own = [(conf, "/etc/resolv.conf")]
        port = address.split("/")[4]
        for target in (f"/dnsaddr/boot.test/p2p/{node}", f"/dns4/host.test/udp/{port}/quic-v1/p2p/{node}",
                       f"/dns/host.test/udp/{port}/quic-v1/p2p/{node}", f"host.test:{port}"):
            status, lines, errors, _ = self.dep2p(place, "ping", "--json", "-c", "1", target, own_files=own)
            assert status == 0 and lines[-1]["node_id"] == node, (target, lines, errors)
        # More than a datagram holds: c-ares asks again over TCP.
        status, lines, errors, _ = self.dep2p(
            place, "ping", "--json", "-c", "1", f"/dnsaddr/many.test/p2p/{node}", own_files=own)
        assert status != 0 and len(lines[-1]["attempts"]) == 16, (lines, errors)
        for name, said in (("loop", "already"), ("none", "cannot resolve _dnsaddr.none.test")):
            status, lines, errors, _ = self.dep2p(
                place, "ping", "--json", "-c", "1", f"/dnsaddr/{name}.test/p2p/{node}", own_files=own)
            assert status != 0 and said in errors, (status, errors)
        # A bootstrap domain: by it two find each other that know nothing else but a NodeID.
        known = ("--no-mdns", "--bootstrap", f"/dnsaddr/boot.test/p2p/{entrance['node_id']}")
        _, there = self.listen(place, "--listen", "127.0.0.1:0", *known, realm=False, own_files=own)
        wait(lambda: self.dep2p(place, "ping", "--json", "-c", "1", there["node_id"], *known, own_files=own)[0] == 0,
             "it is found by the bootstrap domain")
        server.kill()
        server.wait()
        status, lines, errors, _ = self.dep2p(
            place, "ping", "--json", "-c", "1", f"/dnsaddr/boot.test/p2p/{node}", own_files=own)
        assert lines[-1]["code"] == "resolverFailed", (lines, errors)

    def browse(self, place):
        status, output, errors = place.finish(sys.executable, "-B", HELPER, "--resolve", "3")
        assert status == 0, errors
        return json.loads(output)

    def end(self):
        for place in self.places:
            place.end()


class Avahi:
    """avahi's daemon in a namespace, with a bus of its own."""

    def __init__(self, place):
        self.place = place
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dep2p-avahi-", dir=place.folder))
        self.bus = f"unix:path={self.folder}/bus"
        self.environment = {"DBUS_SYSTEM_BUS_ADDRESS": self.bus}
        (self.folder / "run").mkdir()
        (self.folder / "conf").write_text("[server]\nuse-ipv4=yes\nuse-ipv6=yes\n")

    def __enter__(self):
        self.place.start("dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={self.bus}")
        wait((self.folder / "bus").exists, "the bus")
        self.daemon = self.place.start(
            "sh", "-c", f"mkdir -p /run/avahi-daemon && mount --bind '{self.folder}/run' /run/avahi-daemon && "
            f"exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f '{self.folder}/conf'",
            environment=self.environment, own_files=[(self.folder / "run", "/mnt")])
        wait_line(self.daemon, "Server startup complete", self.daemon.stderr)
        return self

    def __exit__(self, *_):
        pass

    def start(self, *argv):
        return self.place.start(*argv, environment=self.environment)

    def run(self, *argv):
        status, output, errors = self.place.finish(*argv, environment=self.environment)
        assert status == 0, errors
        return output


def wait(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not in time"
        time.sleep(0.05)


def wait_line(child, wanted, stream=None):
    said = []
    for line in stream or child.stdout:
        said.append(line.decode(errors="replace"))
        if wanted in said[-1]:
            return
    raise AssertionError(f"no {wanted!r}: {''.join(said)}{child.stderr.read().decode(errors='replace')}")


def peak(child):
    """The most memory of the program that `ip netns exec` became."""
    for line in pathlib.Path(f"/proc/{child.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    return 0


# What runs inside a namespace.

def zeroconf_tool():
    from zeroconf import IPVersion, Zeroconf
    return Zeroconf(ip_version=IPVersion.V4Only)


def resolve(seconds):
    """All that zeroconf knows of peers after some seconds, as JSON."""
    from zeroconf import ServiceBrowser, ServiceListener
    tool = zeroconf_tool()
    names = set()

    class Listener(ServiceListener):
        def add_service(self, _, __, name):
            names.add(name)

        update_service = remove_service = add_service

    ServiceBrowser(tool, SERVICE, Listener())
    time.sleep(seconds)
    told = []
    for name in sorted(names):
        info = tool.get_service_info(SERVICE, name, 3000)
        if info:
            properties = {(key or b"").decode(): (value or b"").decode() for key, value in info.properties.items()}
            told.append({"name": name, "addresses": info.parsed_addresses(), "port": info.port, "properties": properties})
    print(json.dumps(told))
    tool.close()


def browse(seconds):
    from zeroconf import ServiceBrowser, ServiceListener
    tool = zeroconf_tool()

    class Listener(ServiceListener):
        def add_service(self, _, __, name):
            print("added", name, flush=True)

        def remove_service(self, _, __, name):
            print("removed", name, flush=True)

        def update_service(self, _, __, name):
            pass

    ServiceBrowser(tool, SERVICE, Listener())
    time.sleep(seconds)


def register(host, address):
    from zeroconf import ServiceInfo
    tool = zeroconf_tool()
    tool.register_service(ServiceInfo(
        SERVICE, f"another.{SERVICE}", addresses=[socket.inet_aton(host)], port=4001,
        properties={"dnsaddr": address}, server="another.local."))
    print("registered", flush=True)
    time.sleep(PATIENCE)


def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.rstrip(".").split(".")) + b"\0"


def announcement(label, text):
    def record(owner, kind, data):
        return name(owner) + struct.pack(">HHIH", kind, 1, 120, len(data)) + data
    instance = f"{label}.{SERVICE}"
    strings = bytes([len(text)]) + text.encode()
    return struct.pack(">6H", 0, 0x8400, 0, 2, 0, 0) + record(SERVICE, 12, name(instance)) + record(instance, 16, strings)


def group_socket():
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.99.0.1"))
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    sender.bind(("", PORT))
    return sender


def flood(count):
    sender = group_socket()
    for index in range(count):
        text = f"dnsaddr=/ip4/10.99.0.{index % 250}/udp/{1000 + index % 60000}/quic-v1"
        sender.sendto(announcement(f"peer{index}", text), (GROUP, PORT))
        if index % 20 == 19:
            time.sleep(0.01)


def lie(node):
    """Half of it in messages that are heard first, so that the places far away have their chance."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.99.0.2"))
    sender.bind(("", PORT))
    print("lying", flush=True)
    until = time.monotonic() + 8
    while time.monotonic() < until:
        for index in range(1000):
            host = ("192.0.2.1", "10.98.0.1", "127.0.0.1", "10.99.0.255", "10.99.0.2")[index % 5]
            text = f"dnsaddr=/ip4/{host}/udp/{20000 + index}/quic-v1/p2p/{node}"
            sender.sendto(announcement(f"liar{index}", text), (GROUP, PORT))
        time.sleep(0.1)


def overhear(seconds):
    """Prints where datagrams go that pass here, but for those of Multicast DNS and this host's own."""
    ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    ear.bind(("wire", 0))
    ear.settimeout(0.2)
    print("listening", flush=True)
    places, until = set(), time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            packet = ear.recv(2048)
        except TimeoutError:
            continue
        head = (packet[0] & 15) * 4
        if packet[9] != 17 or packet[12:16] != socket.inet_aton("10.99.0.1") or packet[16] >= 224:
            continue
        source, target = struct.unpack(">HH", packet[head:head + 4])
        if PORT not in (source, target):
            places.add(f"{socket.inet_ntoa(packet[16:20])}:{target}")
    print(json.dumps(sorted(places)), flush=True)


def noise(count, seed):
    """Messages with bytes changed at random, and bytes of no meaning."""
    chance = random.Random(seed)
    sender = group_socket()
    seeds = [announcement("peer", "dnsaddr=/ip4/10.99.0.1/udp/1/quic-v1"),
             struct.pack(">6H", 0, 0, 1, 0, 0, 0) + name(SERVICE) + struct.pack(">HH", 12, 1)]
    for index in range(count):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(1, 5)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if index % 3 == 0:
            data = data[:chance.randrange(len(data))] or b"\0"
        sender.sendto(bytes(data), (GROUP, PORT))
        if index % 50 == 49:
            time.sleep(0.005)


INSIDE = {"--resolve": lambda seconds: resolve(float(seconds)), "--browse": lambda seconds: browse(float(seconds)),
          "--register": register, "--flood": lambda count: flood(int(count)),
          "--lie": lie, "--overhear": lambda seconds: overhear(float(seconds)), "--noise": lambda count, seed: noise(int(count), int(seed))}


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 64
    if sys.argv[1] in INSIDE:
        INSIDE[sys.argv[1]](*sys.argv[2:])
        return 0
    if os.geteuid() != 0:
        print("needs root: network namespaces", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    names = [one for one in vars(Lan) if one.split("_")[0] in ("it", "we", "who", "two", "ten", "no", "outsiders", "zeroconf", "avahi", "dns")]
    names = [one for one in names if not sys.argv[2:] or any(part in one for part in sys.argv[2:])]
    failed = 0
    for one in names:
        folder = tempfile.mkdtemp(prefix="dep2p-lan-")
        lan = Lan(sys.argv[1], folder)
        try:
            getattr(lan, one)()
            print(f"ok      {one.replace('_', ' ')}", flush=True)
        except Exception as failure:
            failed += 1
            print(f"FAILED  {one.replace('_', ' ')}\n  {type(failure).__name__}: {failure}", flush=True)
        finally:
            lan.end()
            shutil.rmtree(folder)
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed or not names else 0


if __name__ == "__main__":
    sys.exit(main())
