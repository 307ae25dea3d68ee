"""Issue 11: servers of the DHT that lie, and nodes that say wherever they like that they are."""

import os

from hostile import kademlia, records
from hostile.wire import field, fields, multiaddr

# This machine's address on the network outside, and addresses of somebody who has nothing to do with any of this.
PUBLIC, ELSEWHERE = "45.12.7.1", "46"
PORT = 4001


def p45_addresses_nobody_has_proven(lab):
    """A node that was asked over the connection that it made itself is told to others where it was seen, not where it says."""
    node = lab._ready(lab.house.start("server", "start", "--bootstrap-server", "--listen", "0.0.0.0:0",
                                      "--no-port-mapping"))
    parts = node.address.split("/")
    parts[2] = PUBLIC
    address = "/".join(parts)
    liar = lab.client(address, source=PUBLIC)
    kademlia.serve(liar, lambda request: field(1, kademlia.FIND_NODE))
    elsewhere = [multiaddr(f"{ELSEWHERE}.1.1.{number}", PORT) for number in range(1, 9)]
    envelope = records.sealed(liar.identity, elsewhere)
    records.serve(liar, envelope)
    records.push(liar, envelope, protocols=[kademlia.DHT])
    lab.loop.pump(1.5)
    asker = lab.client(address, source=PUBLIC)
    stream = asker.open(kademlia.DHT, kademlia.message(kademlia.FIND_NODE, os.urandom(34)), fin=True)
    contacts = fields(stream.wait_frames(1)[0]).get(8, [])
    told = {one for contact in contacts for one in fields(contact).get(2, [])} & set(elsewhere)
    assert not told, f"{len(told)} addresses that nobody has proven are told to others"
