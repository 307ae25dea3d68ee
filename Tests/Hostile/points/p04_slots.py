"""Point 4: strangers share what slots there are; members are served."""

import json
import time

from hostile import relaying
from hostile.identity import Identity
from hostile.node import assert_alive

# The preset `minimal` holds 50 connections.
SLOTS = 50
STRANGERS = 70
# Strangers that come at the speed of the engine.
CROWD = 2_500


def a_member_is_served(lab, node):
    assert_alive(node)
    status = lab.message(node.address, "in spite of strangers")
    assert status == 0, f"an honest member's message ended with {status}"


def p04_slots_one_address(lab):
    """A stranger with as many identities as he likes."""
    node = lab.listen("--preset", "minimal")
    peers = lab.strangers(node, STRANGERS)
    a_member_is_served(lab, node)
    held = sum(not peer.closed for peer in peers)
    assert held < SLOTS, f"one address holds {held} of {SLOTS} connections"


def p04_slots_one_identity(lab):
    """One identity, from everywhere."""
    node = lab.listen("--preset", "minimal")
    lab.strangers(node, STRANGERS, [f"127.{number}.0.2" for number in range(1, 40)])
    a_member_is_served(lab, node)


def p04_slots_many_addresses(lab):
    """Strangers of many networks; a member that was there before them stays."""
    node = lab.listen("--preset", "minimal")
    member = lab.member(node)
    lab.strangers(node, STRANGERS, [f"127.{number}.0.2" for number in range(1, 40)])
    a_member_is_served(lab, node)
    assert not member.closed and member.ping(), f"a member made room for a stranger: {member.closed}"


def p04_slots_relay(lab):
    """At a relay of a realm."""
    node = lab.relay("--realm-key", str(lab.house.realm_key), "--preset", "minimal")
    lab.strangers(node, STRANGERS)
    member = lab.client(node, source="127.0.0.9")
    assert not member.closed, f"a member was refused: {member.closed}"
    assert member.admit(lab.realm), "a member was not admitted"


def p04_slots_idle_stranger(lab):
    """Who is neither admitted nor does anything does not stay, however alive."""
    node = lab.listen("--preset", "minimal")
    peer = lab.client(node)
    assert lab.loop.holds(lambda: peer.closed, 45), "an idle stranger stands for longer than 45 s"


def p04_slots_flood(lab):
    """Strangers come and go without end; members that arrive meanwhile are admitted all the same."""
    node = lab.listen("--preset", "minimal")
    identities = [Identity() for _ in range(8)]
    flood, served = [], 0
    for number in range(120):
        flood.append(lab.client(node, identities[number % 8], source=f"127.{number % 60 + 1}.0.{number + 2}", wait=False))
        lab.loop.pump(0.01)
        if number >= 60 and number % 10 == 0:
            member = lab.client(node, source=f"127.200.0.{number}")
            assert not member.closed, f"a member was refused: {member.closed}"
            assert member.admit(lab.realm), "a member was not admitted"
            served += 1
    assert served and sum(not one.closed for one in flood) < SLOTS


def p04_slots_at_speed(lab):
    """Strangers as fast as this machine makes them (400 in a second or two): members are served all the while."""
    node = lab.listen()

    def served():
        assert lab.message(node.address, "in the midst of strangers") == 0, "a member's message failed"

    beside_strangers(lab, node, served)


def p04_slots_at_speed_relay(lab):
    """The same at a realm's relay: members have it reserve a place for them."""
    node = lab.relay("--realm-key", str(lab.house.realm_key))

    def served():
        member = lab.member(node, source="127.0.0.9")
        kind, _ = relaying.reserve(member)
        assert kind == relaying.RESERVATION, f"a member's reservation was answered with {kind}"
        member.close()

    beside_strangers(lab, node, served)


def beside_strangers(lab, node, served):
    """Has members served, one after the other, while strangers come; says how long each of both took."""
    flood = lab.engine("strangers", node.address, str(CROWD))
    times = []
    while flood.poll() is None:
        started = time.monotonic()
        served()
        times.append(time.monotonic() - started)
        assert_alive(node)
    report = json.loads(flood.stdout.read())
    times.sort()
    print(f"{report['per_second']:.0f} strangers a second, the first 400 in {report['seconds_to_400']:.1f} s, 2,000 in "
          f"{report['seconds_to_2000']:.1f} s; {len(times)} members served, median {times[len(times) // 2]:.2f} s, "
          f"slowest {times[-1]:.2f} s")
    assert report["established"] >= CROWD, f"no attack: {report}"
    assert len(times) > 1, "one member took as long as the whole attack"
