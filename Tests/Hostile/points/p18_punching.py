"""Points 18 and 25: what hole punching does for a stranger, and tells him."""

import ipaddress
import socket
import subprocess

from hostile import observing, punching
from hostile.links import UDPLink
from hostile.wire import fields

# This machine's address on the network outside, where strangers are.
PUBLIC = "45.12.7.1"


def is_private(ip):
    ip = ipaddress.ip_address(ip)
    return ip.is_private and not ip.is_loopback


def p18_echoed_host_mark(lab):
    """A stranger gives the node's own mark back to it, and loopback addresses as his."""
    node = lab.listen()
    peer = lab.client(node, source="127.0.0.2")
    victim = UDPLink(lab.loop)
    marks = [bytes(16)]
    for _ in range(3):
        answer = punching.begin(peer, [punching.candidate("127.0.0.1", victim.address[1])], marks[-1])
        if answer is None:
            break
        stream, _, mark = answer
        marks.append(mark)
        lab.loop.pump(0.7)
        stream.finish()
        lab.loop.pump(0.2)
    assert victim.received_bytes == 0, f"{victim.received_bytes} bytes of probes to a port of this machine"


def p18_claimed_public_address(lab):
    """A stranger claims the node's own public address for his, as one behind the same NAT would, and private addresses.

    What the node takes for its public address a relay has told it.
    """
    inside = [("192.168.200.7", 53), ("172.20.1.1", 161), ("100.64.9.9", 22)]
    wire = Wire([ip for ip, _ in inside])
    relay = lab.server(source=PUBLIC)
    asked = observing.lie(relay, ("45.99.0.1", 4242))
    node = lab.listen("--relay", relay.address, ip="0.0.0.0")
    lab.loop.until(lambda: "dial-back" in asked, 15, "a reservation")
    # A stranger from outside, and one in the node's own subnet.
    for address, source in ((public(node), PUBLIC), (at(node, "10.77.0.1"), "10.77.0.1")):
        peer = lab.client(address, source=source)
        for claims in ([], [punching.candidate("45.99.0.1", 4242, punching.OBSERVED)]):
            candidates = claims + [punching.candidate(ip, port) for ip, port in inside]
            stream, told, _ = punching.begin(peer, candidates)
            assert ("45.99.0.1", 4242) in told, f"the node tells {told} of itself"
            lab.loop.pump(1)
            stream.finish()
            lab.loop.pump(0.5)
    assert not wire.seen(), f"datagrams to private addresses of others: {wire.seen()}"


class Wire:
    """What leaves for hosts that are not there."""

    def __init__(self, hosts):
        for host in hosts:
            subprocess.run(["ip", "route", "add", host, "dev", "outside"], check=True)
            subprocess.run(["ip", "neighbour", "add", host, "lladdr", "02:00:00:00:00:99", "dev", "outside"], check=True)
        self.hosts = {socket.inet_aton(host) for host in hosts}
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.socket.bind(("other", 0))
        self.socket.setblocking(False)
        self.found = {}

    def seen(self):
        """{address: datagrams}."""
        while True:
            try:
                frame = self.socket.recv(2048)
            except BlockingIOError:
                return self.found
            if frame[30:34] in self.hosts:
                host = socket.inet_ntoa(frame[30:34])
                self.found[host] = self.found.get(host, 0) + 1


def p25_identify_to_strangers(lab):
    """Identify tells a stranger on the public network no private address."""
    node = lab.listen(ip="0.0.0.0")
    peer = lab.client(public(node), source=PUBLIC)
    message = peer.open("/ipfs/id/1.0.0", fin=True).wait_frames(1)[0]
    told = [text(raw) for raw in fields(message).get(2, [])]
    record = fields(fields(fields(message)[8][0])[3][0])
    told += [text(fields(one)[1][0]) for one in record.get(3, [])]
    found = sorted({ip for ip in told if ip and is_private(ip)})
    assert not found, f"a stranger learns {found}"


def p25_punching_with_strangers(lab):
    """Nor does an answer to his offer."""
    node = lab.listen(ip="0.0.0.0")
    peer = lab.client(public(node), source=PUBLIC)
    answer = punching.begin(peer, [punching.candidate(PUBLIC, 4001, punching.OBSERVED)])
    found = sorted({ip for ip, _ in answer[1] if is_private(ip)}) if answer else []
    assert not found, f"a stranger learns {found}"


def public(node):
    """The node's address on the network outside."""
    return at(node, PUBLIC)


def at(node, ip):
    parts = node.address.split("/")
    parts[2] = ip
    return "/".join(parts)


def text(raw):
    """The IP of a multiaddr in binary."""
    if raw[:1] == b"\x04":
        return str(ipaddress.ip_address(raw[1:5]))
    return str(ipaddress.ip_address(raw[1:17])) if raw[:1] == b"\x29" else None
