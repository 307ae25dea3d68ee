"""No point of its own: what a random stranger or member does, in bounded time.

DEP2P_SEED repeats a run; DEP2P_ROUNDS makes it longer.
"""

import os
import random
import time

from hostile import app, punching, relaying
from hostile import quic_frames as q
from hostile.connection import ADMISSION, PING
from hostile.links import TCPLink
from hostile.node import assert_alive, resident
from hostile.wire import field, framed, line, proposal, varint

SEED = int(os.environ.get("DEP2P_SEED") or time.time_ns() % 1_000_000)
SECONDS = 5 * max(int(os.environ.get("DEP2P_ROUNDS") or 4) / 4, 1)
# What a node may have grown by when it is over, pools and caches included.
GROWTH = 48 << 20


class Rounds:
    """Rounds until the time is up; each with a node that has to be there after it."""

    def __init__(self, lab, node, name):
        print(f"seed {SEED}")
        self.random, self.lab, self.node = random.Random(f"{SEED} {name}"), lab, node
        self.before = resident(node)
        self.count = 0

    def __iter__(self):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.count += 1
            yield self.count
            assert_alive(self.node)
        self.lab.loop.pump(0.5)
        assert_alive(self.node)
        assert self.lab.client(self.node, source="127.0.0.200").ping(), "an honest peer is not answered"
        grown = resident(self.node) - self.before
        assert grown < GROWTH, f"grown by {grown >> 20} MiB in {self.count} rounds"


def mutate(chance, data):
    """The bytes with some of them changed, lost, repeated or made up."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = chance.choice((0, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif kind == 2:
            del data[at:at + chance.choice((1, 2, 8, 100, 1000))]
        elif kind == 3:
            data[at:at] = chance.randbytes(chance.choice((1, 2, 8, 40)))
        elif kind == 4:
            data[at:at] = data[at:at + chance.choice((1, 8, 64))]
        else:
            del data[at:]
    return bytes(data)


def source(chance):
    return f"127.{chance.randrange(1, 250)}.{chance.randrange(250)}.{chance.randrange(2, 250)}"


def p99_mutated_datagrams(lab):
    """Handshakes and what follows them, some of their datagrams changed on the way."""
    node = lab.listen()
    rounds = Rounds(lab, node, "datagrams")
    for _ in rounds:
        peer = lab.client(node, source=source(rounds.random), wait=False)
        send = peer.link.send

        def changed(data, address, send=send):
            for _ in range(rounds.random.randrange(1, 12)):
                send(mutate(rounds.random, data), address)
            if rounds.random.random() < 0.7:
                send(data, address)

        peer.link.send = changed
        lab.loop.holds(lambda: peer.is_open or peer.closed, 0.1)
        if peer.is_open:
            peer.open(PING, bytes(320))
            lab.loop.pump(0.02)
        peer.abandon()


def p99_mutated_handshakes(lab):
    """TLS messages and certificates that are nearly right, in sound packets."""
    node = lab.listen()
    rounds = Rounds(lab, node, "handshakes")
    chance = rounds.random
    for _ in rounds:
        turn = chance.randrange(2)

        def tamper(data):
            nonlocal turn
            turn -= 1
            return mutate(chance, data) if turn < 0 else data

        peer = lab.client(node, source=source(chance), wait=False, tamper=tamper)
        lab.loop.holds(lambda: peer.is_open or peer.closed, 0.05)
        peer.abandon()


def p99_mutated_handshakes_dialler(lab):
    """The same, of a server."""
    chance = random.Random(f"{SEED} server's handshakes")
    print(f"seed {SEED}")
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        server = lab.server(tamper=lambda data: mutate(chance, data) if chance.random() < 0.5 else data)
        nodes = [lab.run("ping", "-c", "1", "--timeout", "1s", server.address, home=f"home-{number}")
                 for number in range(4)]
        lab.loop.until(lambda: all(node.child.poll() is not None for node in nodes), 20, "the end of ping")
        for node in nodes:
            assert node.wait() >= 0, f"ended by signal {-node.child.returncode}: {node.text()[-300:]}"


def number(chance):
    bits = chance.choice((1, 3, 6, 8, 14, 20, 30, 62))
    return chance.choice((chance.randrange(1 << bits), (1 << 62) - 1, chance.randrange(300)))


def frame(chance):
    """A frame that is nearly one."""
    kind = chance.choice((0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x0A, 0x0E, 0x0F, *range(0x10, 0x1C),
                          0x1E, 0x30, 0x31, number(chance)))
    body = q.integer(kind)
    if kind in (q.ACK, q.ACK + 1):
        count = chance.randrange(6)
        body += b"".join(map(q.integer, (number(chance), number(chance), chance.choice((count, number(chance))),
                                         number(chance))))
        body += b"".join(q.integer(number(chance)) for _ in range(2 * count + (3 if kind & 1 else 0)))
    elif kind == q.NEW_ID:
        length = chance.choice((8, 8, 8, 20, 0, 21, 255, 1))
        body += q.integer(number(chance)) + q.integer(number(chance)) + bytes([length]) + chance.randbytes(length + 16)
    elif kind in (q.CHALLENGE, q.RESPONSE):
        body += chance.randbytes(8)
    elif kind in q.PLAIN:
        body += b"".join(q.integer(number(chance)) for _ in range(q.PLAIN[kind]))
    else:
        data = chance.randbytes(chance.randrange(80))
        body += q.integer(chance.choice((0, 4, 8, number(chance)))) + q.integer(number(chance)) + q.integer(
            chance.choice((len(data), number(chance)))) + data
    return body


def plausible(chance, peer):
    """A frame that is right by itself, and odd at most beside the others."""
    small, stream = chance.randrange(64), chance.randrange(12)
    return chance.choice((
        lambda: q.new_id(small, chance.choice((0, small, chance.randrange(small + 1))), chance.randbytes(8),
                         chance.randbytes(16)),
        lambda: q.frame(q.RETIRE_ID, chance.randrange(4)),
        lambda: q.frame(q.RESET, stream, small, chance.randrange(4000)),
        lambda: q.frame(q.STOP, stream, small),
        lambda: q.stream(stream, chance.randrange(4000), chance.randbytes(chance.randrange(200)),
                         chance.random() < 0.2),
        lambda: q.ack(chance.sample(sorted(peer.received), min(len(peer.received), 5)) or [0]),
        lambda: q.ack([chance.randrange(max(peer.expected, 1)) for _ in range(3)], number(chance)),
        lambda: q.frame(chance.choice((q.MAX_DATA, q.MAX_STREAMS, q.DATA_BLOCKED, 0x16)), number(chance) >> 2),
        lambda: q.frame(q.MAX_STREAM_DATA, stream, number(chance)),
        lambda: q.challenge(chance.randbytes(8), chance.choice((q.CHALLENGE, q.RESPONSE))),
        lambda: q.crypto(chance.randrange(3000), chance.randbytes(chance.randrange(100))),
        lambda: q.frame(chance.choice((q.PING, q.PADDING))),
    ))()


def frames(chance):
    return b"".join(frame(chance) for _ in range(chance.randrange(1, 6)))[:1200]


def p99_random_frames(lab):
    """Strangers whose packets hold anything, before and after the handshake's end."""
    node = lab.listen()
    rounds = Rounds(lab, node, "frames")
    chance = rounds.random
    for _ in rounds:
        def early(peer):
            for _ in range(chance.randrange(4)):
                peer.send(frames(chance))

        peer = lab.client(node, source=source(chance), early=early if chance.random() < 0.3 else None)
        if not peer.closed:
            peer.open(PING, bytes(32 * chance.randrange(1, 40)))
            peer.acknowledges = lambda packet, _: chance.random() < 0.7
        for _ in range(40):
            if peer.closed:
                break
            # One kind at a time lives longer than a mixture.
            payload = plausible(chance, peer) if chance.random() < 0.9 else frames(chance)
            peer.send(payload, number=peer.number + chance.randrange(100) if chance.random() < 0.1 else None,
                      pad=chance.choice((0, 0, 1000)))
            lab.loop.pump(0)
        peer.abandon()


def p99_random_frames_dialler(lab):
    """The same, of a server."""
    chance = random.Random(f"{SEED} dialler")
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        server = lab.server(early=lambda peer: peer.send(frames(chance)) if chance.random() < 0.5 else None)
        node = lab.run("ping", "-c", "3", "-i", "10ms", "--timeout", "2s", server.address)
        for _ in range(200):
            for peer in server.connections:
                if peer.is_open and not peer.closed:
                    peer.send(plausible(chance, peer) if chance.random() < 0.9 else frame(chance))
            lab.loop.pump(0.005)
            if node.child.poll() is not None:
                break
        lab.loop.until(lambda: node.child.poll() is not None, 20, "the end of ping")
        assert node.wait() >= 0, f"seed {SEED}: ended by signal {-node.child.returncode}: {node.text()[-300:]}"


def messages(chance, peer):
    """(protocol, bytes) of something that the protocol has, before it is changed."""
    own = peer.identity.node_id
    return chance.choice((
        (PING, bytes(64)), ("/ipfs/id/1.0.0", b""), ("/ipfs/id/push/1.0.0", framed(field(2, own) + field(3, "/x"))),
        (ADMISSION, framed(field(1, chance.randbytes(32)))),
        (relaying.PROTOCOL, relaying.message(relaying.RESERVE)),
        (relaying.PROTOCOL, relaying.message(relaying.CONNECT, field(1, chance.choice((own, peer.node_id))))),
        (relaying.PROTOCOL, relaying.message(relaying.INCOMING, field(1, own) + field(2, relaying.circuit_grant(7)))),
        (punching.PROTOCOL, punching.offer([punching.candidate("127.0.0.1", 9, chance.randrange(6))] * 4, bytes(16))),
        ("/dep2p/sys/autonat/1.0.0", framed(field(1, field(1, 4001) + field(2, bytes(12))))),
        (app.MESSAGING, app.request(10) + bytes(10)),
        (app.TRANSFER, app.offer([app.entry("a", 8), app.entry(["d", "b"], 9, modified=5)], total=17)),
        (app.TRANSFER, app.offer([app.entry("a", 8)], total=8) + app.start(0) + app.data(bytes(8))),
        (app.TRANSFER, app.sender_frame(app.FAILED, field(1, 0) + field(3, "no")) + app.working(3)),
        ("/dep2p/app/streams/chat/1.0.0", b"hello"), ("/none/1.0.0", b""),
    ))


def malformed(lab, node, name, make):
    rounds = Rounds(lab, node, name)
    chance, peer = rounds.random, None
    for _ in rounds:
        if peer is None or peer.closed or peer.opened > 2000:
            if peer:
                peer.abandon()
            peer = make(chance)
        for _ in range(10):
            if peer.closed:
                break
            protocol, body = messages(chance, peer)
            whole = proposal(protocol) + body
            kind = chance.randrange(5)
            if kind == 0:
                whole = mutate(chance, whole)
            elif kind == 1:
                whole = proposal(protocol) + mutate(chance, body)
            elif kind == 2:
                whole = proposal(protocol) + varint(chance.choice((1 << 20, 1 << 35, 3))) + mutate(chance, body)
            elif kind == 3:
                whole = line("/multistream/1.0.0") + line("ls") * chance.randrange(20) + body
            if peer.opened >= peer.max_streams:
                lab.loop.holds(lambda: peer.opened < peer.max_streams or peer.closed, 0.5)
            if peer.opened >= peer.max_streams or peer.closed:
                peer.close()
                break
            stream = peer.open_raw(whole, fin=chance.random() < 0.6)
            if chance.random() < 0.2:
                stream.reset(chance.randrange(1 << 20))
            elif chance.random() < 0.5:
                stream.stop(chance.randrange(1 << 20))
        lab.loop.pump(0.01)


def p99_malformed_streams(lab):
    """A stranger's."""
    node = lab.listen()
    malformed(lab, node, "streams", lambda chance: lab.client(node, source=source(chance)))


def p99_malformed_streams_member(lab):
    """A member's."""
    node = lab.listen()
    malformed(lab, node, "member", lambda chance: lab.member(node, source=source(chance)))


def p99_malformed_streams_relay(lab):
    """At a relay."""
    relay = lab.relay("--public")
    malformed(lab, relay, "relay", lambda chance: lab.client(relay, source=source(chance)))


def p99_tcp_legs(lab):
    """Lengths and datagrams of any kind in TLS over TCP."""
    relay = lab.relay("--public", "--tcp-listen", "127.0.0.1:0")
    port = int(next(address for address in relay.addresses if "/tcp/" in address).split("/")[4])
    rounds = Rounds(lab, relay, "legs")
    for _ in rounds:
        chance = rounds.random
        link = TCPLink(lab.loop, ("127.0.0.1", port), source(chance))
        peer = lab.client(relay, link=link, wait=False)
        lab.loop.holds(lambda: peer.is_open or peer.closed or link.ended, 0.2)
        for _ in range(20):
            one = chance.choice((b"\x10" + chance.randbytes(8) + bytes(3), chance.randbytes(chance.randrange(1, 300)),
                                 b"\x43" + chance.randbytes(40), b""))
            length = chance.choice((len(one), len(one), len(one), chance.randrange(1 << 16)))
            link.send_raw((length.to_bytes(2, "big") + one) * chance.choice((1, 1, 30, 400)))
            if link.ended:
                break
        lab.loop.pump(0.01)
        peer.abandon()


def p99_memory(lab):
    """What comes back on ping streams is what was sent there, whatever happened to the streams meanwhile."""
    node = lab.listen()
    rounds = Rounds(lab, node, "memory")
    chance = rounds.random
    for _ in rounds:
        peer = lab.client(node, source=source(chance), streams=1)
        peer.acknowledges = lambda packet, _: chance.random() < 0.5
        wanted = {}
        for _ in range(40):
            if peer.closed or peer.opened >= peer.max_streams:
                break
            payload = chance.randbytes(chance.choice((32, 64, 320, 640, 33)))
            stream = peer.open(PING, payload, fin=chance.random() < 0.3)
            wanted[stream.number] = proposal(PING) + payload
            for _ in range(chance.randrange(3)):
                other = chance.choice(list(peer.streams.values()))
                chance.choice((lambda one=other: one.stop(1), lambda one=other: one.reset(1), lambda: None))()
            lab.loop.pump(0.003)
        lab.loop.pump(0.4)
        for _, one in peer.frames:
            if one.kind == q.STREAM and one.values[0] in wanted:
                begin = one.values[1]
                assert wanted[one.values[0]][begin:begin + len(one.data)] == one.data, (
                    f"seed {SEED}: {len(one.data)} bytes that were never echoed: {one.data[:64].hex()}")
        peer.abandon()


def p99_lying_relay(lab):
    """A relay that a node has chosen: what it grants, whom it brings, and what it says of itself."""
    chance = random.Random(f"{SEED} relay")
    print(f"seed {SEED}")
    server = lab.server(on_connection=lambda peer: lie(chance, peer))
    node = lab.house.start("receiver", "listen", "--realm-key", lab.house.realm_key, "--no-port-mapping", "--listen",
                           "127.0.0.1:0", "-o", lab.house.inbox, "--relay", server.address)
    end = time.monotonic() + 2 * SECONDS
    while time.monotonic() < end:
        for peer in server.connections:
            if not peer.is_open or peer.closed:
                continue
            for _ in range(4):
                bring(chance, peer)
            circuits = list(peer.circuits_told) or [7]
            for _ in range(10):
                body = chance.choice((b"\x43" + chance.randbytes(40), bytes(1), b"\xc3\0\0\0\1\x08" + bytes(1200)))
                peer.link.send(bytes([0x10 | chance.randrange(16)]) + chance.choice(circuits).to_bytes(8, "big") + body,
                               peer.remote)
        lab.loop.pump(0.02)
        assert_alive(node)
        if chance.random() < 0.02:
            for peer in server.connections:
                peer.close(chance.randrange(1 << 20), b"go")
    accepted = sum(relaying.message(relaying.ANSWER, field(1, 1)) in bytes(stream.data)
                   for peer in server.connections for stream in peer.streams.values())
    assert accepted, f"the node took no circuit on {len(server.connections)} connections"
    node.kill(15)
    assert lab.finished(node) in (0, 69, 143, -15), f"the node ended with {node.child.returncode}: {node.text()[-300:]}"


def lie(chance, peer):
    """Answers what a node asks of its relay with what is nearly right."""
    peer.circuits_told = set()

    def reservation(stream):
        terms = b"".join(field(one, chance.choice((0, 1, 5, (1 << 64) - 1))) for one in range(1, 5))
        body = field(1, chance.choice((0, 1, 3, 60, (1 << 63), (1 << 64) - 1))) + field(2, terms)
        answer = relaying.message(relaying.RESERVATION, body)
        stream.write(answer if chance.random() < 0.6 else mutate(chance, answer), fin=chance.random() < 0.5)

    def identity(stream):
        own = peer.identity.public
        addresses = [b"\x04" + chance.randbytes(4) + b"\x91\x02\x0f\xa1\xcc\x03", chance.randbytes(20), b""]
        body = field(1, own) + b"".join(field(2, one) for one in addresses) + field(3, "/x" * 300) + field(8, b"\n\0")
        stream.write(mutate(chance, framed(body)) if chance.random() < 0.5 else framed(body), fin=True)

    peer.serve(relaying.PROTOCOL, reservation)
    for name in ("/ipfs/id/1.0.0", "/dep2p/sys/identify/1.0.0"):
        peer.serve(name, identity)
    peer.serve("/dep2p/sys/autonat/1.0.0", lambda stream: stream.write(chance.randbytes(30), fin=True))


def bring(chance, peer):
    """A circuit that somebody made up, or an end that nobody asked for."""
    if peer.opened >= peer.max_streams:
        return
    number = chance.choice((7, 8, chance.randrange(1 << 64)))
    source = chance.choice((peer.identity.node_id, peer.node_id, b"\x00$\x08\x01\x12 " + chance.randbytes(32)))
    grant = relaying.circuit_grant(number, chance.choice((0, 1, 1199, 1200, 1452, 65535, (1 << 32) - 1)))
    kind, body = chance.choice(((relaying.INCOMING, field(1, source) + field(2, grant)),
                                (relaying.ENDED, field(1, chance.randrange(9))), (relaying.RESERVE, b"")))
    stream = peer.open(relaying.PROTOCOL, relaying.message(kind, body), fin=chance.random() < 0.2)
    if kind == relaying.INCOMING:
        peer.circuits_told.add(number)
    if chance.random() < 0.3:
        stream.reset(3)
    elif chance.random() < 0.3:
        stream.write(relaying.message(relaying.ENDED, field(1, 2) + field(3, (1 << 64) - 1)))
