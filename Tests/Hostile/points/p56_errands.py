"""Fifth review: nodes of the DHT that this one has asked, and that make use of its connections."""

import os
import time

from hostile import kademlia
from hostile.identity import Identity
from hostile.records import PING
from hostile.wire import field, multiaddr

from .p45_dht import ELSEWHERE, PUBLIC, Sink

# Connections of this node's before the least used are closed, and the servers that are to fill them.
MOST, SERVERS = 8, 14


def p56_errands_held_open(lab):
    """Servers that a node has asked, and that hold streams open on its connections, keep no member out."""
    Sink(lab)
    held, known = [], []

    def hold(connection):
        kademlia.serve(connection, lambda _: field(1, kademlia.FIND_NODE) + kademlia.closer(known))
        held.append((connection, connection.open(PING, os.urandom(32))))

    # Each in a network of its own, as an answer has to name them.
    servers = [lab.server(Identity(), source=f"{ELSEWHERE}.{number}.0.1", on_connection=hold) for number in range(1, SERVERS)]
    known += [kademlia.contact(one.identity.node_id, [multiaddr(*one.link.address)]) for one in servers]
    first = lab.server(source=PUBLIC, on_connection=hold)
    node = lab._ready(lab.house.start(
        "server", "start", "--realm-key", lab.house.realm_key, "--bootstrap", first.address, "--listen", "0.0.0.0:0",
        "--low-watermark", str(MOST // 2), "--high-watermark", str(MOST), "--no-port-mapping"))
    lab.loop.holds(lambda: len(held) > MOST + MOST // 4 - 2, 15)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for connection, stream in held:
            if not connection.closed and not stream.ended:
                stream.write(os.urandom(32))
        lab.loop.pump(2)
    standing = sum(not connection.closed for connection, _ in held)
    parts = node.address.split("/")
    parts[2] = PUBLIC
    member = lab.client("/".join(parts), source="45.12.7.1")
    print(f"{len(held)} were asked, {standing} still hold on; a member: {member.closed or 'taken'}")
    assert len(held) >= MOST, "too few were asked: no attack"
    assert not member.closed and member.admit(lab.realm), f"a member is kept out: {member.closed}"
