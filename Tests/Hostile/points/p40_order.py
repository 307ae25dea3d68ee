"""Issue 12: what one member publishes keeps nobody else's messages back, out of order, or away."""

from hostile import gossip
from hostile.node import assert_alive

TOPIC = "alerts"
# Messages that wait for their turn, of all authors (DeliveryOrder.heldCount).
WAITING = 8_192
# The first number of a run that begins now.
START = gossip.numbers_from_now()
GAPS = 3


def with_gaps(identity, count):
    """Messages of which every second one never comes. A connection proves their author: nobody looks at a signature."""
    return [gossip.message(identity, START + 2 * number, TOPIC, b"x", bytes(64)) for number in range(count)]


def p40_messages_behind_gaps(lab):
    """A member whose messages wait for what never comes takes away no other author's time to come in order."""
    node = gossip.subscriber(lab, TOPIC)
    liar, honest = (gossip.Speaker(lab.member(node, source=f"127.0.0.{host}", pace=512)) for host in (2, 3))
    messages = with_gaps(liar.peer.identity, WAITING + 1)
    for first in range(0, len(messages), 1_000):
        liar.say(messages=messages[first:first + 1_000])
    lab.loop.until(lambda: not liar.stream.pending and not liar.peer.unacknowledged, 15, "that all of it is taken")
    lab.loop.pump(0.3)
    # It need not even stay.
    liar.peer.close()
    # Two that overtake each other, as on two ways through others.
    author = honest.peer.identity
    one, two, three = (gossip.message(author, START + number, TOPIC, b"%d" % number) for number in range(1, 4))
    honest.say(messages=[one])
    honest.say(messages=[three])
    lab.loop.pump(0.3)
    honest.say(messages=[two])
    # Behind thousands of the other's, which a busy machine takes its time to print.
    lab.loop.holds(lambda: sum(one.get("from") == str(author) for one in list(node.seen)) > 2, 60)
    assert_alive(node)
    found = [one.get("text") or f"gap of {one['count']}" for one in list(node.seen)
             if one.get("from") == str(author) and one["type"] in ("message", "gap")]
    assert found == ["1", "2", "3"], f"of another author came {found}"


def p40_gaps_do_not_add_up(lab):
    """An author some of whose messages got lost is heard of once what is missing has had its time, not once for each gap."""
    node = gossip.subscriber(lab, TOPIC)
    author = gossip.Speaker(lab.member(node))
    author.say(messages=with_gaps(author.peer.identity, 1 + GAPS))
    lab.loop.holds(lambda: sum(one["type"] == "message" for one in list(node.seen)) > GAPS, 9)
    count = sum(one["type"] == "message" for one in list(node.seen))
    assert count == 1 + GAPS, f"{count} of {1 + GAPS} messages came: every gap takes the patience of all"
