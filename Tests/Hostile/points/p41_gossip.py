"""Issue 12: what one member says of messages keeps nobody from being heard, and fills no memory."""

import os

from hostile import gossip
from hostile.node import assert_alive, resident

TOPIC = "alerts"
START = gossip.numbers_from_now()
# Ids of one peer that are looked at in a heartbeat: two fill all that is asked for at once (PubSubLimits.promises).
PER_HEARTBEAT = 5_000
TURNS = 60_000
DEAF, LARGE, TIMES = 32, 1 << 20, 3


def p41_announcements_of_nothing(lab):
    """Who announces what he does not have keeps nobody else's announcements from being asked for."""
    node = gossip.subscriber(lab, TOPIC)
    liars = [gossip.Speaker(lab.member(node, source="127.0.0.2", pace=512), TOPIC).wait_heard() for _ in range(2)]
    honest = gossip.Speaker(lab.member(node, source="127.0.0.3"), TOPIC).wait_heard()
    for liar in liars:
        liar.say(control=gossip.ihave(TOPIC, [os.urandom(32) for _ in range(PER_HEARTBEAT)]))
    lab.loop.until(lambda: all(one.asked() for one in liars), 5, "that something is asked for")
    lab.loop.pump(0.3)
    own = gossip.identifier(gossip.message(honest.peer.identity, START, TOPIC, b"hello"))
    honest.say(control=gossip.ihave(TOPIC, [own]))
    lab.loop.pump(1)
    assert own in honest.asked(), "what another member announced was not asked for"


def p41_turns_nobody_reads(lab):
    """A member that comes and goes in a topic, and reads nothing of what it is told, is not told without end."""
    node = gossip.subscriber(lab, TOPIC)
    member = gossip.Speaker(lab.member(node, pace=512, window=1 << 14), TOPIC).wait_heard()
    lab.loop.pump(0.5)
    before = resident(node)
    left, turn = TURNS, gossip.rpc([TOPIC], [TOPIC])
    while left and not member.peer.closed and member.stream.stop_code is None:
        member.stream.write(turn * min(left, 5_000))
        left -= min(left, 5_000)
        lab.loop.holds(lambda: len(member.stream.pending) < 1 << 16 or member.stream.stop_code is not None, 10)
    lab.loop.pump(1)
    assert_alive(node)
    grown = resident(node) - before
    assert grown < 3 << 20, f"{TURNS - left} turns of {len(turn)} bytes cost {grown >> 10} KiB"


def p41_requests_nobody_reads(lab):
    """What members ask for again and do not read is not kept for each of them."""
    node = gossip.subscriber(lab, TOPIC)
    author = gossip.Speaker(lab.member(node, source="127.0.0.2", pace=512), TOPIC).wait_heard()
    messages = [gossip.message(author.peer.identity, START + number, TOPIC, bytes(LARGE)) for number in range(TIMES)]
    for one in messages:
        author.say(messages=[one])
    lab.loop.until(lambda: not author.stream.pending and not author.peer.unacknowledged, 30, "that all of it is taken")
    lab.loop.pump(0.5)
    deaf = [gossip.Speaker(lab.member(node, source=f"127.0.1.{number}", window=1 << 14)).wait_heard()
            for number in range(1, 1 + DEAF)]
    lab.loop.pump(0.3)
    before = resident(node)
    for one in deaf:
        for _ in range(TIMES):
            one.say(control=gossip.iwant([gossip.identifier(message) for message in messages]))
    lab.loop.pump(1.5)
    assert_alive(node)
    grown = resident(node) - before
    # What all together may have waiting, and what each stream holds.
    assert grown < 160 << 20, f"{DEAF} members that read nothing cost {grown >> 20} MiB"
