"""Point 8: one odd burst costs nobody segmentation offload."""

import socket

from hostile import relaying
from hostile.links import TCPLink

UDP_GRO = 104
ODD = 1365


def p08_bursts(lab):
    """Relay frames of ten bytes, 1,365 of them in one TLS record."""
    relay = lab.relay("--public", "--tcp-listen", "127.0.0.1:0")
    tcp = next(address for address in relay.addresses if "/tcp/" in address)
    port = int(tcp.split("/")[4])
    near = lab.client(relay, link=TCPLink(lab.loop, ("127.0.0.1", port)))
    far = lab.client(relay, source="127.0.0.3")
    far.link.socket.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    circuits = {}
    relaying.accept_circuits(far, lambda number, source: circuits.update(far=number))
    assert relaying.reserve(far)[0] == relaying.RESERVATION
    circuit = relaying.circuit_of(relaying.ask_circuit(near, far.identity.node_id))
    header = b"\x10" + circuit.to_bytes(8, "big")

    def record(size, count):
        frame = header + bytes(size - len(header))
        near.link.send_raw((len(frame).to_bytes(2, "big") + frame) * count)

    def trains():
        seen = []
        inner = far.receive
        far.receive = lambda datagram, address: seen.append(len(datagram)) or inner(datagram, address)
        for _ in range(5):
            record(1000, 10)
            lab.loop.pump(0.1)
        far.receive = inner
        return max(seen, default=0)

    before = trains()
    assert before > 1000, f"there is no segmentation offload to lose here (largest {before})"
    record(10, ODD)
    lab.loop.pump(0.3)
    after = trains()
    assert after > 1000, f"trains of {before} bytes before, single datagrams of {after} after an odd burst"
