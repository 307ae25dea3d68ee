"""Point 1: what a node sends again is what it sent before, whatever the peer does to the stream."""

import os

from hostile import quic_frames as q
from hostile.connection import PING
from hostile.node import assert_alive
from hostile.wire import proposal

PAYLOAD = 32


class Victim:
    """One ping stream whose echoes are never acknowledged."""

    def __init__(self, peer):
        self.payloads = b"".join(os.urandom(PAYLOAD) for _ in range(24))
        self.stream = peer.open(PING, self.payloads)
        self.wanted = proposal(PING) + self.payloads

    def foreign(self, number, offset, data):
        """Bytes of a frame that are not what the stream holds there."""
        return number == self.stream.number and data != self.wanted[offset:offset + len(data)] and data


def foreign_bytes(peer, victims):
    found = []
    for number, frame in peer.frames:
        if frame.kind == q.STREAM:
            found += [data for victim in victims if (data := victim.foreign(frame.values[0], frame.values[1],
                                                                            frame.data))]
    return found


def leak(lab, peer, end):
    """Ends streams with `end` while their echoes are unacknowledged, and has the node take those for lost."""
    victims, withheld = [], set()

    def rule(number, frames):
        return not any(one.kind == q.STREAM and one.values[0] in withheld for one in frames)

    peer.acknowledges = rule
    for _ in range(6):
        withheld.add(peer.opened << 2)
        victim = Victim(peer)
        victims.append(victim)
        lab.loop.until(lambda: len(victim.stream.body) >= len(victim.payloads) or peer.closed, 10, "echoes")
        end(victim.stream)
        # What is freed is used again by others; what they make the node send is acknowledged. A session has two streams
        # of ping at a time: one may be told that the last is still being put away.
        for _ in range(3):
            assert any(peer.ping(2) for _ in range(3)), "no answer to an honest ping"
        lab.loop.pump(0.3)
    lab.loop.pump(1.5)
    return foreign_bytes(peer, victims)


def check(lab, node, peer, end):
    found = leak(lab, peer, end)
    assert_alive(node)
    assert not found, f"{sum(map(len, found))} bytes that were never echoed: {found[0][:64].hex()}"


def p01_memory_stop_sending(lab):
    """STOP_SENDING, and one more ping, by which the node finds out; the next one ends its work on the stream."""
    node = lab.listen()

    def end(stream):
        stream.stop().write(os.urandom(PAYLOAD))
        lab.loop.pump(0.1)
        stream.write(os.urandom(PAYLOAD))

    check(lab, node, lab.client(node), end)


def p01_memory_reset(lab):
    """Half a ping and the end: the handler fails, the node resets the stream."""
    node = lab.listen()
    check(lab, node, lab.client(node), lambda stream: stream.write(b"half a ping", fin=True))


def p01_memory_both(lab):
    """The peer's own reset, with STOP_SENDING behind it."""
    node = lab.listen()
    check(lab, node, lab.client(node), lambda stream: stream.reset().stop())
