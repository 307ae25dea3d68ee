"""Point 3: arithmetic on what a member, or a file system, says."""

import os

from hostile import app
from hostile.gateway import Gateway
from hostile.node import alive, assert_alive, processor

EXTREMES = (-(1 << 63), (1 << 63) - 1, -1, -(1 << 63) + 1, -1_000_000_001)
BODY = b"contents"


def p03_times_of_a_member(lab):
    """Files with the extremes of a modification time; the time is lost at most, the file is not."""
    node = lab.listen()
    member = lab.member(node)
    for number, modified in enumerate(EXTREMES):
        one = app.entry(f"file-{number}", len(BODY), modified=modified)
        stream = member.open(app.TRANSFER, app.offer([one], total=len(BODY)))
        frames = stream.wait_frames(1)
        assert_alive(node)
        if frames:
            assert app.deliver(stream, BODY), f"a file of {modified} ns did not arrive"
        assert_alive(node)
    assert lab.client(node).ping()


def p03_numbers_of_a_transfer(lab):
    """Sizes, counts, offsets and indices at their ends."""
    node = lab.listen()
    member = lab.member(node)
    most = (1 << 64) - 1
    small = app.offer([app.entry("small", 8)], total=8)
    for first in (
            app.offer([app.entry("size", most)], total=most), app.offer([app.entry("half", 1 << 63)], total=1 << 63),
            app.offer([app.entry("count", 1)], count=most, total=1), app.offer([app.entry("total", 1)], total=most),
            app.offer([app.entry("kind", 1, kind=most)], total=1), app.working(most),
            app.offer([app.entry("two", (1 << 63) - 1), app.entry("sum", (1 << 63) - 1)], total=most)):
        member.open(app.TRANSFER, first).wait(lambda one: one.ended or one.frames, 10, "an answer")
        assert_alive(node)
    for second in (app.start(most), app.start(0, most), app.start(0) + app.sender_frame(app.DATA, most),
                   app.start(0) + app.end(0, most, bytes(32)), app.end(most, most, b""), app.start(0, 1 << 63)):
        stream = member.open(app.TRANSFER, small)
        stream.wait_frames(1)
        stream.write(second, fin=True)
        stream.wait(lambda one: one.ended, 10, "the end")
        assert_alive(node)
    assert lab.client(node).ping()


def p03_zeros_of_a_transfer(lab):
    """Zeros that travel as a number: as many as a file can have cost neither room nor time; none count twice."""
    node = lab.listen()
    member = lab.member(node)
    most = (1 << 63) - 1

    def offered(size, data_size=0):
        return app.offer([app.entry("image", size, data_size=data_size)], total=size)

    # More data than bytes, in words of the offer.
    member.open(app.TRANSFER, offered(5, 6)).wait(lambda one: one.ended, 10, "a refusal")
    before, free = processor(node), os.statvfs(lab.house.inbox).f_bavail
    for steps in (
            [app.zeros(most)], [app.zeros(most), app.zeros(most)], [app.zeros(1 << 63)], [app.zeros((1 << 64) - 1)],
            [app.zeros(0)], [app.zeros(16_383)], [app.zeros(1 << 62), app.zeros(1 << 62)],
            # As many frames as a window holds, each of as few zeros as there may be, and between bytes.
            [app.zeros(16_384)] * 20_000, [app.zeros(1 << 40) + app.data(b"x")] * 10_000):
        stream = member.open(app.TRANSFER, offered(most))
        stream.wait_frames(1)
        stream.write(app.start(0) + b"".join(steps) + app.end(0, most, bytes(32)), fin=True)
        stream.wait(lambda one: one.ended, 30, "the end")
        assert_alive(node)
    assert processor(node) - before < 20, "zeros cost the receiver its processor"
    assert free - os.statvfs(lab.house.inbox).f_bavail < 100_000, "zeros took the receiver's disk"
    # Before a file, and after its end.
    for rest in (app.zeros(1 << 20), app.start(0) + app.zeros(1 << 20) + app.end(0, 1 << 20, bytes(32)) + app.zeros(1 << 20)):
        stream = member.open(app.TRANSFER, offered(1 << 20))
        stream.wait_frames(1)
        stream.write(rest, fin=True)
        stream.wait(lambda one: one.ended, 10, "the end")
    assert_alive(node)
    assert lab.client(node).ping()


def p03_times_of_a_file(lab):
    """An honest sender, whose file says that it is from the year 2262, or from long before Christ."""
    node = lab.listen()
    folder = next(path for path in ("/dev/shm", lab.folder.name) if os.path.isdir(path))
    for number, modified in enumerate((9223372036_999999999, -9223372037_000000000, (1 << 62) * 1_000)):
        path = os.path.join(folder, f"dep2p-hostile-{os.getpid()}-{number}")
        try:
            with open(path, "wb") as file:
                file.write(BODY)
            try:
                os.utime(path, ns=(0, modified))
            except OverflowError:
                continue
            status = lab.finished(lab.send(node.address, path))
        finally:
            os.unlink(path)
        assert_alive(node)
        assert status == 0, f"a file of {modified} ns ends its sender with {status}"


def p03_numbers_of_a_gateway(lab):
    """A router on the local network refuses a port with the extremes of an error code, or gives an extreme port."""
    code = -(1 << 31)
    gateway = Gateway(refuse={"AddPortMapping": code},
                      answers={"AddAnyPortMapping": f"<NewReservedPort>{code}</NewReservedPort>"})
    for action in ("AddAnyPortMapping", "AddPortMapping"):
        node = lab.house.start(action, "listen", "--realm-key", lab.house.realm_key, "--listen", "10.77.0.1:0", "-o",
                               lab.house.inbox)
        lab.loop.until(lambda: action in gateway.actions or not alive(node), 25, action)
        lab.loop.pump(1)
        assert_alive(node)
        node.child.terminate()
        node.wait()
        gateway.refuse["AddAnyPortMapping"] = 401
