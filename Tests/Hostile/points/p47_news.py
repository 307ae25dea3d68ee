"""Issue 12: what was published long ago is no news, one member's flood holds up no other's messages, and no publisher waits
for who takes nothing."""

from hostile import gossip
from hostile.identity import Identity
from hostile.node import assert_alive

TOPIC = "alerts"
DAY = 86_400_000
# Of 4 MiB that may wait for one peer; a debug build verifies some thousands in a second.
FLOOD = 12_000


def heard(node):
    return [one.get("text") for one in list(node.seen) if one["type"] == "message"]


def p47_messages_of_earlier_days(lab):
    """A member gives a node that has begun anew what others published days ago: nobody is told of it."""
    node = gossip.subscriber(lab, TOPIC)
    liar = gossip.Speaker(lab.member(node, source="127.0.0.2"), TOPIC).wait_heard()
    other = gossip.Speaker(lab.member(node, source="127.0.0.3"), TOPIC).wait_heard()
    author = Identity()
    for number, age in enumerate((-30 * DAY, -DAY, DAY)):
        liar.say(messages=[gossip.message(author, gossip.numbers_from_now(age) + number, TOPIC, b"%d" % age)])
    liar.say(messages=[gossip.message(author, gossip.numbers_from_now(), TOPIC, b"news")])
    lab.loop.until(lambda: "news" in heard(node), 10, "what is new")
    lab.loop.pump(1.5)
    assert_alive(node)
    assert heard(node) == ["news"], f"{heard(node)} came"
    assert len(other.messages()) == 1, "what is old was passed on"


def p47_one_members_flood_of_signatures(lab):
    """Thousands of one member's messages that have to be verified: another's that comes behind them does not wait for all."""
    node = gossip.subscriber(lab, TOPIC)
    flood, honest = (gossip.Speaker(lab.member(node, source=f"127.0.0.{host}", pace=512)) for host in (2, 3))
    authors, start = [Identity() for _ in range(2)], gossip.numbers_from_now()
    messages = [gossip.message(authors[0], start + number, TOPIC, b"flood") for number in range(FLOOD)]
    for first in range(0, FLOOD, 1_000):
        flood.say(messages=messages[first:first + 1_000])
    lab.loop.until(lambda: not flood.stream.pending and not flood.peer.unacknowledged, 90, "that all of it is taken")
    before = heard(node).count("flood")
    honest.say(messages=[gossip.message(authors[1], start, TOPIC, b"honest")])
    lab.loop.until(lambda: "honest" in heard(node), 60, "the other's message")
    lab.loop.until(lambda: heard(node).count("flood") == FLOOD, 60, "all of them")
    place = heard(node).index("honest")
    # Of those that had yet to come when it was sent it waits for some alone; near the end there are few to wait for.
    assert place < before + max((FLOOD - before) * 3 // 4, 100), (
        f"it came behind {place} of {FLOOD}, {before} of which had come before it was sent")


def p47_a_subscriber_that_never_ends(lab):
    """Who publishes ends although a member takes its messages and never says that it has."""
    node = gossip.subscriber(lab, TOPIC)
    streams = []

    def serve(connection):
        connection.serve(gossip.PUBSUB, streams.append)
        assert connection.admit(lab.realm)
        connection.open(gossip.PUBSUB, gossip.rpc([TOPIC]))

    silent = lab.server(source="127.0.0.2", on_connection=serve)
    publisher = lab.run("publish", "--realm-key", lab.house.realm_key, "--ephemeral", "--no-mdns", "--timeout", "0",
                        "--peer", node.address, "--peer", silent.address, "--wait-peers", "2", TOPIC, "hello")
    lab.finished(publisher, 40)
    result = publisher.result()
    assert result["ok"] and result["peers"] == 1, result
    assert heard(node) == ["hello"]
    assert any(stream.frames for stream in streams), "the silent member was sent nothing"
