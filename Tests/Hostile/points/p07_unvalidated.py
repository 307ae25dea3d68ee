"""Point 7: nothing is sent in bulk to an address that has not shown that it is the peer's."""

import ipaddress
import struct

from hostile import observing, relaying
from hostile import quic_frames as q
from hostile.connection import PING
from hostile.gateway import Gateway
from hostile.links import UDPLink
from hostile.node import assert_alive
from hostile.wire import field, framed

FRAME = 1000
FRAMES = 2000


def p07_unvalidated_circuit(lab):
    """A side of a circuit claims a victim's address; the other side sends."""
    relay = lab.relay("--public")
    near, far = lab.client(relay, source="127.0.0.2"), lab.client(relay, source="127.0.0.3")
    circuits = {}
    relaying.accept_circuits(far, lambda number, source: circuits.update(far=number))
    assert relaying.reserve(far)[0] == relaying.RESERVATION
    near_circuit = relaying.circuit_of(relaying.ask_circuit(near, far.identity.node_id))
    assert near_circuit and circuits, "no circuit"
    victim = UDPLink(lab.loop, "127.0.0.99")
    far_frame = b"\x10" + circuits["far"].to_bytes(8, "big") + bytes(FRAME)
    spoofed = 0
    for round_number in range(FRAMES // 50):
        if round_number % 8 == 0:
            # From the victim's address and port: it reads nothing there.
            near.send(q.frame(q.PING), link=victim, pad=1100)
            spoofed += 1140
        for _ in range(50):
            far.link.send(far_frame, far.remote)
        lab.loop.pump(0.01)
    lab.loop.pump(0.3)
    assert victim.received_bytes <= 3 * spoofed, (
        f"{spoofed} spoofed bytes moved {victim.received_bytes} to a victim")
    assert near.ping(), "the honest address is not served afterwards"


class Victim:
    """Counts what arrives at an address that nobody there has asked for."""

    def __init__(self, lab, ip="127.0.0.99"):
        self.link, self.datagrams = UDPLink(lab.loop, ip), []
        self.link.owner = self

    def receive(self, data, address):
        self.datagrams.append(data)

    def settle(self):
        pass

    @property
    def bytes(self):
        return sum(map(len, self.datagrams))

    @property
    def stun(self):
        return [one for one in self.datagrams if one[:1] in b"\0\1" and one[4:8] == struct.pack(">I", 0x2112A442)]


def from_elsewhere(peer, victim, send):
    """Has the peer send from the victim's address."""
    own, peer.link = peer.link, victim.link
    send()
    peer.link = own


def granted(lab, peer, streams):
    """Waits until the peer may open as many streams: at its own address, for at the victim's it hears of none."""
    for _ in range(600):
        if peer.opened + streams <= peer.max_streams:
            return
        peer.send(q.frame(q.PING))
        lab.loop.pump(0.05)
    raise AssertionError("no streams are granted")


def p07_unvalidated_dial_back(lab):
    """A stranger asks to be dialled back, and claims a victim's address."""
    node = lab.listen(ip="0.0.0.0")
    victim = Victim(lab)
    address = next(one for one in node.addresses if one.startswith("/ip4/")).split("/")
    address[2] = "127.0.0.1"
    for _ in range(4):
        assert_alive(node)
        peer = lab.client("/".join(address), source="127.0.0.2")
        probes = b"".join(field(1, field(1, port) + field(2, bytes(12))) for port in (0, victim.link.address[1]))
        from_elsewhere(peer, victim, lambda peer=peer: peer.open("/dep2p/sys/autonat/1.0.0", framed(probes), fin=True))
        lab.loop.pump(0.6)
        peer.abandon()
    assert not victim.stun, f"{len(victim.stun)} STUN indications to a victim"


def p07_unvalidated_answers(lab):
    """Echoes and identities that are asked for from a victim's address."""
    node = lab.listen()
    victim, sent = Victim(lab), 0
    peer = lab.client(node, source="127.0.0.2")
    for _ in range(10):
        granted(lab, peer, 9)
        from_elsewhere(peer, victim, lambda: [peer.open("/ipfs/id/1.0.0", fin=True) for _ in range(8)])
        from_elsewhere(peer, victim, lambda: peer.open(PING, bytes(320)))
        sent += 9 * 100 + 320
        lab.loop.pump(0.05)
    lab.loop.pump(1)
    assert victim.bytes <= 3 * sent + 1500, f"{sent} spoofed bytes moved {victim.bytes} to a victim"


def p07_address_of_a_lying_relay(lab):
    """A relay dials back, and says that it was at a victim's address that it reached the node."""
    relay = lab.server(source="45.12.7.1")
    asked = observing.lie(relay, ("45.99.0.1", 443))
    node = lab.house.start("receiver", "listen", "--realm-key", lab.house.realm_key, "--no-port-mapping", "--listen",
                           "10.77.0.1:0", "-o", lab.house.inbox, "--relay", relay.address)
    lab.loop.until(lambda: "dial-back" in asked, 15, "a dial-back")
    lab.loop.pump(6)
    states = [event["state"] for event in node.seen if event["type"] == "reachability"]
    told = [address for event in node.seen for address in event.get("addresses", [])]
    assert told, "the node tells no addresses at all"
    assert not [address for address in told if "45.99.0.1" in address], f"the victim's address is told: {told}"
    assert "public" not in states, f"one relay's word makes the node {states}"


def p07_address_of_a_false_gateway(lab):
    """A device of the local network that is not the router opens a port, and says that it is at a victim's address."""
    gateway = Gateway(answers={"GetExternalIPAddress": "<NewExternalIPAddress>45.99.0.1</NewExternalIPAddress>"})
    node = lab.house.start("receiver", "listen", "--realm-key", lab.house.realm_key, "--listen", "0.0.0.0:0", "-o",
                           lab.house.inbox)
    address = node.until("listening")["addresses"][0].split("/")
    mapping = node.until("port_mapping", 25)
    lab.loop.pump(1)
    address[2] = "10.77.0.1"
    record = lab.client("/".join(address), source="10.77.0.1").open("/ipfs/id/1.0.0", fin=True).wait_frames(1)[0]
    assert ipaddress.ip_address("45.99.0.1").packed not in record, "the victim's address is told to others"
    assert mapping["address"] is None, mapping
