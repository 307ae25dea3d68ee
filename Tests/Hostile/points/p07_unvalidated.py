"""Point 7: nothing is sent in bulk to an address that has not shown that it is the peer's."""

from hostile import quic_frames as q
from hostile import relaying
from hostile.links import UDPLink

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
