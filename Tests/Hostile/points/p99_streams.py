"""No point of its own: streams of random strangers and members, and relays. See hostile/chance.py."""

import random
import time

from hostile import app, punching, relaying
from hostile.chance import SECONDS, SEED, Rounds, mutate, source
from hostile.connection import ADMISSION, PING
from hostile.identity import Identity
from hostile.links import TCPLink
from hostile.node import assert_alive
from hostile.wire import field, framed, line, proposal, varint


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


def p99_lying_relay(lab):
    """A relay that a node has chosen: what it grants, whom it brings, and what it says of itself."""
    chance = random.Random(f"{SEED} relay")
    print(f"seed {SEED}")
    lies = Lies(chance)
    server = lab.server(on_connection=lies.begin)
    node = lab.house.start("receiver", "listen", "--realm-key", lab.house.realm_key, "--no-port-mapping", "--listen",
                           "127.0.0.1:0", "-o", lab.house.inbox, "--relay", server.address)
    def accepted():
        return any(relaying.message(relaying.ANSWER, field(1, 1)) in bytes(stream.data)
                   for peer in server.connections for stream in peer.streams.values())

    # Chosen it is for its word, so it begins with the truth: the lies are to get somewhere, and not by chance.
    lab.loop.until(lambda: lies.holder, 30, "a reservation that the node asks for")
    for number in range(1, 16):
        # The first may come before the node has heard of its reservation.
        lies.holder.open(relaying.PROTOCOL, relaying.message(
            relaying.INCOMING, field(1, Identity().node_id) + field(2, relaying.circuit_grant(number))))
        if lab.loop.holds(accepted, 2):
            break
    assert accepted(), "the node takes no circuit of a relay that says the truth"
    lies.is_honest = False
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
    node.kill(15)
    assert lab.finished(node) in (0, 69, 143, -15), f"the node ended with {node.child.returncode}: {node.text()[-300:]}"


class Lies:
    """Answers what a node asks of its relay: with the truth at first, then with what is nearly right."""

    def __init__(self, chance):
        self.chance, self.is_honest = chance, True
        # The connection that the node has asked for a reservation on, last.
        self.holder = None

    def begin(self, peer):
        peer.circuits_told = set()
        peer.serve(relaying.PROTOCOL, self.reservation)
        for name in ("/ipfs/id/1.0.0", "/dep2p/sys/identify/1.0.0"):
            peer.serve(name, lambda stream: self.identity(peer, stream))
        peer.serve("/dep2p/sys/autonat/1.0.0", lambda stream: stream.write(self.chance.randbytes(30), fin=True))

    def reservation(self, stream):
        chance = self.chance
        self.holder = stream.connection
        if self.is_honest:
            stream.write(relaying.message(relaying.RESERVATION, field(1, 3600) + field(2, b"")), fin=True)
            return
        terms = b"".join(field(one, chance.choice((0, 1, 5, (1 << 64) - 1))) for one in range(1, 5))
        body = field(1, chance.choice((0, 1, 3, 60, (1 << 63), (1 << 64) - 1))) + field(2, terms)
        answer = relaying.message(relaying.RESERVATION, body)
        stream.write(answer if chance.random() < 0.6 else mutate(chance, answer), fin=chance.random() < 0.5)

    def identity(self, peer, stream):
        chance = self.chance
        addresses = [b"\x04" + chance.randbytes(4) + b"\x91\x02\x0f\xa1\xcc\x03", chance.randbytes(20), b""]
        body = (field(1, peer.identity.public) + b"".join(field(2, one) for one in addresses) + field(3, "/x" * 300)
                + field(8, b"\n\0"))
        stream.write(mutate(chance, framed(body)) if chance.random() < 0.5 else framed(body), fin=True)


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
