"""Point 11 again, from the second review: what one member's transfers keep from others, and what they cost."""

import os
import time

from hostile import app
from hostile.node import assert_alive, processor, resident
from hostile.wire import field

MIB = 1 << 20
PAGE = 4000


def partials(lab):
    return sorted(path.name for path in lab.house.inbox.iterdir() if ".dep2p-partial-" in path.name)


def free(lab):
    status = os.statvfs(lab.house.inbox)
    return status.f_bavail * status.f_frsize


def p11_an_offer_removes_nothing(lab):
    """What others have left here stays when somebody offers more than the disk has."""
    node = lab.listen()
    honest = lab.member(node, source="127.0.0.2")
    stream = honest.open(app.TRANSFER, app.offer([app.entry("large", 3 * MIB)], total=3 * MIB))
    stream.wait_frames(1)
    stream.write(app.start(0) + app.data(bytes(MIB)) * 2)
    lab.loop.until(lambda: partials(lab) and not stream.pending and not honest.unacknowledged, 20, "a partial file")
    lab.loop.pump(0.5)
    honest.close()
    honest.abandon()
    lab.loop.pump(1)
    left = partials(lab)
    assert left, "there is no partial file"
    member = lab.member(node, source="127.0.0.3")
    offer = member.open(app.TRANSFER, app.offer([app.entry("huge", 1 << 62)], total=1 << 62))
    offer.wait_frames(1)
    lab.loop.pump(0.5)
    assert partials(lab) == left, "an offer that is refused has removed what another sender left"


def p11_silent_room(lab):
    """A member offers all that is free, and sends nothing: others have room."""
    node = lab.listen()
    member = lab.member(node, source="127.0.0.2")
    size = free(lab) - 100 * MIB
    stream = member.open(app.TRANSFER, app.offer([app.entry("all", size)], total=size))
    stream.wait_frames(1)
    source = lab.house.folder / "honest"
    with open(source, "wb") as file:
        file.truncate(150 * MIB)
    assert lab.finished(lab.send(node.address, source)) == 0, "another member's file was refused"


def p11_silent_descriptors(lab):
    """Transfers that were accepted and say only that they are at work do not have all descriptors."""
    node = lab.listen()
    member = lab.member(node, source="127.0.0.2")
    streams = [member.open(app.TRANSFER, app.offer([app.entry(f"x{number}", 1000)], total=1000))
               for number in range(16)]
    lab.loop.pump(1)
    sender = lab.send(node.address, lab.house.source("honest", 10_000))
    deadline = time.monotonic() + 40
    while sender.child.poll() is None and time.monotonic() < deadline:
        for stream in streams:
            stream.write(app.working())
        lab.loop.pump(2)
    assert sender.child.poll() == 0, "another member's file waits for descriptors"


def p11_reasons(lab):
    """Why files are not sent is kept of a few of them only: a thousand bytes each, and many files."""
    count = 10_000
    entries = [app.entry(f"{number:x}") for number in range(count)]
    pages = [app.offer(entries[at:at + PAGE], count=count, more=at + PAGE < count) for at in range(0, count, PAGE)]
    failures = [app.sender_frame(app.FAILED, field(1, number) + field(2, 9) + field(3, "r" * 1000))
                for number in range(count - 1)]
    node = lab.listen("-q")
    member = lab.member(node)
    stream = member.open(app.TRANSFER, b"".join(pages))
    stream.wait_frames(1, 30)
    before = resident(node)
    stream.write(b"".join(failures))
    left = -1
    while len(stream.pending) != left and not stream.ended and not member.closed:
        left = len(stream.pending)
        lab.loop.pump(1.5)
    assert_alive(node)
    assert not left and not stream.ended, f"not read to the end: {left} bytes, {member.closed}"
    grown = resident(node) - before
    assert grown < 6 * MIB, f"{count} reasons cost {grown >> 20} MiB"


def p11_names_in_a_wrong_order(lab):
    """Marks in a wrong order cost the square of their number to put in order: a long name of them is not looked at."""
    size = 60_000
    plain, odd = ("a" * size, "a" + "\u0345" * (size // 4) + "\u0316" * (size // 4))
    node = lab.listen()
    member = lab.member(node)
    costs = []
    for name in (plain, odd):
        before = processor(node)
        for _ in range(10):
            stream = member.open(app.TRANSFER, app.offer([app.entry(name, 1)], total=1))
            stream.wait(lambda one: one.ended, 60, "a refusal")
        costs.append(processor(node) - before)
    assert costs[1] < 10 * max(costs[0], 0.1), f"names of marks cost {costs[1]:.2f} s, plain ones {costs[0]:.2f} s"
