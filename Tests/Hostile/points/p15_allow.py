"""Point 15: a listener that allows some is reached by them through its relay."""

from hostile import relaying
from hostile.identity import Identity
from hostile.wire import endpoint


def p15_allow_behind_a_relay(lab):
    """Its connection to the relay is its own."""
    friend = Identity()
    relay = lab.relay("--public")
    node = lab.listen("--relay", relay.address, "--allow", str(friend))
    lab.loop.holds(lambda: any(one.get("type") == "reservation" for one in relay.seen), 10)
    carrier = lab.client(relay, friend)
    circuit = relaying.circuit_of(relaying.ask_circuit(carrier, endpoint(node.address)[2]))
    assert circuit, "the relay knows no way to the listener"
    inner = carrier.circuit(circuit, node.address, friend)
    assert not inner.closed, f"refused: {inner.closed}"
    assert inner.admit(lab.realm), "the one who is allowed is not admitted through the relay"


def p15_allow_is_kept(lab):
    """Somebody else, through the same relay, is not let in."""
    relay = lab.relay("--public")
    node = lab.listen("--relay", relay.address, "--allow", str(Identity()))
    lab.loop.holds(lambda: any(one.get("type") == "reservation" for one in relay.seen), 10)
    carrier = lab.client(relay)
    circuit = relaying.circuit_of(relaying.ask_circuit(carrier, endpoint(node.address)[2]))
    if not circuit:
        return
    inner = carrier.circuit(circuit, node.address, wait=False)
    lab.loop.holds(lambda: inner.is_open or inner.closed, 5)
    lab.loop.pump(0.3)
    assert inner.closed or not inner.is_open or not inner.admit(lab.realm), "somebody else is admitted"
