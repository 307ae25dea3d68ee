"""GossipSub by hand (Sources/Wire/Protos/pubsub.proto, PROTOCOL.md section 25): what a member says of topics and messages."""

import hashlib
import time

from .wire import field, fields, framed

PUBSUB = "/dep2p/app/pubsub/1.0.0"
SIGNED = b"libp2p-pubsub:"


def message(author, sequence, topic, data=b"", signature=None):
    """A signed message in its bytes; `author` is an Identity."""
    signed = field(1, author.node_id) + field(2, data) + field(3, sequence.to_bytes(8, "big")) + field(4, topic)
    return signed + field(5, author.key.sign(SIGNED + signed) if signature is None else signature)


def numbers_from_now(milliseconds=0):
    """The first number of a run that begins so much later than now: what is dated otherwise is not taken from others."""
    return int(time.time() * 1000) + milliseconds << 22


def identifier(encoded):
    return hashlib.sha256(encoded).digest()


def rpc(subscribe=(), unsubscribe=(), messages=(), control=b""):
    """One RPC behind its length."""
    out = b"".join(field(1, field(1, 1) + field(2, topic)) for topic in subscribe)
    out += b"".join(field(1, field(1, 0) + field(2, topic)) for topic in unsubscribe)
    out += b"".join(field(2, one) for one in messages)
    return framed(out + (field(3, control) if control else b""))


def ihave(topic, ids):
    return field(1, field(1, topic) + b"".join(field(2, one) for one in ids))


def iwant(ids):
    return field(2, b"".join(field(1, one) for one in ids))


def graft(topic):
    return field(3, field(1, topic))


def prune(topic, backoff=None):
    return field(4, field(1, topic) + (b"" if backoff is None else field(3, backoff)))


def idontwant(ids):
    return field(5, b"".join(field(1, one) for one in ids))


class Speaker:
    """A member that speaks; `heard` is the stream on which the node does, once it has opened one."""

    def __init__(self, peer, *topics):
        self.peer, self.heard = peer, None
        peer.serve(PUBSUB, self._hear)
        self.stream = peer.open(PUBSUB, rpc(topics))

    def _hear(self, stream):
        self.heard = stream

    def say(self, **what):
        self.stream.write(rpc(**what))

    def wait_heard(self):
        self.peer.loop.until(lambda: self.heard, 10, "the node's stream")
        return self

    def controls(self, number):
        """Every control entry of that number that the node has said so far."""
        found = []
        for frame in self.heard.frames if self.heard else []:
            for control in fields(frame).get(3, []):
                found += fields(control).get(number, [])
        return found

    def asked(self):
        """The ids that it wants."""
        return {one for entry in self.controls(2) for one in fields(entry).get(1, [])}

    def messages(self):
        return [one for frame in (self.heard.frames if self.heard else []) for one in fields(frame).get(2, [])]


def subscriber(lab, *topics, home="receiver"):
    """`dep2p subscribe`, listening."""
    return lab._ready(lab.house.start(home, "subscribe", *topics, "--realm-key", lab.house.realm_key, "--no-port-mapping",
                                      "--no-mdns", "--listen", "127.0.0.1:0"))
