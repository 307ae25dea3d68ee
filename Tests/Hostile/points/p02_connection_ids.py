"""Point 2: frames about connection IDs that upstream once answered with abort()."""

import os

from hostile import quic_frames as q
from hostile.identity import Identity
from hostile.node import assert_alive


def attack(peer):
    """Sequence 50 retiring all below, then one of the retired numbers twice."""
    for sequence, retire in ((50, 50), (30, 0), (30, 0)):
        peer.send(q.new_id(sequence, retire, os.urandom(8), os.urandom(16)))


def survives(lab, node, friend):
    attack(lab.client(node))
    # Before the node can refuse the connection: in front of the handshake's end.
    lab.client(node, early=attack)
    lab.loop.pump(0.3)
    assert_alive(node)
    assert lab.client(node, friend).ping(), "no answer to an honest peer afterwards"


def p02_connection_ids_listener(lab):
    """A stranger, at a listener."""
    survives(lab, lab.listen(), Identity())


def p02_connection_ids_closed_listener(lab):
    """A stranger, at a listener that allows one other only."""
    friend = Identity()
    node = lab.listen("--allow", str(friend))
    lab.client(node, early=attack)
    lab.loop.pump(0.3)
    assert_alive(node)
    assert lab.client(node, friend).ping(), "no answer to an honest peer afterwards"


def p02_connection_ids_relay(lab):
    """A stranger, at a relay."""
    survives(lab, lab.relay("--public"), Identity())


def p02_connection_ids_dialler(lab):
    """A server, at who dials it."""
    server = lab.server()
    node = lab.run("ping", "-c", "2", "-i", "1s", server.address)
    peer = server.wait_connection()
    attack(peer)
    lab.loop.until(lambda: node.child.poll() is not None, 20, "the end of ping")
    assert node.wait() >= 0, f"the dialler was ended by signal {-node.child.returncode}: {node.text()[-300:]}"
