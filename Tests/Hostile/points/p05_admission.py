"""Point 5: a right proof is admitted, whatever strangers do."""

import os

from hostile.connection import ADMISSION
from hostile.identity import Identity
from hostile.links import UDPLink
from hostile.wire import field, framed

WRONG = 40


def wrong_proof():
    return framed(field(1, os.urandom(32)))


def fail(lab, node, count, source="127.0.0.1", identity=None):
    """As many wrong proofs, each on a connection of its own."""
    for _ in range(count):
        peer = lab.client(node, identity, source=source)
        if not peer.closed:
            stream = peer.open(ADMISSION, wrong_proof(), fin=True)
            lab.loop.holds(lambda: stream.ended or peer.closed, 0.5)
            peer.close()
        peer.abandon()


def p05a_wrong_proofs_of_one_address(lab):
    """Behind one address, an office's or a CGNAT's, strangers and a member."""
    node = lab.listen()
    fail(lab, node, WRONG)
    lab.member(node)
    assert lab.message(node.address, "from the same address") == 0, "an honest member was refused"


def p05a_wrong_proofs_of_one_identity(lab):
    """A mistyped key first, the right one then."""
    node, identity = lab.listen(), Identity()
    fail(lab, node, 10, identity=identity)
    lab.member(node, identity)


def p05b_spoofed_addresses(lab):
    """Wrong proofs in packets that claim to come from a member's address."""
    node = lab.listen()
    spoofed = UDPLink(lab.loop, "127.0.0.77")
    for _ in range(WRONG):
        peer = lab.client(node, source="127.0.0.2")
        honest, peer.link = peer.link, spoofed
        stream = peer.open(ADMISSION, wrong_proof(), fin=True)
        peer.link = honest
        lab.loop.holds(lambda: stream.ended or peer.closed, 0.15)
        peer.abandon()
    lab.member(node, source="127.0.0.77")


def p05c_silent_admissions(lab):
    """Every admission there may be at once is under way, and silent."""
    node = lab.listen()
    for source in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
        peer = lab.client(node, source=source)
        while peer.opened < min(peer.max_streams, 250):
            peer.open(ADMISSION)
    lab.loop.pump(0.3)
    lab.member(node, source="127.0.0.9")


def p05_one_admission_at_a_time(lab):
    """A session's streams of admission are few, at once and in its life."""
    node = lab.listen()
    peer = lab.client(node)
    streams = [peer.open(ADMISSION) for _ in range(20)]
    lab.loop.holds(lambda: any(stream.ended for stream in streams), 2)
    refused = sum(stream.ended for stream in streams)
    assert refused >= len(streams) - 4, f"{len(streams) - refused} admissions at once on one connection"


def p05_busy_is_temporary(lab):
    """A node that is busy is worth trying again (75), and not a refusal (77)."""
    def busy(connection):
        connection.serve(ADMISSION, lambda stream: stream.reset(0xD103).stop(0xD103))

    server = lab.server(on_connection=busy)
    status = lab.message(server.address, "to a busy node")
    assert status == 75, f"ended with {status}"
