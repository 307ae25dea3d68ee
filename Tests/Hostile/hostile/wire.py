"""The bytes that both sides agree on: varints, protobuf fields, frames, multistream-select, NodeIDs, multiaddrs.

By hand and without checks, so that a test can write what no proper encoder would.
"""

import ipaddress

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
MULTISTREAM = "/multistream/1.0.0"


def varint(value):
    """An unsigned LEB128, as protobuf and libp2p write them."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data, at):
    """(value, next position); None when the bytes end in it."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    return None


def zigzag(value):
    """A sint64 as the unsigned number that stands for it."""
    return (value << 1) ^ (value >> 63) if -(1 << 63) <= value < 1 << 63 else value


def field(number, value):
    """One protobuf field: an integer as varint, text and bytes behind their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value & 0xFFFFFFFFFFFFFFFF)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def fixed64(number, value):
    return varint(number << 3 | 1) + value.to_bytes(8, "little")


def fields(message):
    """What a protobuf message holds: {number: [value, …]}, nested messages as bytes."""
    found, at = {}, 0
    while at < len(message):
        key, at = read_varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = read_varint(message, at)
        elif kind == 1:
            value, at = int.from_bytes(message[at:at + 8], "little"), at + 8
        elif kind == 2:
            length, at = read_varint(message, at)
            value, at = bytes(message[at:at + length]), at + length
        else:
            value, at = int.from_bytes(message[at:at + 4], "little"), at + 4
        found.setdefault(key >> 3, []).append(value)
    return found


def framed(message):
    """A message behind its length."""
    return varint(len(message)) + message


def unframed(data):
    """The whole frames in `data`."""
    frames, at = [], 0
    while (head := read_varint(data, at)) and head[1] + head[0] <= len(data):
        frames.append(bytes(data[head[1]:head[1] + head[0]]))
        at = head[1] + head[0]
    return frames


def line(text):
    """A line of multistream-select."""
    return framed(text.encode() + b"\n")


def proposal(protocol):
    return line(MULTISTREAM) + line(protocol)


def base58(data):
    number, out = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        out = ALPHABET[digit] + out
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + out


def unbase58(text):
    number = 0
    for character in text:
        number = number * 58 + ALPHABET.index(character)
    return b"\0" * (len(text) - len(text.lstrip("1"))) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def endpoint(address):
    """(ip, port, NodeID bytes) of a multiaddr such as /ip4/127.0.0.1/udp/4001/quic-v1/p2p/12D3…."""
    parts = address.split("/")
    port = parts[parts.index("udp") + 1] if "udp" in parts else parts[parts.index("tcp") + 1]
    return parts[2], int(port), unbase58(parts[parts.index("p2p") + 1])


def multiaddr(ip, port, tail=b"\xcd\x03"):
    """/ip4|ip6/IP/udp/PORT/quic-v1 in binary."""
    ip = ipaddress.ip_address(ip)
    return (b"\x04" if ip.version == 4 else b"\x29") + ip.packed + b"\x91\x02" + port.to_bytes(2, "big") + tail
