"""Issue 12: what strangers and members can do to who publishes and subscribes, with raw RPCs."""

import hashlib
import os

from hostile import gossip
from hostile.identity import Identity
from hostile.node import alive, assert_alive, resident
from hostile.wire import field, framed, varint

PUBSUB = "/dep2p/app/pubsub/1.0.0"
TOPIC = "alerts"
LONGEST = 1024 * 1024 + 64 * 1024


def subscriber(lab, *arguments):
    return lab._ready(lab.run("subscribe", "--realm-key", lab.house.realm_key, "--ephemeral", "--no-port-mapping",
                              "--listen", "127.0.0.1:0", *arguments, TOPIC, home="receiver"))


def message(identity, number, data, topic=TOPIC, author=None, forged=False):
    """A signed message, as the author that it names would have made it; or as somebody else has."""
    body = (field(1, (author or identity).node_id) + field(2, data) + field(3, number.to_bytes(8, "big"))
            + field(4, topic))
    signature = bytearray(identity.key.sign(b"libp2p-pubsub:" + body))
    signature[0] ^= forged
    return body + field(5, bytes(signature))


def subscription(topic=TOPIC, wanted=True):
    return field(1, field(1, int(wanted)) + field(2, topic))


def control(body):
    return field(3, body)


def publish(*messages):
    return framed(b"".join(field(2, one) for one in messages))


def joined(lab, node, *more, identity=None):
    """A member that has said that it listens, its stream, and what the node has said to it."""
    member = lab.member(node, identity)
    heard = []
    member.serve(PUBSUB, heard.append)
    stream = member.open(PUBSUB, framed(subscription() + b"".join(more)))
    lab.loop.until(lambda: heard and heard[0].frames, 10, "the node's greeting")
    return member, stream, heard[0]


def printed(lab, node, text, seconds=10):
    """Whether the node prints a message in time."""
    def found():
        return any(event.get("text") == text for event in node.seen if event["type"] == "message")
    try:
        lab.loop.until(lambda: found() or not alive(node), seconds, "a message")
    except AssertionError:
        pass
    return found()


def p35_a_stranger_learns_no_topic(lab):
    node = subscriber(lab)
    stranger = lab.client(node)
    heard = []
    stranger.serve(PUBSUB, heard.append)
    stream = stranger.open(PUBSUB, framed(subscription()) + publish(message(Identity(), gossip.numbers_from_now(), b"from a stranger")))
    lab.loop.pump(2)
    assert stream.protocol != PUBSUB or stream.reset_code is not None, "a stranger's stream was taken"
    assert not heard, "a stranger was told of topics"
    assert TOPIC.encode() not in bytes(stream.data)
    assert_alive(node)
    assert not printed(lab, node, "from a stranger", 0.5)


def p35_forged_messages(lab):
    """In another's name, with a broken signature, of another's number: none comes through, and none keeps a true one back."""
    node, other = subscriber(lab), Identity()
    own = Identity()
    _, stream, _ = joined(lab, node, identity=own)
    _, spoken, _ = joined(lab, node, identity=other)
    number = gossip.numbers_from_now()
    stream.write(publish(message(own, number, b"in another's name", author=other)))
    stream.write(publish(message(other, number, b"true", forged=True)))
    lab.loop.pump(1)
    spoken.write(publish(message(other, number, b"true")))
    assert printed(lab, node, "true"), "a forged message kept a true one back"
    assert not printed(lab, node, "in another's name", 0.5), "a forged message came through"
    assert len([event for event in node.seen if event["type"] == "message"]) == 1, "a message came twice"


def p35_broken_rpcs(lab):
    """Cut off, nested wrongly, with every length that lies: the stream ends, the node does not."""
    node = subscriber(lab)
    whole = subscription() + field(2, message(Identity(), 5, b"x" * 100)) + control(
        field(1, field(1, TOPIC) + field(2, os.urandom(32))) + field(2, field(1, os.urandom(32))) + field(3, field(1, TOPIC))
        + field(4, field(1, TOPIC) + field(2, field(1, b"peer") + field(2, b"record")) + field(3, (1 << 64) - 1))
        + field(5, field(1, os.urandom(32))) + field(6, b""))
    member = lab.member(node)
    for length in range(0, len(whole), 7):
        member.open(PUBSUB, framed(whole[:length]), fin=True)
        if length % 70 == 0:
            lab.loop.pump(0.05)
    for place in range(0, len(whole), 5):
        torn = bytearray(whole)
        torn[place] ^= 0x80
        member.open(PUBSUB, framed(bytes(torn)), fin=True)
        if place % 50 == 0:
            lab.loop.pump(0.05)
    lab.loop.pump(1)
    assert_alive(node)
    joined(lab, node)


def p35_too_long_an_rpc(lab):
    node = subscriber(lab)
    _, stream, _ = joined(lab, node)
    stream.write(varint(LONGEST + 1) + b"x" * 1000)
    stream.wait(lambda one: one.ended or one.stop_code is not None, 10, "the stream's end")
    assert_alive(node)


def p35_floods_of_control(lab):
    """Topics, announcements, requests, GRAFTs and refusals, as fast as they go: memory stays, and others are served."""
    node, author = subscriber(lab), Identity()
    _, spoken, _ = joined(lab, node, identity=author)
    _, stream, _ = joined(lab, node)
    lab.loop.pump(0.5)
    before = resident(node)
    ids = [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(4_000)]
    for turn in range(20):
        topics = b"".join(subscription(f"{turn}-{number}") for number in range(500))
        announced = field(1, field(1, TOPIC) + b"".join(field(2, one) for one in ids))
        refused = field(5, b"".join(field(1, os.urandom(32)) for _ in range(4_000)))
        grafts = b"".join(field(3, field(1, f"{turn}-{number}")) for number in range(1_000))
        for part in (topics, control(announced), control(field(2, b"".join(field(1, one) for one in ids))),
                     control(refused), control(grafts)):
            stream.write(framed(part))
        lab.loop.pump(0.05)
        if stream.ended:
            break
    lab.loop.pump(2)
    assert_alive(node)
    grown = resident(node) - before
    assert grown < 48 << 20, f"control costs {grown >> 20} MiB"
    spoken.write(publish(message(author, gossip.numbers_from_now(), b"beside a flood")))
    assert printed(lab, node, "beside a flood", 20), "a flood kept another member's message back"
