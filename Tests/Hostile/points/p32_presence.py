"""Third review: who is online, in spite of strangers and of members that come and go."""

import json

from hostile.identity import Identity
from hostile.node import assert_alive

CROWD = 1_500
FLAPS = 30
# What is told of one node that comes and goes: three changes, then that it does, and how that ends.
TELLINGS = 8
# What is told of all strangers together: so many at once, and a second (LivenessMachine).
BURST, RATE = 100, 10
LARGEST = (1 << 62) - 1


def start(lab, *arguments):
    return lab._ready(lab.house.start("receiver", "start", "--realm-key", lab.house.realm_key, "--no-port-mapping",
                                      "--listen", "127.0.0.1:0", *arguments))


def told(node, identity=None):
    """What the node tells of one, or of all."""
    return [event for event in node.seen
            if event.get("type") == "peer" and identity is None or event.get("node_id") == str(identity)]


def states(node, identity):
    return [event["state"] for event in told(node, identity) if event["type"] == "peer"]


def p32_strangers_hide_nobody(lab):
    """However many strangers come and go, what is told of members is right, and of strangers not much is."""
    node = start(lab)
    there = lab.member(node, source="127.200.0.2")
    flood = lab.engine("strangers", node.address, str(CROWD))
    came = None
    while flood.poll() is None:
        lab.loop.pump(0.1)
        if came is None and len(node.seen) > 20:
            came = lab.member(node, source="127.201.0.2")
    report = json.loads(flood.stdout.read())
    assert report["established"] >= CROWD, f"no attack: {report}"
    came = came or lab.member(node, source="127.201.0.2")
    left = lab.member(node, source="127.202.0.2")
    lab.loop.until(lambda: states(node, left.identity), 10, "who came after the strangers")
    left.close(0xD001)
    lab.loop.until(lambda: states(node, left.identity)[-1] == "offline", 10, "who left")
    assert states(node, there.identity)[0] == "online" and "offline" not in states(node, there.identity), (
        f"of a member that was there all the while is told {states(node, there.identity)}")
    assert states(node, came.identity)[-1:] == ["online"], f"of one that came is told {states(node, came.identity)}"
    members = {str(one.identity) for one in (there, came, left)}
    others = [event for event in told(node) if event["node_id"] not in members]
    most = BURST + RATE * 75
    assert len(others) <= most, f"{len(others)} times something is told of strangers"
    dropped = sum(event["count"] for event in node.seen if event.get("type") == "dropped")
    print(f"{len(others)} tellings of {report['established']} strangers, {dropped} events dropped")
    assert not dropped, f"{dropped} events were left out, those of members perhaps among them"
    assert_alive(node)


def p32_a_member_that_flaps(lab):
    """One that comes and goes all the time is told of a few times, and the last of it is right."""
    node = start(lab)
    there, identity = lab.member(node), Identity()
    for number in range(FLAPS):
        peer = lab.member(node, identity, source="127.0.0.9")
        peer.close((0, 0xD001, 0xD002, 0xD003, 0xD004, 0xD006, 0xD007, LARGEST)[number % 8])
        peer.abandon()
        lab.loop.pump(0.05)
    assert_alive(node)
    count = len(states(node, identity))
    assert 1 < count <= TELLINGS, f"{count} times it is told how it is: {states(node, identity)}"
    last = lab.member(node, identity, source="127.0.0.9")
    lab.loop.pump(1)
    assert last.ping() and states(node, there.identity) == ["online"], f"of another is told {states(node, there.identity)}"


def p32_identities_that_flap(lab):
    """Nor does it help to have many identities, sessions of one at once, and to lie in one's goodbyes."""
    node = start(lab)
    there, identity = lab.member(node), Identity()
    held = [lab.member(node, identity, source="127.0.0.9") for _ in range(6)]
    lab.loop.until(lambda: states(node, identity) == ["online"], 5, "that it is here")
    for code in (0xD001, 0xD002, 0xD006, LARGEST, 0):
        held.pop().close(code, b"\x1b[2J\x07\xff\xfe\r\n{\"type\": \"peer\"}")
        lab.loop.pump(0.2)
        assert states(node, identity) == ["online"], f"with a session left it is told {states(node, identity)}"
    held.pop().close(LARGEST, b"\x1b[2Jgone\r\n" * 15)
    lab.loop.until(lambda: states(node, identity)[-1] == "offline", 5, "that it is gone")
    assert b"\x1b" not in node.errors and b"\x1b" not in node.raw, "what a peer wrote reaches the terminal as it is"
    assert states(node, there.identity) == ["online"]
    assert_alive(node)
