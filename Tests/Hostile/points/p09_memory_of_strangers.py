"""Point 9: what strangers make a node hold."""

from hostile.connection import PING
from hostile.node import assert_alive, resident

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
