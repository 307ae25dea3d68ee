"""Third review: what peers say of themselves, and what a node remembers of them."""

import contextlib
import sqlite3

from hostile import records
from hostile.identity import Identity
from hostile.node import assert_alive, resident
from hostile.wire import field, framed, multiaddr, varint

# This machine's address on the network outside, where strangers are.
PUBLIC = "45.12.7.1"
LARGEST = (1 << 64) - 1
PUSHES = 300
# Nodes that one address may tell of (PeerBook.Share).
SHARE = 512


def at(node, ip):
    parts = node.address.split("/")
    parts[2] = ip
    return "/".join(parts)


def known(lab, home="receiver"):
    """{NodeID: row} of what is remembered."""
    found = {}
    for path in (lab.house.folder / f"home-{home}").rglob("state.db"):
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
            for key, value in database.execute("SELECT key, value FROM rows WHERE space = 'peers'"):
                found[bytes(key)] = bytes(value)
    return found


def odd_records(identity):
    """Envelopes of every kind that there is no reason for."""
    here, other = multiaddr("45.1.1.1", 4001), Identity()
    yield records.sealed(identity, [here], LARGEST)
    yield records.sealed(identity, [here], 0)
    yield records.sealed(identity, [here] * 64, 7)
    yield records.sealed(identity, [here] * 65, 8)
    yield records.sealed(identity, [multiaddr("45.1.1.1", port) for port in range(1, 65)], 9)
    yield records.sealed(identity, [b"", b"\x04", b"\xff" * 512, here + here, here * 40, b"\xa5\x03\x26" + bytes(38)], 10)
    # Circuits within circuits, and through this node itself.
    circuit = here + b"\xa5\x03" + varint(len(other.node_id)) + other.node_id + b"\xa2\x02"
    yield records.sealed(identity, [circuit, circuit * 2, circuit * 7], 11)
    yield records.sealed(identity, [b"\x35" + varint(253) + b"a" * 253 + b"\x91\x02\x0f\xa1\xcd\x03"], 12)
    # Of somebody else, by somebody else, cut off, twice, empty.
    yield records.sealed(identity, [here], 13, other.node_id)
    yield records.sealed(other, [here], 14)
    whole = records.sealed(identity, [here], 15)
    yield whole[:-10]
    yield whole + whole
    yield b""
    yield b"\x0a" + varint(LARGEST)
    yield whole.ljust(15_000, b"\0")


def p34_odd_records(lab):
    """Records of every kind, of strangers and members: the node stands, and remembers no stranger."""
    node = lab.listen(ip="0.0.0.0")
    address = at(node, PUBLIC)
    # From outside: whoever is at a loopback address is of this machine.
    stranger, member = lab.client(address, source=PUBLIC), lab.member(address, source=PUBLIC)
    for peer in (stranger, member):
        for envelope in odd_records(peer.identity):
            if peer.closed:
                break
            stream = records.push(peer, envelope, protocols=["/a\n/b", "\x1b[2J", "x" * 500], agent="\x1b[2J" * 200)
            stream.wait(lambda one: one.ended, 10, "an end")
            assert_alive(node)
        peer.open(records.PUSH, framed(field(8, b"x") * 3_000), fin=True)
        peer.open(records.PUSH, varint(LARGEST) + b"x", fin=True)
    lab.loop.pump(2)
    assert stranger.ping() and member.ping()
    assert lab.message(address, "beside them") == 0
    rows = known(lab)
    assert stranger.identity.node_id not in rows, "a stranger is remembered"
    assert member.identity.node_id in rows, "no member is remembered: nothing was tried"


def p34_pushes_without_end(lab):
    """A member whose record is another with each push costs neither memory nor the disk's time."""
    node = lab.listen()
    member = lab.member(node)
    lab.loop.pump(0.3)
    before = resident(node)
    for number in range(1, PUSHES):
        addresses = [multiaddr("45.1.1.1", number * 60 + port) for port in range(60)]
        records.push(member, records.sealed(member.identity, addresses, number))
        lab.loop.pump(0.005)
    lab.loop.pump(1.5)
    assert member.ping(), "no answer"
    grown = resident(node) - before
    assert grown < 8 << 20, f"{PUSHES} records of one node cost {grown >> 20} MiB"
    row = known(lab)[member.identity.node_id]
    assert len(row) < 8_000, f"its row has {len(row)} bytes"


def p34_who_is_known_is_reached(lab):
    """A peer met before is found without its address, whatever a liar under another NodeID says, and whatever it says of
    itself by others' addresses."""
    node = lab.listen()
    assert lab.message(node.address, "met") == 0
    target = node.address.rsplit("/", 1)[1]
    # Somebody who is met too names the other's address for his own, and nothing that exists.
    liar = lab.server(source="127.0.0.8", on_connection=lambda connection: (
        connection.accept_admission(lab.realm), records.echo(connection),
        records.serve(connection, records.sealed(
            connection.identity, [multiaddr("127.0.0.1", int(node.address.split("/")[4]))], LARGEST))))
    status = lab.finished(lab.run("ping", "--realm-key", lab.house.realm_key, "-c", "2", liar.address))
    assert status == 0, f"a ping of the liar ended with {status}"
    status = lab.finished(lab.send(target, "-m", "without an address"))
    assert status == 0, f"a message to a peer met before ended with {status}"


def p34_identities_fill_no_store(lab):
    """Those that one member makes up displace each other, on the disk too."""
    node = lab.listen()
    for _ in range(SHARE + 12):
        peer = lab.member(node, source="127.0.0.2")
        records.push(peer, records.sealed(peer.identity, [multiaddr("45.1.1.1", 4001)])).wait(
            lambda one: one.ended, 10, "that a record is taken")
        peer.close()
        peer.abandon()
    lab.loop.pump(2.5)
    count = len(known(lab))
    assert SHARE / 2 < count <= SHARE, f"{count} of {SHARE + 12} identities of one address are remembered"
