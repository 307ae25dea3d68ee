"""Third review: where a peer can have a node look for a better path."""

import ipaddress
import socket
import subprocess
import time

from hostile import punching, records
from hostile.links import UDPLink
from hostile.node import assert_alive
from hostile.wire import multiaddr

# The liar: where everything arrives that goes to 45.50.0.0/16, which is no interface's.
LIAR, REMOTE = "45.50.0.1", "45.50.0.0/16"
# Hosts beside this machine's own addresses (Tests/Hostile/__main__.py, INTERFACE): public and private ones.
NEIGHBOURS = ("45.12.7.9", "10.77.0.9", "192.168.200.7", "100.64.9.9", "172.20.1.1")
EVERYWHERE = NEIGHBOURS + (
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "0.0.0.7", "10.77.0.1", "10.77.0.255", "45.12.7.255", "255.255.255.255",
    "169.254.1.1", "224.0.0.251", "239.1.1.1", "240.0.0.1", "::1", "::", "::ffff:10.77.0.9", "::ffff:127.0.0.1",
    "fe80::1", "ff02::1", "100::1", "64:ff9b::a4d:9", "fd43:7::9", "2002:a4d:9::1", "2001:db8::1")
# Nobody's word leads there.
NEVER = {"127.0.0.1", "127.9.9.9", "0.0.0.0", "0.0.0.7", "10.77.0.255", "45.12.7.255", "255.255.255.255", "169.254.1.1",
         "224.0.0.251", "239.1.1.1", "240.0.0.1", "::1", "::", "::ffff:10.77.0.9", "::ffff:127.0.0.1", "fe80::1", "ff02::1",
         "100::1", "64:ff9b::a4d:9", "2002:a4d:9::1", "2001:db8::1", "192.168.200.7", "100.64.9.9", "172.20.1.1"}
KEPT, LOOKS = 15, 2
PROBE = b"\x20\x01"
PROBE_LENGTH = 57
# To one subject that does not answer, at once (ProbeBudget).
MOST = 96


class Sniffer:
    """Where path probes go that leave this machine's sockets, on any interface."""

    def __init__(self):
        for words in (("route", "add", "local", REMOTE, "dev", "lo"), ("route", "add", "default", "dev", "outside"),
                      ("-6", "route", "add", "default", "dev", "outside")):
            subprocess.run(["ip", *words], check=True)
        for host in EVERYWHERE:
            # Of what can be no host's the system says so.
            subprocess.run(["ip", "neighbour", "replace", host, "lladdr", "02:00:00:00:00:99", "dev", "outside"], check=False,
                           stderr=subprocess.DEVNULL)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.setblocking(False)
        self.found = {}

    def look(self):
        """{address: probes}: each is seen where it leaves, those to this machine where they arrive too."""
        while True:
            try:
                packet, (_, kind, direction, *_) = self.socket.recvfrom(65536)
            except BlockingIOError:
                return self.found
            if direction != socket.PACKET_OUTGOING:
                continue
            if kind == 0x0800 and packet[9] == 17:
                target, payload = packet[16:20], packet[(packet[0] & 15) * 4 + 8:]
            elif kind == 0x86DD and packet[6] == 17:
                target, payload = packet[24:40], packet[48:]
            else:
                continue
            if len(payload) == PROBE_LENGTH and payload[:2] == PROBE:
                address = str(ipaddress.ip_address(target))
                self.found[address] = self.found.get(address, 0) + 1


def odd(port):
    return [multiaddr(ip, port) for ip in EVERYWHERE]


def lie(lab, port, is_member):
    """A server whose signed record, and whose candidates, name everything."""
    number = iter(range(1_000))

    def on_connection(connection):
        if is_member:
            connection.accept_admission(lab.realm)
        # Sixteen of a record are kept: others each time, and at last one that may be looked at.
        def identify(stream):
            shift = KEPT * next(number) % len(EVERYWHERE)
            addresses = odd(port)
            named = (addresses[shift:] + addresses[:shift])[:KEPT] + [multiaddr(NEIGHBOURS[0], port)]
            envelope = records.sealed(connection.identity, named, time.time_ns() // 1_000_000)
            stream.write(records.message(connection.identity, envelope), fin=True)

        records.echo(connection)
        connection.serve(records.IDENTIFY, identify)
        connection.serve(punching.PROTOCOL, lambda stream: answer(stream, connection))

    def answer(stream, connection):
        def first(_):
            if stream.frames:
                stream.on_data = None
                told = [punching.candidate(ip, port) for ip in EVERYWHERE]
                body = b"".join(punching.field(1, one) for one in told) + punching.field(2, bytes(16))
                stream.write(punching.framed(punching.field(punching.ANSWER, body)))

        stream.on_data = first
        first(stream)

    return lab.server(source=LIAR, on_connection=on_connection)


def looks(lab, is_member):
    """{address: probes} of a node that pings a liar."""
    sniffer = Sniffer()
    local = [UDPLink(lab.loop, ip) for ip in ("127.0.0.1", "10.77.0.1")]
    liar = lie(lab, local[0].address[1], is_member)
    for _ in range(LOOKS):
        node = lab.run("ping", "-c", "10", "-i", "500ms",
                       *(["--realm-key", lab.house.realm_key] if is_member else []), liar.address)
        assert lab.finished(node, 40) == 0, node.text()
    found = dict(sniffer.look())
    assert set(found) - {LIAR}, "no look for a better path: no attack"
    worst = {ip for ip in found if ip in NEVER}
    assert not worst, f"probes to {sorted(worst)}"
    assert max(found.values()) <= LOOKS * MOST, f"probes: {found}"
    assert local[0].received_bytes == 0, "probes to a port of this machine"
    print(f"probes: {found}")
    return found


def p31_a_strangers_better_paths(lab):
    """A stranger's record leads outwards only."""
    found = looks(lab, is_member=False)
    inside = [ip for ip in found if not ipaddress.ip_address(ip).is_global]
    assert not inside, f"probes to {inside}"


def p31_a_members_better_paths(lab):
    """A member's leads into this machine's own subnets too, and nowhere else inside."""
    looks(lab, is_member=True)


def p31_records_while_paths_change(lab):
    """Records that change with every push while the connection moves between addresses: the node stands, and its looks
    become few."""
    node = lab.listen(ip="0.0.0.0")
    member = lab.member(lab_address(node, "127.0.0.1"))
    for number in range(1, 200):
        envelope = records.sealed(member.identity, odd(number), number)
        records.push(member, envelope)
        if number % 10 == 0:
            # From another port: the node follows, and validates.
            link = UDPLink(lab.loop)
            link.owner = member
            member.link = link
            member.send(b"\x01", pad=1100)
            lab.loop.pump(0.05)
    lab.loop.pump(1)
    assert_alive(node)
    assert lab.message(lab_address(node, "127.0.0.1"), "beside it") == 0


def lab_address(node, ip):
    parts = node.address.split("/")
    parts[2] = ip
    return "/".join(parts)

