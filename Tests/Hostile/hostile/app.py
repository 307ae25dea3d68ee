"""Messaging and transfer by hand (Sources/Wire/Protos/messaging.proto, transfer.proto)."""

import hashlib

from .wire import field, fields, framed, zigzag

MESSAGING, TRANSFER = "/dep2p/app/messaging/1.0.0", "/dep2p/app/transfer/1.0.0"
TEXT = "dep2p.text"
# Bytes of a block (BEP 52).
BLOCK = 16_384
# Sender's frames, then the receiver's.
OFFER, START, DATA, END, FAILED, CANCEL, WORKING, ZEROS = range(1, 9)
ACCEPT, REFUSE, RECEIPT, MISMATCH, DONE, RECEIVER_CANCEL, RECEIVER_WORKING = range(1, 8)
UNKNOWN_PROTOCOL, HANDLER_FAILED, BUSY = 3, 4, 7
# Why a transfer is refused: a limit.
TOO_MUCH = 5


def request(size, name=TEXT):
    """A message's header: that many bytes are to follow."""
    return framed(field(1, name) + field(2, size))


def message(peer, body, name=TEXT):
    """Sends a whole message; its stream."""
    return peer.open(MESSAGING, request(len(body), name) + body, fin=True)


def entry(name, size=0, kind=0, modified=None, executable=False, data_size=None):
    """A file of an offer; `name` is a path or one component."""
    parts = name if isinstance(name, (list, tuple)) else [name]
    out = field(1, kind) + b"".join(field(2, part) for part in parts)
    if kind == 0:
        out += field(3, size)
    if executable:
        out += field(4, 1)
    if modified is not None:
        out += field(5, zigzag(modified))
    if data_size is not None:
        out += field(6, data_size)
    return out


def offer(entries, count=None, total=0, more=False):
    """A page of an offer, as a sender's frame."""
    body = b"".join(field(1, one) for one in entries)
    body += field(2, len(entries) if count is None else count) + field(3, total) + (field(4, 1) if more else b"")
    return sender_frame(OFFER, body)


def sender_frame(kind, value):
    return framed(field(kind, value))


def start(index, offset=0):
    return sender_frame(START, field(1, index) + field(2, offset))


def data(payload):
    return sender_frame(DATA, len(payload)) + payload


def zeros(count):
    """That many zero bytes, none of which follow."""
    return sender_frame(ZEROS, count)


def end(index, size, root):
    return sender_frame(END, field(1, index) + field(2, size) + field(3, root))


def working(amount=0):
    return sender_frame(WORKING, field(1, amount))


def deliver(stream, body, seconds=10.0):
    """The one file of an accepted offer, of at most a block, to its end; whether the receiver has it.

    A sender's stream stays open until the receiver is done.
    """
    # One block: its root is its hash (BEP 52); an empty file has none.
    root = hashlib.sha256(body).digest() if body else bytes(32)
    stream.write(start(0) + (data(body) if body else b"") + end(0, len(body), root))
    stream.wait(lambda one: one.ended or is_done(one), seconds, "the end of the transfer")
    stream.finish()
    return is_done(stream)


def is_done(stream):
    return any(DONE in fields(one) for one in stream.frames)
