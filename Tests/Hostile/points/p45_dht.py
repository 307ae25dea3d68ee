"""Issue 11: servers of the DHT that lie, and nodes that say wherever they like that they are."""

import os
import socket
import subprocess

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hostile import kademlia, records
from hostile.identity import Identity
from hostile.wire import field, fields, multiaddr

# This machine's address on the network outside, and addresses of somebody who has nothing to do with any of this.
PUBLIC, ELSEWHERE = "45.12.7.1", "46"
PORT = 4001
NAMED, EACH = 20, 16


class Sink:
    """Everybody in 46.0.0.0/8, and what is sent there."""

    def __init__(self, lab):
        subprocess.run(f"ip route add local {ELSEWHERE}.0.0.0/8 dev lo".split(), check=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind(("0.0.0.0", PORT))
        self.socket.setblocking(False)
        self.count = self.bytes = 0
        lab.loop.add(self)

    def read(self):
        while True:
            try:
                self.bytes += len(self.socket.recv(65536))
                self.count += 1
            except BlockingIOError:
                return

    def close(self):
        self.socket.close()


def named(node_id=None):
    """Somebody, at as many addresses as are looked at, each in another network."""
    places = [multiaddr(f"{ELSEWHERE}.{os.urandom(1)[0]}.{os.urandom(1)[0]}.{one + 1}", PORT) for one in range(EACH)]
    return kademlia.contact(node_id or b"\x00\x24\x08\x01\x12\x20" + os.urandom(32), places)


def p45_lookups_led_astray(lab):
    """A server that names others' addresses has a small multiple of its words sent there, not hundreds of times as much."""
    sink, said = Sink(lab), []

    def answer(request):
        said.append(field(1, kademlia.FIND_NODE) + kademlia.closer([named() for _ in range(NAMED)]))
        return said[-1]

    liar = lab.server(source=PUBLIC, on_connection=lambda connection: kademlia.serve(connection, answer))
    node = lab.run("dht-find", "--ephemeral", "--bootstrap", liar.address, "--listen", "0.0.0.0:0", str(Identity()))
    lab.finished(node, 40)
    lab.loop.pump(0.2)
    words = sum(map(len, said))
    assert words, "nobody was asked"
    assert sink.bytes < 60 * words, (
        f"{words} bytes of a stranger's have {sink.count} datagrams with {sink.bytes} bytes sent to others: "
        f"{sink.bytes / words:.0f} times as much")


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


def looked_up(lab, answer, *what):
    """The result of one lookup with one server, which answers so."""
    server = lab.server(on_connection=lambda connection: kademlia.serve(connection, answer))
    node = lab.run("dht-find", "--json", "--ephemeral", "--bootstrap", server.address, *what)
    lab.finished(node, 20)
    return node.result()


def p45_records_that_nobody_has_signed(lab):
    """An item under another signature, or of another key, is none; the genuine one beside it is found."""
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    good, name = kademlia.item(key, 7, b"2:hi", salt=b"x")
    for lie in (kademlia.item(key, 9, b"2:no", salt=b"x", signature=bytes(64))[0], kademlia.item(other, 9, b"2:no")[0],
                kademlia.item(key, 9, b"2:no")[0], kademlia.item(key, 9, b"x" * 1001, salt=b"x")[0], b""):
        result = looked_up(lab, lambda _, lie=lie: field(1, kademlia.GET_VALUE) + lie, "--record", name.hex())
        assert result["exit"] in (68, 69) and result["record"] is None, result
    result = looked_up(lab, lambda _: field(1, kademlia.GET_VALUE) + good, "--record", name.hex())
    assert result["record"] == {"seq": 7, "value_base64": "MjpoaQ=="} and result["hops"] == 1, result


def p45_more_providers_than_there_are(lab):
    """Of an answer forty are looked at, and none of those is told whose addresses are somebody's network inside."""
    cid = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"

    def answer(places):
        providers = [field(9, kademlia.contact(b"\x00\x24\x08\x01\x12\x20" + os.urandom(32), places)) for _ in range(200)]
        return lambda _: field(1, kademlia.GET_PROVIDERS) + b"".join(providers)

    result = looked_up(lab, answer([multiaddr("46.1.1.1", PORT)]), "--providers", cid)
    assert result["exit"] == 0 and len(result["providers"]) == 40, result
    result = looked_up(lab, answer([multiaddr(host, PORT) for host in ("10.0.0.1", "192.168.1.1", "169.254.1.1")]),
                       "--providers", cid)
    assert result["exit"] == 68 and result["providers"] == [], result
