"""Third review: what TCP connections make a relay hold, and what their lengths do to it."""

import random
import ssl

from hostile import relaying
from hostile.connection import PING
from hostile.ends import Client
from hostile.links import CircuitLink, TCPLink
from hostile.node import assert_alive, resident

# Of four subnets: one subject has 64 connections over TCP that carry nothing yet.
SOURCES = [f"127.{number}.0.2" for number in range(1, 5)]
CONNECTIONS = 120
# OpenSSL's own state of a connection, and as much again.
SHARE = 48 << 10
RECORD = 16_384


def tcp_port(node):
    return int(next(address for address in node.addresses if "/tcp/" in address).split("/")[4])


def relay_over_tcp(lab):
    return lab.relay("--public", "--tcp-listen", "127.0.0.1:0")


def cost(lab, node, begin):
    """Bytes of the node's memory that each of as many connections takes, `begin(source)` each, once others have been
    there before."""
    for number in range(8):
        begin(SOURCES[number % 4]).close()
    lab.loop.pump(0.5)
    before = resident(node)
    held = [begin(SOURCES[number % 4]) for number in range(CONNECTIONS)]
    lab.loop.pump(1)
    assert_alive(node)
    grown = resident(node) - before
    for link in held:
        link.close()
    print(f"{grown / CONNECTIONS / 1024:.1f} KiB each")
    return grown / CONNECTIONS


class Shaken(TCPLink):
    """A leg whose records are handed to TCP as the test wants them."""

    def __init__(self, lab, node, source):
        super().__init__(lab.loop, ("127.0.0.1", tcp_port(node)), source, handshake=False)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.raw.sendall(self.outgoing.read())
                part = self.raw.recv(65536)
                assert part, "a connection ended in the midst of its handshake"
                self.incoming.write(part)
        self.raw.sendall(self.outgoing.read())
        self.waiting = b""
        self.raw.setblocking(False)
        lab.loop.add(self)

    def record(self, data):
        """The record of these bytes."""
        self.tls.write(data)
        return self.outgoing.read()

    def send_raw(self, data):
        self.waiting += self.record(data)

    def trickle(self, most):
        """Sends up to `most` bytes of what waits."""
        if self.waiting and not self.ended:
            self.waiting = self.waiting[self.raw.send(self.waiting[:most]):]

    def read(self):
        try:
            part = self.raw.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part:
            self.ended = True
            self.close()
            return
        self.incoming.write(part)
        try:
            while part := self.tls.read(65536):
                self.buffer += part
        except ssl.SSLError:
            pass  # nothing more, for now
        while len(self.buffer) > 2 and len(self.buffer) >= 2 + (length := int.from_bytes(self.buffer[:2], "big")):
            datagram, self.buffer = self.buffer[2:2 + length], self.buffer[2 + length:]
            if self.owner:
                self.owner.receive(datagram, self.owner.remote)
        if self.owner:
            self.owner.settle()

    def close(self):
        if self.raw.fileno() >= 0:
            self.loop.remove(self)
            self.raw.close()


def p30_parts_of_records(lab):
    """A connection that leaves a record unfinished costs what came of it."""
    node = relay_over_tcp(lab)

    def begin(source):
        link = Shaken(lab, node, source)
        # Whole ones before it, so that all the room for them has been used.
        link.waiting = b"".join(link.record((RECORD - 2).to_bytes(2, "big") + b"\x43" * (RECORD - 2)) for _ in range(4))
        link.trickle(len(link.waiting) - RECORD + 1_000)
        return link

    each = cost(lab, node, begin)
    assert each < SHARE, f"a thousand bytes of a record cost {each / 1024:.0f} KiB"


def p30_hellos_that_are_announced(lab):
    """So does one whose ClientHello is said to have 128 KiB."""
    node = relay_over_tcp(lab)
    port = tcp_port(node)

    def begin(source):
        link = TCPLink(lab.loop, ("127.0.0.1", port), source, handshake=False)
        body = b"\x01" + (131_000).to_bytes(3, "big") + b"\x03\x03" + bytes(32)
        link.raw.sendall(b"\x16\x03\x01" + len(body).to_bytes(2, "big") + body)
        return link

    each = cost(lab, node, begin)
    assert each < SHARE, f"the beginning of a ClientHello costs {each / 1024:.0f} KiB"


def p30_legs_that_were_busy(lab):
    """Nor does one keep what it once needed."""
    node = relay_over_tcp(lab)
    port = tcp_port(node)
    # Nobody's packets, of a length that no record ends with.
    frame = (4_000).to_bytes(2, "big") + b"\x43" * 4_000

    def begin(source):
        link = TCPLink(lab.loop, ("127.0.0.1", port), source)
        link.send_raw(frame * 4 + frame[:300])
        link.send_raw(frame[300:])
        return link

    each = cost(lab, node, begin)
    assert each < SHARE, f"a connection that was busy once costs {each / 1024:.0f} KiB"


def p30_records_in_pieces(lab):
    """Records that are cut anywhere, of several connections by turns, are read as they were written."""
    node = relay_over_tcp(lab)
    links = [Shaken(lab, node, source) for source in SOURCES]
    peers = [Client(lab.loop, node.address, link=link, wait=False) for link in links]
    cuts = random.Random(30)

    def until(condition):
        for _ in range(20_000):
            if condition():
                return
            for link in links:
                link.trickle(cuts.choice((1, 4, 5, 6, 100, 1_300, 20_000, 70_000)))
            lab.loop.pump(0.001)
        raise AssertionError("not within 20,000 turns")

    until(lambda: all(peer.is_open for peer in peers))
    bodies = [cuts.randbytes(32) * 1_000 for _ in peers]
    streams = [peer.open(PING, body, fin=True) for peer, body in zip(peers, bodies)]
    # What is nobody's is skipped, whatever its length.
    for link in links:
        for size in (1, 16_384, 700, 9_000):
            link.send(b"\x43" * size)
    until(lambda: all(len(stream.body) >= 32_000 for stream in streams))
    assert [stream.body for stream in streams] == bodies, "an echo is another"


def p30_lengths(lab):
    """Lengths that do not occur end their connection alone; the longest that does is read."""
    node = relay_over_tcp(lab)
    port = tcp_port(node)
    other = Client(lab.loop, node.address, link=TCPLink(lab.loop, ("127.0.0.1", port)))
    for length in (0, RECORD + 1, 0xFFFF):
        link = TCPLink(lab.loop, ("127.0.0.1", port))
        link.send_raw(length.to_bytes(2, "big") + b"\x43" * 40)
        lab.loop.until(lambda: link.ended, 5, f"the end of a connection with a length of {length}")
    for length in (1, 2, 9, 10, 8_181, 8_190, RECORD):
        for first in (0x43, 0xC3, 0x10, 0x1F, 0x00, 0x20, 0xFF):
            link = TCPLink(lab.loop, ("127.0.0.1", port))
            body = length.to_bytes(2, "big") + bytes([first]) * length
            for start in range(0, len(body), RECORD):
                link.send_raw(body[start:start + RECORD])
            lab.loop.pump(0.01)
            assert not link.ended, f"{length} bytes that begin with {first:#x} end their connection"
            link.close()
    assert_alive(node)
    assert other.ping(), "another connection over TCP is not answered"


def p30_wide_frames_to_others(lab):
    """Frames as wide as TCP carries, to a node that is reached by UDP, and to one over TCP."""
    relay = relay_over_tcp(lab)
    port = tcp_port(relay)
    near = Client(lab.loop, relay.address, link=TCPLink(lab.loop, ("127.0.0.1", port), "127.1.0.2"))
    for link in (None, TCPLink(lab.loop, ("127.0.0.1", port), "127.2.0.2")):
        far = Client(lab.loop, relay.address, source="127.2.0.2", link=link)
        circuits = []
        relaying.accept_circuits(far, lambda number, _: circuits.append(number))
        assert relaying.reserve(far)[0] == relaying.RESERVATION
        circuit = relaying.circuit_of(relaying.ask_circuit(near, far.identity.node_id))
        lab.loop.until(lambda: circuits, 5, "a circuit")
        got = []
        inner = CircuitLink(far, circuits[0])
        inner.deliver = got.append
        outer = CircuitLink(near, circuit)
        for size in (1, 1_200, 8_181, 16_375):
            outer.send(b"\x43" * size)
        # Many small ones in one record, and a train whose last is shorter.
        frame = outer.frame(b"\x44")
        near.link.send_raw((len(frame).to_bytes(2, "big") + frame) * 1_000)
        lab.loop.until(lambda: len(got) >= 900, 10, "frames on the other side")
        sizes = {len(one) for one in got}
        assert sizes <= {1, 1_200, 8_181, 16_375} and 1_200 in sizes, f"frames of {sizes} bytes"
        assert_alive(relay)
    assert near.ping() and lab.client(relay, source="127.9.0.2").ping()
