"""Signed records, identify and ping by hand (libp2p RFC 0002, RFC 0003, specs/identify, specs/ping)."""

from .wire import field, framed, varint

IDENTIFY, PUSH = "/dep2p/sys/identify/1.0.0", "/ipfs/id/push/1.0.0"
PING = "/dep2p/sys/ping/1.0.0"
DOMAIN, KIND = b"libp2p-peer-record", b"\x03\x01"


def sealed(identity, addresses, number=1, node_id=None):
    """The envelope around a record of these multiaddrs, in binary; `node_id` is whose it says that they are."""
    payload = field(1, node_id or identity.node_id) + field(2, number)
    payload += b"".join(field(3, field(1, one)) for one in addresses)
    signed = b"".join(varint(len(part)) + part for part in (DOMAIN, KIND, payload))
    return field(1, identity.public) + field(2, KIND) + field(3, payload) + field(5, identity.key.sign(signed))


def message(identity, envelope, protocols=(), agent="hostile"):
    """What identify answers, and what is pushed."""
    return framed(field(1, identity.public) + b"".join(field(3, one) for one in protocols) + field(6, agent)
                  + field(8, envelope))


def push(peer, envelope, **options):
    """The stream on which `peer` says who and where it is."""
    return peer.open(PUSH, message(peer.identity, envelope, **options), fin=True)


def serve(connection, envelope):
    """Says so whenever the other side asks."""
    connection.serve(IDENTIFY, lambda stream: stream.write(message(connection.identity, envelope), fin=True))


def echo(connection):
    """Answers pings."""

    def serve(stream):
        echoed = 0

        def more(_):
            nonlocal echoed
            fresh = stream.body[echoed:]
            echoed += len(fresh)
            if fresh:
                stream.write(fresh)

        stream.on_data = more
        more(stream)

    connection.serve(PING, serve)
