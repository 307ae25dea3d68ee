"""Point 4: strangers share what slots there are; members are served."""

from hostile.identity import Identity
from hostile.node import assert_alive

# The preset `minimal` holds 50 connections.
SLOTS = 50
STRANGERS = 70


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
