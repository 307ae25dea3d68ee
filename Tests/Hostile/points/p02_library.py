"""Point 2, its kind: other ways in which a peer ends ngtcp2, from its history and from reading it."""

import os

from hostile import quic_frames as q
from hostile.links import UDPLink
from hostile.node import alive, assert_alive

KEY_UPDATE = b"\x18\x00\x00\x01\x00"


def served_afterwards(lab, node):
    lab.loop.holds(lambda: not alive(node), 0.5)
    assert_alive(node)
    assert lab.client(node).ping(), "no answer to an honest peer afterwards"


def dialler_survives(lab, **options):
    """Someone who dials a server like that ends by himself."""
    server = lab.server(**options)
    node = lab.run("ping", "-c", "2", "-i", "200ms", "--timeout", "3s", server.address)
    lab.loop.until(lambda: node.child.poll() is not None, 20, "the end of ping")
    assert server.connections, "nobody came"
    assert node.wait() >= 0, f"the dialler was ended by signal {-node.child.returncode}: {node.text()[-300:]}"


def p02_no_parameters_of_a_client(lab):
    """A ClientHello without the transport parameters: one datagram."""
    node = lab.listen()
    lab.client(node, parameters=False, wait=False)
    served_afterwards(lab, node)


def p02_no_parameters_of_a_server(lab):
    """The same, of a server, and then a frame."""
    dialler_survives(lab, parameters=False, early=lambda peer: [peer.send(q.frame(q.PING) + q.ack([0]))
                                                                for _ in range(3)])


def p02_done_early(lab):
    """HANDSHAKE_DONE before the client is done."""
    dialler_survives(lab, early=lambda peer: [peer.send(q.frame(q.DONE)) for _ in range(3)])


def p02_ids_retired_early(lab):
    """Connection IDs retired at the same moment."""
    dialler_survives(lab, early=lambda peer: [
        peer.send(q.new_id(number, number, os.urandom(8), os.urandom(16))) for number in (1, 2, 3)])


def p02_tls_key_update(lab):
    """TLS's own key update, which QUIC forbids (RFC 9001 section 6)."""
    node = lab.listen()
    lab.client(node).send(q.crypto(0, KEY_UPDATE))
    served_afterwards(lab, node)


def p02_tls_key_update_dialler(lab):
    """The same, of a server."""
    def update(peer):
        peer.send(q.crypto(0, KEY_UPDATE))

    dialler_survives(lab, on_connection=update)


def p02_sixteen_moves(lab):
    """Connection IDs that are retired and never acknowledged, and a client that is somewhere else each time."""
    node = lab.listen()
    for rest in (0.0, 0.12):
        peer = lab.client(node)
        peer.acknowledges = None
        links = [UDPLink(lab.loop, f"127.0.3.{number}") for number in range(1, 30)]
        for number in range(1, 18):
            peer.send(q.new_id(number, number, os.urandom(8), os.urandom(16)))
        for number, link in enumerate(links):
            peer.send(q.challenge(os.urandom(8)), link=link, pad=1000)
            peer.send(q.frame(q.PING), link=links[number * 7 % len(links)], pad=1000)
            peer.send(q.new_id(18 + number, 18 + number, os.urandom(8), os.urandom(16)))
            lab.loop.pump(rest)
    served_afterwards(lab, node)


def p02_there_and_back(lab):
    """A client that writes from another address, and then from its first one again."""
    node = lab.listen()
    peer, other = lab.client(node), UDPLink(lab.loop, "127.0.0.77")
    for _ in range(3):
        peer.send(q.frame(q.PING), link=other, pad=1000)
        lab.loop.pump(0.1)
        peer.send(q.frame(q.PING), pad=1000)
        lab.loop.pump(0.1)
    served_afterwards(lab, node)
