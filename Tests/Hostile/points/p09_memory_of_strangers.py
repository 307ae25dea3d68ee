"""Point 9: what strangers make a node hold."""

from hostile import quic_frames as q
from hostile.connection import PING
from hostile.node import assert_alive, processor, resident
from hostile.wire import MULTISTREAM, line

PEERS = 16
FLOOD = 4 << 20
# What one stranger may cost; its TLS session and its streams' state included.
SHARE = 512 << 10

# What strangers may open: ends without a word within the handler's deadline.
SILENT = {"/ipfs/id/push/1.0.0": 20, "/dep2p/sys/relay/1.0.0": 20, "/dep2p/sys/holepunch/1.0.0": 20,
          "/dep2p/sys/autonat/1.0.0": 20, "/dep2p/realm/admission/1.0.0": 20}


def p09_memory_of_pings(lab):
    """Strangers that flood ping and take no echo."""
    node = lab.listen()
    quiet = lab.strangers(node, PEERS, [f"127.0.1.{number}" for number in range(1, PEERS + 1)], window=1 << 10)
    lab.loop.pump(0.3)
    before = resident(node)
    for peer in quiet:
        for _ in range(3):
            peer.open(PING, bytes(FLOOD))
    lab.loop.pump(4)
    assert_alive(node)
    grown = resident(node) - before
    assert grown < len(quiet) * SHARE, f"{len(quiet)} strangers cost {grown >> 10} KiB, {grown // len(quiet) >> 10} each"


def p09_silent_streams(lab):
    """A stream that is opened and left alone."""
    node = lab.listen()
    peer = lab.client(node)
    streams = {protocol: peer.open(protocol) for protocol in SILENT}
    lab.loop.holds(lambda: all(one.ended or one.stop_code is not None for one in streams.values()), 25)
    standing = [name for name, one in streams.items() if not one.ended and one.stop_code is None]
    assert not peer.closed or not standing, f"the connection ended: {peer.closed}"
    assert not standing, f"silent streams stand after 25 s: {standing}"


def p09_half_a_push(lab):
    """Half a message of identify push, then one more byte now and then."""
    node = lab.listen()
    peer = lab.client(node)
    stream = peer.open("/ipfs/id/push/1.0.0", b"\x80\x40")
    for _ in range(25):
        if stream.ended or stream.stop_code is not None:
            return
        stream.write(b"\0")
        lab.loop.pump(1)
    raise AssertionError("a push that trickles stands after 25 s")


def p09_memory_of_holes(lab):
    """Bytes that never join: every other one of the window."""
    node = lab.listen()
    peer = lab.client(node)
    before = resident(node)
    streams = [peer.open(PING) for _ in range(4)]
    lab.loop.pump(0.2)
    for stream in streams:
        payload, sent = b"", 0
        for offset in range(stream.sent + 1, min(stream.window, 1 << 17), 2):
            payload += q.stream(stream.number, offset, b"x")
            if len(payload) > 1100:
                peer.send(payload)
                payload, sent = b"", sent + 1
                if sent % 20 == 0:
                    lab.loop.pump(0)
    lab.loop.pump(0.5)
    assert_alive(node)
    grown = resident(node) - before
    assert grown < 4 << 20, f"one stranger's holes cost {grown >> 20} MiB"


def p09_memory_of_streams(lab):
    """As many streams as there may be, each with half a proposal; and as many challenges, numbers and resets."""
    node = lab.listen()
    peers = lab.strangers(node, 8, [f"127.0.2.{number}" for number in range(1, 9)])
    before = resident(node)
    for peer in peers:
        for _ in range(min(peer.max_streams, 250)):
            if peer.closed:
                break
            peer.open_raw(b"\x13/multistream/1.0.0\n" + b"\xff\x07" + b"x" * 1000)
        for _ in range(300):
            peer.send(q.challenge(bytes(8)) + q.frame(q.PING) + q.frame(q.STOP, 4, 1))
        lab.loop.pump(0.05)
    lab.loop.pump(1)
    assert_alive(node)
    grown = resident(node) - before
    assert grown < len(peers) * 2 * SHARE, f"{len(peers)} strangers cost {grown >> 10} KiB"


def p09_names_in_a_wrong_order(lab):
    """Names of protocols that take the square of their length to compare are not compared."""
    node = lab.listen()
    costs = []
    for name in ("a" * 1020, "a" + "\u0345" * 254 + "\u0316" * 254):
        peer = lab.client(node)
        before = processor(node)
        for _ in range(60):
            stream = peer.open_raw(line(MULTISTREAM) + line(name) * 15, fin=True)
            stream.wait(lambda one: one.ended, 10, "answers")
        costs.append(processor(node) - before)
        peer.close()
        peer.abandon()
    assert costs[1] < 2 * max(costs[0], 0.1), f"names of marks cost {costs[1]:.2f} s, plain ones {costs[0]:.2f} s"
