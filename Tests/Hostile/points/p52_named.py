"""Fifth review: what servers of the DHT have sent to others, when they say as little as they can, and work together."""

import hashlib
import os

from hostile import kademlia
from hostile.identity import Identity
from hostile.wire import field, multiaddr

from .p45_dht import ELSEWHERE, PORT, PUBLIC, Sink

# Addresses that are dialled of one that others have named, and the datagrams that each of them gets in three seconds.
DIALLED, DATAGRAMS = 3, 7
NAMED = 20
# Of a server's contacts so many are tried that do not answer (LookupCandidates).
UNANSWERED, PER_ANSWER = 6, 3


def place(node_id):
    return int.from_bytes(hashlib.sha256(node_id).digest(), "big")


def silent(count, target, farther_than=0):
    """Nodes that are none, at as few addresses as are dialled, each in another network."""
    contacts = []
    while len(contacts) < count:
        node_id = b"\x00\x24\x08\x01\x12\x20" + os.urandom(32)
        if place(node_id) ^ target > farther_than:
            contacts.append(kademlia.contact(node_id, [
                multiaddr(f"{ELSEWHERE}.{os.urandom(1)[0]}.{os.urandom(1)[0]}.{one + 1}", PORT) for one in range(DIALLED)]))
    return contacts


def led_astray(lab, accomplices):
    """What a lookup sends to others whose one bootstrap node names strangers, and an accomplice that answers."""
    sink, said, wanted = Sink(lab), [], Identity()
    target = place(wanted.node_id)
    partners = [lab.server(source=PUBLIC, on_connection=lambda one: kademlia.serve(
        one, lambda _: field(1, kademlia.FIND_NODE))) for _ in range(accomplices)]
    named = [kademlia.contact(one.identity.node_id, [multiaddr(*one.link.address)]) for one in partners]
    farthest = max([place(one.identity.node_id) ^ target for one in partners], default=0)

    def answer(_):
        said.append(field(1, kademlia.FIND_NODE) + kademlia.closer(named + silent(NAMED - accomplices, target, farthest)))
        return said[-1]

    liar = lab.server(source=PUBLIC, on_connection=lambda one: kademlia.serve(one, answer))
    node = lab.run("dht-find", "--ephemeral", "--bootstrap", liar.address, "--listen", "0.0.0.0:0", str(wanted))
    lab.finished(node, 60)
    lab.loop.pump(0.2)
    assert said and all(one.connections for one in partners), "nobody was asked: no attack"
    words = sum(map(len, said))
    print(f"{words} bytes in {len(said)} answers: {sink.count} datagrams, {sink.bytes} bytes, {sink.bytes / words:.0f} times")
    allowed = (UNANSWERED + PER_ANSWER * accomplices) * DIALLED * DATAGRAMS
    assert sink.count <= allowed, f"{sink.count} datagrams to others, {sink.bytes / words:.0f} times what was said"


def p52_named_briefly(lab):
    """A server that says no more than is looked at has few datagrams sent to others."""
    led_astray(lab, 0)


def p52_named_by_two(lab):
    """One accomplice that answers is no proof of the others that it is named with."""
    led_astray(lab, 1)
