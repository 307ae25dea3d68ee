"""Point 57: bytes that never join, of those who may have more than strangers under way."""

from hostile import quic_frames as q
from hostile.node import assert_alive, resident

# What waits in memory of all connections under the preset `minimal`, and what the rest of it takes meanwhile.
BOUND = 101 << 20
REST = 40 << 20
STREAMS, GAPS = 200, 4_950


def holes(peer, streams, window):
    """Every other byte of a window, in as many streams as ngtcp2 lets have 5,000 gaps each."""
    each = min(2 * GAPS, window // len(streams) - 200)
    for stream in streams:
        head, payload = bytes([0x0e]) + q.integer(stream.number), bytearray()
        for offset in range(stream.sent + 1, stream.sent + each, 2):
            payload += head + (0x4000 | offset).to_bytes(2, "big") + b"\x01x"
            if len(payload) > 1140:
                peer.send(bytes(payload))
                payload = bytearray()
        peer.loop.pump(0.01)
        if peer.closed:
            return


def p57_holes_of_a_member(lab):
    """Each of his connections takes forty times the memory of what it is granted; others are served beside them."""
    node = lab.listen("--preset", "minimal")
    lab.client(node)
    before = resident(node)
    members = []
    for _ in range(4):
        members.append(lab.member(node, source="127.0.0.2"))
        streams = [members[-1].open_raw(b"\x13/multi") for _ in range(STREAMS)]
        lab.loop.pump(0.2)
        holes(members[-1], streams, members[-1].max_data)
        assert lab.message(node.address, "beside holes") == 0, "another member's message was refused"
    assert_alive(node)
    grown = resident(node) - before
    assert grown < BOUND + REST, f"a member's holes cost {grown >> 20} MiB"
    closed = [member.closed for member in members if member.closed]
    assert closed and all(one[1] == 0xD004 for one in closed), f"none of his connections gave way: {closed}"
