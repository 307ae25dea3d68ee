"""No point of its own: datagrams, handshakes and frames of random strangers. See hostile/chance.py."""

import random
import time

from hostile import quic_frames as q
from hostile.chance import SECONDS, SEED, Rounds, frame, frames, mutate, plausible, source
from hostile.connection import PING
from hostile.links import UDPLink
from hostile.wire import proposal


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


def p99_random_frames(lab):
    """Strangers whose packets hold anything, before and after the handshake's end."""
    node = lab.listen()
    rounds = Rounds(lab, node, "frames")
    chance, spare = rounds.random, UDPLink(lab.loop, "127.0.0.250")
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
                      link=spare if chance.random() < 0.05 else None, pad=chance.choice((0, 0, 1000)))
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
