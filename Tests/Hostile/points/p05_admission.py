"""Point 5: a right proof is admitted, whatever strangers do."""

import os
import time

from hostile import quic_frames as q
from hostile.app import message
from hostile.connection import ADMISSION
from hostile.identity import Identity, Realm
from hostile.links import UDPLink
from hostile.node import assert_alive
from hostile.wire import field, fields, framed

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


def early_proofs(lab, node):
    """What clients of a node hear in its first flight: who asks for it, twice, and who does not."""
    peers = [lab.client(node, greeted=greeted) for greeted in (True, True, False)]
    lab.loop.pump(0.3)
    for peer in peers:
        assert not peer.closed, f"the connection ended: {peer.closed}"
    return peers


def p05_early_proof(lab):
    """Who was dialled proves itself in its first flight: of this session, to who asks for it alone."""
    node = lab.listen()
    one, two, unasked = early_proofs(lab, node)
    for peer in (one, two):
        assert peer.greeting == lab.realm.early_proof(peer.exporter, peer.node_id), "no proof, or of something else"
    assert one.greeting != two.greeting and not unasked.greeting
    assert all(peer.admit(lab.realm) for peer in (one, two, unasked))


def p05_early_proof_of_no_member(lab):
    """Nobody outside of a realm can tell a node in another realm from one in none."""
    for node in (lab.listen(), lab.relay()):
        one, two, unasked = early_proofs(lab, node)
        stranger = Realm(os.urandom(32).hex())
        for peer in (one, two):
            assert len(peer.greeting) == 32 and len(set(peer.greeting)) > 8
            assert peer.greeting != stranger.early_proof(peer.exporter, peer.node_id)
            # A wrong proof with more in it is answered as any.
            stream = peer.open(ADMISSION, framed(field(1, os.urandom(32)) + field(2, 1)), fin=True)
            frames = stream.wait(lambda stream: stream.ended).frames
            assert [sorted(fields(frame)) for frame in frames] == [[1]] and len(fields(frames[0])[1][0]) == 32
        assert one.greeting != two.greeting and not unasked.greeting
        for peer in (one, two, unasked):
            peer.abandon()


def p05_streams_before_the_proof(lab):
    """What only members open waits for the proof of who was greeted, for a while, in a realm or not; of others it does not."""
    for node in (lab.listen(), lab.relay()):
        peer, unasked = (lab.client(node, greeted=greeted) for greeted in (True, False))
        began = time.monotonic()
        late, refused = message(peer, b"held"), message(unasked, b"refused")
        refused.wait(lambda stream: stream.ended, 2)
        assert refused.reset_code == 0xD102 and not late.ended
        late.wait(lambda stream: stream.ended, 10)
        assert late.reset_code == 0xD102 and 3 < time.monotonic() - began < 8
    peer = lab.client(lab.listen(home="third"), greeted=True)
    early = message(peer, b"before the proof")
    lab.loop.pump(0.5)
    assert not early.ended
    assert peer.admit(lab.realm)
    assert early.wait_frames() and early.reset_code is None


def p05_early_stream_is_of_one_direction(lab):
    """What a client might send about the stream that it only reads."""
    node = lab.listen()
    for payload in (q.stream(3, 0, b"x"), q.frame(q.RESET, 3, 0, 0), q.stream(7, 0, b"x"), q.frame(q.STOP, 3, 1),
                    q.frame(q.MAX_STREAM_DATA, 3, 1 << 40), q.frame(0x13, 1 << 40), q.frame(q.STOP, 7, 1),
                    q.frame(q.STOP, 2, 1), q.stream(2, 0, b"x"), q.frame(0x15, 3, 32), q.frame(0x15, 2, 32)):
        peer = lab.client(node, greeted=True)
        peer.send(payload, again=True)
        lab.loop.pump(0.1)
        assert set(peer.streams) <= {3}, "more than one stream was opened for a greeting"
        peer.abandon()
    assert_alive(node)
    lab.member(node)


def p05_early_proofs_of_a_hostile_server(lab):
    """What is no greeting, on the streams of one that a server may open: the dialler ends by itself, and sends nothing."""
    right = lab.realm.early_proof
    for early in (
            lambda peer: q.stream(3, 0, os.urandom(32), True), lambda peer: q.stream(3, 0, bytes(33), True),
            lambda peer: q.stream(3, 0, right(peer.exporter, os.urandom(38)), True),
            lambda peer: q.stream(3, 0, right(peer.exporter, peer.identity.node_id)[:31], True),
            lambda peer: q.stream(3, 0, b"") + q.stream(7, 0, bytes(32), True), lambda peer: q.frame(q.RESET, 3, 0, 32),
            lambda peer: q.frame(0x15, 3, 32) + q.frame(q.RESET, 3, 0, 0), lambda peer: q.frame(0x17, 1),
            lambda peer: q.stream(3, 1 << 60, b"x"), lambda peer: q.frame(q.STOP, 3, 0)):
        server = lab.server(early=lambda peer, early=early: peer.send(early(peer), again=True))
        status = lab.message(server.address, "for members alone")
        assert status not in (0, -11, -4), f"ended with {status}"
        for connection in server.connections:
            opened = {stream.protocol for stream in connection.streams.values()}
            assert not any(name and name.startswith("/dep2p/app/") for name in opened), opened


def p05_early_proof_of_a_liar(lab):
    """A member that proves itself early and refuses the other's proof then: the connection ends, and so does the dialler."""
    def early(peer):
        peer.send(q.stream(3, 0, lab.realm.early_proof(peer.exporter, peer.identity.node_id), True), again=True)

    for answer in (framed(field(1, os.urandom(32))), framed(b""), b"\xff" * 40, None):
        def serve(connection, answer=answer):
            connection.serve(ADMISSION, lambda stream: stream.reset(0xD103).stop(0xD103) if answer is None
                             else stream.write(answer, fin=True))

        server = lab.server(early=early, on_connection=serve)
        status = lab.message(server.address, "to a liar")
        assert 0 < status < 128, f"ended with {status}"
