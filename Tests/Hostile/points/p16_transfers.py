"""Points 14 and 16: what a listener says of transfers, and when it has had enough."""

from hostile import app


def p16_two_transfers_of_one_sender(lab):
    """Two at once: each is told of, under an id of its own."""
    node = lab.listen()
    member = lab.member(node)
    contents = {"first.bin": b"a" * 100, "second.bin": b"b" * 200}
    streams = [member.open(app.TRANSFER, app.offer([app.entry(name, len(body))], total=len(body)))
               for name, body in contents.items()]
    for stream in streams:
        stream.wait_frames(1)
    for stream, body in zip(streams, contents.values()):
        assert app.deliver(stream, body), "a transfer failed"
    lab.loop.holds(lambda: sum(one.get("type") == "file" for one in node.seen) == 2, 5)
    for kind in ("offer", "file"):
        found = [one for one in node.seen if one.get("type") == kind]
        assert len(found) == 2, f"{len(found)} events of {kind} for two transfers"
        ids = {one.get("transfer") for one in found}
        assert len(ids) == 2 and None not in ids, f"{kind}: the transfers are {ids}"


def p14_once_after_a_refusal(lab):
    """An offer that is too large for the disk is not the one that was waited for."""
    node = lab.listen("--once")
    member = lab.member(node, source="127.0.0.2")
    stream = member.open(app.TRANSFER, app.offer([app.entry("large", 1 << 61)], total=1 << 61))
    stream.wait(lambda one: one.ended or one.frames, 10)
    lab.loop.pump(0.3)
    source = lab.house.source("small.bin", 1000)
    assert lab.finished(lab.send(node.address, source)) == 0, "the next offer was refused"
    assert lab.finished(node) == 0, "the listener did not end after its one transfer"
