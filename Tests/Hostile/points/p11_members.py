"""Point 11: one member does not stop the others."""

import time

from hostile import app
from hostile.node import assert_alive, resident
from hostile.wire import field

BODY = 4 << 20
SILENT = 16
PAGE = 4000
ROUNDS, BURST = 16, 150_000
# What the preset `minimal` holds: 50 connections, and the slack above that.
PLACES = 62


def p11_silent_bodies(lab):
    """Bodies that are announced and do not come."""
    node = lab.listen()
    member = lab.member(node, source="127.0.0.2")
    for _ in range(SILENT):
        member.open(app.MESSAGING, app.request(BODY))
    lab.loop.pump(0.3)
    assert lab.message(node.address, "beside silent ones") == 0, "another member's message was refused"


def p11_working_frames(lab):
    """Every place of a transfer is held by someone who says that he is at work."""
    node = lab.listen()
    member = lab.member(node, source="127.0.0.2")
    streams = [member.open(app.TRANSFER, app.working()) for _ in range(SILENT)]
    lab.loop.pump(0.3)
    source = lab.house.source("honest.bin", 10_000)
    assert lab.finished(lab.send(node.address, source)) == 0, "another member's file was refused"
    assert streams


def p11_working_for_ever(lab):
    """A transfer without an offer ends, whatever its sender says."""
    node = lab.listen()
    member = lab.member(node)
    stream = member.open(app.TRANSFER)
    for _ in range(60):
        if stream.ended or stream.stop_code is not None:
            return
        stream.write(app.working())
        lab.loop.pump(1)
    raise AssertionError("a transfer that says nothing but `working` stands after 60 s")


def p11_unfinished_offer(lab):
    """An offer as large as they come, of paths as deep as they may be, without its last page."""
    count, deep = 99_000, field(2, "a") * 63
    names = [field(1, 0) + deep + field(2, f"{number:x}") + field(3, 0) for number in range(count)]
    pages = [app.offer(names[first:first + PAGE], count=count + 1, more=True) for first in range(0, count, PAGE)]
    node = lab.listen()
    member = lab.member(node)
    lab.loop.pump(0.3)
    before = resident(node)
    stream = member.open(app.TRANSFER, b"".join(pages))
    left = -1
    while len(stream.pending) != left and not stream.ended and not member.closed:
        # Until all of it is there, or the node takes no more.
        left = len(stream.pending)
        lab.loop.pump(1.5)
    assert_alive(node)
    grown = resident(node) - before
    assert grown < 64 << 20, f"an offer of {count} names costs {grown >> 20} MiB before it is finished"


def p11_empty_frames(lab):
    """A burst of frames that say nothing keeps others waiting no longer than as many bytes of a file."""
    node = lab.listen()
    parts = ROUNDS * BURST // app.BLOCK + 1
    offer = app.offer([app.entry("large", parts * app.BLOCK)], total=parts * app.BLOCK)
    file = Flood(lab, node, app.start(0) + app.data(bytes(app.BLOCK)) * parts, offer)
    nothing = Flood(lab, node, app.working() * (ROUNDS * BURST // len(app.working())))
    # By turns, and the best quarter of each: what the machine does besides hits both, and neither's.
    beside_file, beside_nothing = zip(*((file.round_trip(), nothing.round_trip()) for _ in range(ROUNDS)))
    assert_alive(node)
    ratio = quickest(beside_nothing) / quickest(beside_file)
    assert ratio < 4, f"somebody else's round trip is {ratio:.1f} times that beside a file"


def quickest(trips):
    """The lower quartile."""
    return sorted(trips)[len(trips) // 4]


class Flood:
    """A member's transfer in bursts, begun anew where the node ends it, and another peer that asks after each of them."""

    def __init__(self, lab, node, data, offer=b""):
        self.lab, self.data, self.offer = lab, data, offer
        self.member, self.other = lab.member(node, pace=BURST // 1000), lab.client(node, source="127.0.0.9")
        self.begin()

    def begin(self):
        self.stream = self.member.open(app.TRANSFER, self.offer)
        if self.offer:
            self.stream.wait_frames(1)

    def is_over(self):
        return self.stream.ended or self.stream.stop_code is not None

    def round_trip(self):
        """How long the other's ping takes behind the next burst."""
        if self.is_over():
            self.begin()
        burst, self.data = self.data[:BURST], self.data[BURST:]
        self.stream.write(burst)
        started = time.perf_counter()
        assert self.other.ping(10), "no answer to a ping"
        trip = time.perf_counter() - started
        self.lab.loop.until(
            lambda: not self.stream.pending and not self.member.unacknowledged or self.is_over() or self.member.closed,
            10, "room")
        return trip


def p11_identities_of_one_member(lab):
    """Whoever has the key has any number of identities: they do not take every connection."""
    node = lab.listen("--preset", "minimal")
    peers = [admitted(lab, node, "127.0.0.2") for _ in range(70)]
    assert_alive(node)
    status = lab.message(node.address, "beside many of one")
    assert status == 0, f"another member's message ended with {status}"
    assert sum(not one.closed for one in peers) >= PLACES - 2, "more made room than had to"


def p11_colleagues_of_one_address(lab):
    """An office behind one NAT fills a node: it makes room for others, and its own do not push each other out."""
    node = lab.listen("--preset", "minimal")
    office = [admitted(lab, node, "127.0.0.2") for _ in range(PLACES)]
    assert not any(one.closed for one in office), "a member was closed while there was room"
    other = lab.member(node, source="127.9.0.1")
    lab.loop.until(lambda: sum(bool(one.closed) for one in office) == 1, 10, "room made by the office")
    # Who had to go dials again, and again.
    for _ in range(8):
        assert admitted(lab, node, "127.0.0.2").closed, "one more of the address that is full was taken"
    assert sum(bool(one.closed) for one in office) == 1, "colleagues pushed each other out"
    assert not other.closed and other.ping(), "the newcomer was closed again"


def admitted(lab, node, source):
    """A peer that has proven the realm key, or whose connection the node has closed."""
    peer = lab.client(node, source=source)
    lab.loop.pump(0.05)
    if not peer.closed:
        assert peer.admit(lab.realm) or peer.closed, "a right proof was not admitted"
    return peer
