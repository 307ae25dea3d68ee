"""QUIC frames (RFC 9000 section 19), written and read by hand."""

import collections

Frame = collections.namedtuple("Frame", "kind values data")

PADDING, PING, ACK, RESET, STOP, CRYPTO = 0x00, 0x01, 0x02, 0x04, 0x05, 0x06
STREAM, MAX_DATA, MAX_STREAM_DATA, MAX_STREAMS, DATA_BLOCKED = 0x08, 0x10, 0x11, 0x12, 0x14
NEW_ID, RETIRE_ID, CHALLENGE, RESPONSE, CLOSE, APPLICATION_CLOSE, DONE = 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E

# How many integers follow the type of frames that hold nothing else.
PLAIN = {PING: 0, RESET: 3, STOP: 2, MAX_DATA: 1, MAX_STREAM_DATA: 2, MAX_STREAMS: 1, 0x13: 1, DATA_BLOCKED: 1,
         0x15: 2, 0x16: 1, 0x17: 1, RETIRE_ID: 1, DONE: 0}
QUIET = {PADDING, ACK, ACK + 1, CLOSE, APPLICATION_CLOSE}


def integer(value):
    """A variable-length integer (RFC 9000 section 16)."""
    for size, prefix in ((1, 0), (2, 0x40), (4, 0x80), (8, 0xC0)):
        if value < 1 << (8 * size - 2):
            out = bytearray(value.to_bytes(size, "big"))
            out[0] |= prefix
            return bytes(out)
    raise ValueError(value)


def read_integer(data, at):
    size = 1 << (data[at] >> 6)
    return int.from_bytes(data[at:at + size], "big") & ((1 << (8 * size - 2)) - 1), at + size


def frame(kind, *values):
    return integer(kind) + b"".join(integer(value) for value in values)


def stream(number, offset, data, fin=False):
    return frame(STREAM | 0x06 | (1 if fin else 0), number, offset, len(data)) + data


def crypto(offset, data):
    return frame(CRYPTO, offset, len(data)) + data


def new_id(sequence, retire, cid, token):
    return frame(NEW_ID, sequence, retire) + bytes([len(cid)]) + cid + token


def challenge(data, kind=CHALLENGE):
    return integer(kind) + data


def close(code, reason=b"", kind=APPLICATION_CLOSE):
    return frame(kind, code, *([0] if kind == CLOSE else []), len(reason)) + reason


def ack(numbers, delay=0):
    """An ACK of exactly these packet numbers, the newest 64 ranges of them."""
    ranges = []
    for number in sorted(set(numbers), reverse=True):
        if ranges and ranges[-1][0] == number + 1:
            ranges[-1][0] = number
        elif len(ranges) == 64:
            break
        else:
            ranges.append([number, number])
    out = frame(ACK, ranges[0][1], delay, len(ranges) - 1, ranges[0][1] - ranges[0][0])
    for before, (low, high) in zip(ranges, ranges[1:]):
        out += integer(before[0] - high - 2) + integer(high - low)
    return out


def acked(values):
    """The (low, high) ranges of an ACK's values."""
    largest, _, _, first, *rest = values
    low = largest - first
    yield low, largest
    for gap, length in zip(rest[::2], rest[1::2]):
        high = low - gap - 2
        low = high - length
        yield low, high


def parse(payload):
    """The frames of a decrypted payload."""
    found, at = [], 0
    while at < len(payload):
        kind, at = read_integer(payload, at)
        if kind == PADDING:
            continue
        values, data = [], b""

        def take(count):
            nonlocal at
            for _ in range(count):
                value, at = read_integer(payload, at)
                values.append(value)

        if kind in PLAIN:
            take(PLAIN[kind])
        elif kind in (ACK, ACK + 1):
            take(4)
            take(2 * values[2] + (3 if kind & 1 else 0))
        elif STREAM <= kind < STREAM + 8:
            take(1)
            take(1) if kind & 4 else values.append(0)
            if kind & 2:
                length, at = read_integer(payload, at)
            else:
                length = len(payload) - at
            values.append(kind & 1)
            data, at = payload[at:at + length], at + length
            kind = STREAM
        elif kind in (CRYPTO, 0x07, CLOSE, APPLICATION_CLOSE):
            take({CRYPTO: 1, 0x07: 0, CLOSE: 2, APPLICATION_CLOSE: 1}[kind])
            length, at = read_integer(payload, at)
            data, at = payload[at:at + length], at + length
        elif kind == NEW_ID:
            take(2)
            data, at = payload[at + 1:at + 1 + payload[at]], at + 17 + payload[at]
        elif kind in (CHALLENGE, RESPONSE):
            data, at = payload[at:at + 8], at + 8
        else:
            raise AssertionError(f"frame type {kind:#x}")
        found.append(Frame(kind, values, bytes(data)))
    return found
