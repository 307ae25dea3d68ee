"""What a random peer says, and rounds of it in bounded time.

DEP2P_SEED repeats a run; DEP2P_ROUNDS makes it longer.
"""

import os
import random
import time

from . import quic_frames as q
from .node import assert_alive, resident

SEED = int(os.environ.get("DEP2P_SEED") or time.time_ns() % 1_000_000)
SECONDS = 2.5 * max(int(os.environ.get("DEP2P_ROUNDS") or 4) / 4, 1)
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
