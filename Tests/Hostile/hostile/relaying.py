"""Relay frames by hand (Sources/Wire/Protos/relay.proto)."""

from .wire import field, fields, fixed64, framed

PROTOCOL = "/dep2p/sys/relay/1.0.0"
RESERVE, CONNECT, RESERVATION, CIRCUIT, REFUSAL, INCOMING, ENDED, ANSWER = range(1, 9)


def message(kind, body=b""):
    return framed(field(kind, body))


def answer(frame):
    """(which body, its fields) of a relay's message."""
    kind, (body,) = next(iter(fields(frame).items()))
    return kind, fields(body)


def reserve(peer, seconds=10.0):
    """Asks for a reservation; (which body, its fields)."""
    stream = peer.open(PROTOCOL, message(RESERVE))
    frames = stream.wait_frames(1, seconds)
    stream.finish()
    return answer(frames[0])


def ask_circuit(peer, target):
    """The stream of a circuit to the NodeID `target` that is asked for."""
    return peer.open(PROTOCOL, message(CONNECT, field(1, target)))


def circuit_of(stream, seconds=10.0):
    """The circuit's id once it is granted; None when it is refused."""
    frames = stream.wait_frames(1, seconds)
    if not frames:
        return None
    kind, body = answer(frames[0])
    return body[1][0] if kind == CIRCUIT else None


def accept_circuits(peer, on_circuit):
    """Takes every circuit to `peer`: `on_circuit(id, source NodeID)`."""

    def take(stream):
        def first(_):
            if stream.frames:
                stream.on_data = None
                kind, body = answer(stream.frames[0])
                assert kind == INCOMING, kind
                stream.write(message(ANSWER, field(1, 1)))
                on_circuit(fields(body[2][0])[1][0], body[1][0])

        stream.on_data = first

    peer.serve(PROTOCOL, take)


def circuit_grant(number, largest=1200):
    return fixed64(1, number) + field(3, largest)
