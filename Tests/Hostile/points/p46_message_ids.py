"""Issue 12: a forged message suppresses nothing, and one message has one id, whoever its author is."""

import hashlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from hostile import gossip
from hostile.identity import Identity
from hostile.wire import field

TOPIC = "alerts"
START = gossip.numbers_from_now()
TIMES = 8


def of_rsa(data, number):
    """A message of an author whose NodeID is only the hash of its key, and what of it stands before that key."""
    key = rsa.generate_private_key(65_537, 2_048)
    public = b"\x08\x00" + field(2, key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    node_id = b"\x12\x20" + hashlib.sha256(public).digest()
    signed = field(1, node_id) + field(2, data) + field(3, (START + number).to_bytes(8, "big")) + field(4, TOPIC)
    signed += field(5, key.sign(gossip.SIGNED + signed, padding.PKCS1v15(), hashes.SHA256()))
    return signed + field(6, public), signed


def p46_forged_keys(lab):
    """Who passes a message on with another key, or with more behind it, keeps nobody from getting the message itself."""
    node = gossip.subscriber(lab, TOPIC)
    liar, honest = (gossip.Speaker(lab.member(node, source=f"127.0.0.{host}"), TOPIC) for host in (2, 3))
    for number, forge in enumerate((lambda _, bare: bare + field(6, b"no key"), lambda whole, _: whole + field(7, b"more"))):
        whole, bare = of_rsa(b"genuine %d" % number, number)
        liar.say(messages=[forge(whole, bare)])
        lab.loop.pump(0.3)
        honest.say(messages=[whole])
        came = lab.loop.holds(lambda: any(one.get("text") == f"genuine {number}" for one in list(node.seen)), 2)
        assert came, f"a message did not come because somebody had forged it (way {number})"


def p46_one_message_one_id(lab):
    """What can be changed about a message without its author makes no second one for everybody to carry."""
    node = gossip.subscriber(lab, TOPIC)
    first, liar, other = (gossip.Speaker(lab.member(node, source=f"127.0.0.{host}"), TOPIC).wait_heard()
                          for host in (2, 3, 4))
    message = gossip.message(Identity(), START, TOPIC, b"one")
    first.say(messages=[message])
    lab.loop.pump(0.4)
    # Its signature covers everything but its own field, whose tag and length can be written in a hundred ways.
    signature = message[-64:]
    longer = [message[:-66] + b"\x2a" + b"\xc0" + b"\x80" * zeros + b"\0" + signature for zeros in range(8)]
    liar.say(messages=[message + field(6, b"junk"), *longer])
    lab.loop.pump(1)
    assert len(other.messages()) == 1, f"the same message was passed on {len(other.messages())} times"


def p46_who_passes_on_is_not_punished(lab):
    """Nobody has two honest members cut apart by forging, for one of them, what he has the other one pass on."""
    here = gossip.subscriber(lab, TOPIC)
    there = gossip.subscriber(lab, TOPIC, "--peer", here.address, home="second")
    # Both hear whom the other one alone is connected with.
    far, author = (gossip.Speaker(lab.member(there, source=f"127.0.0.{host}"), TOPIC).wait_heard() for host in (3, 4))
    # Who forges is charged himself, and not heard any more from the third time on: one member has any number of NodeIDs.
    near = [gossip.Speaker(lab.member(here, source="127.0.0.2"), TOPIC).wait_heard() for _ in range(TIMES // 2)]
    author.say(messages=[gossip.message(author.peer.identity, START, TOPIC, b"before")])
    heard = lambda text: any(one.get("text") == text for one in list(here.seen))  # noqa: E731
    lab.loop.until(lambda: heard("before"), 10, "a message that was passed on")
    # Of authors that nobody is; a key is nobody's need there, and stands behind each message all the same.
    messages = [gossip.message(Identity(), START, TOPIC, b"x") + field(6, b"key") for _ in range(TIMES)]
    for number, message in enumerate(messages):
        near[number // 2].say(messages=[message + field(7, b"more")])
    lab.loop.pump(0.5)
    far.say(messages=messages)
    lab.loop.pump(0.5)
    author.say(messages=[gossip.message(author.peer.identity, START + 1, TOPIC, b"after")])
    came = lab.loop.holds(lambda: heard("after"), 4)
    assert came, "one member takes nothing more from another one, who has passed on what was right"
