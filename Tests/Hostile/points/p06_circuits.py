"""Point 6: a relay's circuits to one node are shared, and one without use ends."""

from hostile import relaying
from hostile.wire import endpoint

# What one node may have of them at once, in both cases by default.
CIRCUITS = 32


def node_behind(lab, *options):
    """A public relay, and a listener that is reached through it only."""
    relay = lab.relay("--public", *options)
    node = lab.listen("--relay", relay.address)
    lab.loop.until(lambda: any(event.get("type") == "reservation" and event.get("state") == "granted"
                               for event in relay.seen), 15, "a reservation")
    return relay, node


def through(lab, relay, node):
    """The exit status of an honest member's message through the relay."""
    target = node.address.rsplit("/", 1)[1]
    return lab.finished(lab.send(target, "--no-direct", "--relay", relay.address, "-m", "through the relay"))


def take_circuits(lab, relay, node, source, count, identity=None):
    """The streams of as many circuits to the node, each with nothing in it."""
    peer = lab.client(relay, identity, source=source)
    _, _, target = endpoint(node.address)
    streams = [relaying.ask_circuit(peer, target) for _ in range(count)]
    lab.loop.holds(lambda: all(stream.frames or stream.ended for stream in streams), 8)
    return streams


def granted(streams):
    return sum(bool(one.frames) and relaying.answer(one.frames[0])[0] == relaying.CIRCUIT and not one.ended
               for one in streams)


def p06_circuits_of_one_stranger(lab):
    """One stranger asks for all the circuits to a node; a member comes after."""
    relay, node = node_behind(lab)
    take_circuits(lab, relay, node, "127.0.0.2", CIRCUITS + 8)
    status = through(lab, relay, node)
    assert status == 0, f"an honest member's message ended with {status}"


def p06_circuits_of_many_identities(lab):
    """The same under an identity for each few circuits."""
    relay, node = node_behind(lab)
    for _ in range(10):
        take_circuits(lab, relay, node, "127.0.0.2", 4)
    status = through(lab, relay, node)
    assert status == 0, f"an honest member's message ended with {status}"


def p06_idle_circuits_end(lab):
    """A circuit without a frame does not stand."""
    relay, node = node_behind(lab)
    streams = take_circuits(lab, relay, node, "127.0.0.2", 4)
    assert granted(streams) > 0, "no circuit at all"
    lab.loop.holds(lambda: granted(streams) == 0, 30)
    assert granted(streams) == 0, f"{granted(streams)} circuits without a frame stand after 30 s"


def p06_circuits_of_many_networks(lab):
    """Strangers of as many networks as there are circuits, each with a frame now and then."""
    relay, node = node_behind(lab)
    target = endpoint(node.address)[2]
    held = []
    for number in range(CIRCUITS + 4):
        peer = lab.client(relay, source=f"127.{number + 1}.0.2")
        if not peer.closed:
            held.append((peer, relaying.ask_circuit(peer, target)))
    lab.loop.holds(lambda: all(stream.frames or stream.ended for _, stream in held), 5)
    for _ in range(3):
        trickle(held)
        lab.loop.pump(0.3)
    status = through(lab, relay, node)
    assert status == 0, f"an honest member's message ended with {status}"


def p06_trickling_circuits_end(lab):
    """A circuit whose frames are no connection that its target admits does not stand either."""
    relay, node = node_behind(lab)
    target = endpoint(node.address)[2]
    peer = lab.client(relay, source="127.0.0.2")
    held = [(peer, relaying.ask_circuit(peer, target)) for _ in range(2)]
    lab.loop.holds(lambda: all(stream.frames or stream.ended for _, stream in held), 8)
    assert granted([stream for _, stream in held]) > 0, "no circuit at all"
    for _ in range(80):
        trickle(held)
        lab.loop.pump(0.5)
        if granted([stream for _, stream in held]) == 0:
            return
    raise AssertionError("circuits with nothing but noise stand after 40 s")


def trickle(held):
    """A frame with nothing in it on every circuit."""
    for peer, stream in held:
        if stream.frames and not stream.ended and (circuit := relaying.circuit_of(stream)):
            peer.link.send(b"\x10" + circuit.to_bytes(8, "big") + b"\x43" + bytes(30), peer.remote)
