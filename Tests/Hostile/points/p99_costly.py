"""None of the points: what a peer lets a node compute."""

from hostile.identity import CostlyKey, Identity
from hostile.node import assert_alive, processor

HANDSHAKES = 3


def p99_costly_certificate(lab):
    """A certificate whose key costs seconds for each signature that is checked with it."""
    node = lab.listen()
    ordinary = cost_of_handshakes(lab, node, Identity)
    costly = cost_of_handshakes(lab, node, lambda: Identity(tls_key=CostlyKey()))
    assert_alive(node)
    ratio = costly / max(ordinary, 0.01)
    assert ratio < 10, f"a handshake takes {ratio:.0f} times the processor of an ordinary one"


def cost_of_handshakes(lab, node, make):
    """The processor's seconds that a node needs for a few handshakes, whatever becomes of them."""
    before = processor(node)
    for _ in range(HANDSHAKES):
        peer = lab.client(node, make(), wait=False)
        lab.loop.until(lambda: peer.is_open or peer.closed, 40, "the end of a handshake")
        lab.loop.pump(0.3)
        peer.close()
    return processor(node) - before
