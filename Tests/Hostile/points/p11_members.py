"""Point 11: one member does not stop the others."""

import statistics
import time

from hostile import app
from hostile.node import assert_alive, resident
from hostile.wire import field

BODY = 4 << 20
SILENT = 16
PAGE = 4000
ROUNDS, BURST = 12, 150_000


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
    beside_file = round_trip_beside(lab, node, app.start(0) + app.data(bytes(app.BLOCK)) * parts, offer)
    beside_nothing = round_trip_beside(lab, node, app.working() * (ROUNDS * BURST // len(app.working())))
    assert_alive(node)
    ratio = beside_nothing / beside_file
    assert ratio < 4, f"somebody else's round trip is {ratio:.1f} times that beside a file"


def round_trip_beside(lab, node, flood, offer=b""):
    """The median round trip of another peer that asks right after each burst of a member's transfer."""
    member, other = lab.member(node, pace=BURST // 1000), lab.client(node, source="127.0.0.9")
    stream = member.open(app.TRANSFER, offer)
    if offer:
        stream.wait_frames(1)
    trips = []
    for number in range(ROUNDS):
        stream.write(flood[number * BURST:(number + 1) * BURST])
        started = time.perf_counter()
        assert other.ping(10), "no answer to a ping"
        trips.append(time.perf_counter() - started)
        lab.loop.until(lambda: not stream.pending and not member.unacknowledged or member.closed, 10, "room")
    for peer in (member, other):
        peer.close()
        peer.abandon()
    return statistics.median(trips)


def p11_identities_of_one_member(lab):
    """Whoever has the key has any number of identities: they do not take every connection."""
    node = lab.listen("--preset", "minimal")
    for number in range(70):
        peer = lab.client(node, source="127.0.0.2")
        if not peer.closed:
            peer.admit(lab.realm)
    lab.loop.pump(0.2)
    assert_alive(node)
    status = lab.message(node.address, "beside many of one")
    assert status == 0, f"another member's message ended with {status}"
