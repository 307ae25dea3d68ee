"""The DHT by hand (Sources/Wire/Protos/dht.proto, PROTOCOL.md section 23)."""

from .wire import field, fields, framed

DHT = "/dep2p/sys/dht/1.0.0"
PUT_VALUE, GET_VALUE, ADD_PROVIDER, GET_PROVIDERS, FIND_NODE, PING = range(6)
TARGET, TOKEN, ITEM, REFUSAL = 1001, 1002, 1003, 1004


def message(kind, key=b"", *more):
    """A request or an answer behind its length."""
    return framed(field(1, kind) + field(2, key) + b"".join(more))


def contact(node_id, addresses):
    return field(1, node_id) + b"".join(field(2, one) for one in addresses) + field(3, 0)


def closer(contacts):
    return b"".join(field(8, one) for one in contacts)


def item(key, seq, value, salt=b"", signature=None):
    """BEP 44's mutable item, as field 1003; `key` is an Ed25519 private key."""
    public = key.public_key().public_bytes_raw()
    signed = (b"4:salt%d:" % len(salt) + salt if salt else b"") + b"3:seqi%de1:v" % seq + value
    body = field(1, public) + (field(2, salt) if salt else b"") + field(3, seq) + field(4, value) + field(
        5, signature or key.sign(signed))
    return field(ITEM, body), public + salt


def serve(connection, answer):
    """Answers requests: `answer(fields of the request)` is the message without its length."""
    def begin(stream):
        done = 0

        def more(_):
            nonlocal done
            frames = stream.frames
            for frame in frames[done:]:
                stream.write(framed(answer(fields(frame))))
            done = len(frames)
            if stream.ended and not stream.is_finishing:
                stream.finish()

        stream.on_data = more
        more(stream)

    connection.serve(DHT, begin)
