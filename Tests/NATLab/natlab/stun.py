"""STUN Binding (RFC 8489) with RESPONSE-PORT (RFC 5780), in as few lines as the lab's own probes need.

Written apart from dep2p's, so that either shows the other's mistakes. Run as a program it is an observer, which may lie:
    stun.py ADDRESS PORT… [--lie LIE]
"""

import ipaddress
import os
import selectors
import socket
import struct
import sys

COOKIE = 0x2112A442
RESPONSE_PORT = 0x0027
XOR_MAPPED = 0x0020


def request(response_port=None):
    """(transaction id, datagram)"""
    identifier = os.urandom(12)
    body = b"" if response_port is None else struct.pack("!HHHH", RESPONSE_PORT, 4, response_port, 0)
    return identifier, struct.pack("!HHI", 0x0001, len(body), COOKIE) + identifier + body


def attributes(datagram):
    offset = 20
    while offset + 4 <= len(datagram):
        kind, length = struct.unpack_from("!HH", datagram, offset)
        yield kind, datagram[offset + 4:offset + 4 + length]
        offset += 4 + (length + 3) // 4 * 4


def is_message(datagram):
    return len(datagram) >= 20 and datagram[0] < 4 and struct.unpack_from("!I", datagram, 4)[0] == COOKIE


def mask(value, identifier):
    key = struct.pack("!I", COOKIE) + identifier
    return bytes(left ^ right for left, right in zip(value, key))


def response(datagram, source):
    """(datagram, where to) answering a Binding request from `source`; None for anything else."""
    if not is_message(datagram) or datagram[:2] != b"\x00\x01":
        return None
    identifier = datagram[8:20]
    body = observed(source[0].split("%")[0], source[1], identifier)
    target = source[1]
    for kind, content in attributes(datagram):
        if kind == RESPONSE_PORT:
            target = struct.unpack_from("!H", content)[0]
    return struct.pack("!HHI", 0x0101, len(body), COOKIE) + identifier + body, (source[0], target)


def observed(address, port, identifier):
    """The attribute that says where a request came from."""
    address = ipaddress.ip_address(address)
    value = struct.pack("!BBH", 0, 1 if address.version == 4 else 2, port ^ (COOKIE >> 16)) + mask(address.packed, identifier)
    return struct.pack("!HH", XOR_MAPPED, len(value)) + value


def error(identifier):
    """500 Server Error."""
    value = struct.pack("!HBB", 0, 5, 0) + b"none"
    body = struct.pack("!HH", 0x0009, len(value)) + value
    return struct.pack("!HHI", 0x0111, len(body), COOKIE) + identifier + body


# What an observer may say instead of the truth: of a request's source, and of how many it has answered.
LIES = {
    "another-address": lambda source, _: ("45.66.77.88", source[1]),
    "another-port": lambda source, _: (source[0], source[1] ^ 1),
    "a-port-each": lambda source, count: (source[0], 20_000 + count * 7 % 40_000),
    "private-address": lambda source, _: ("10.1.2.3", source[1]),
    "loopback": lambda source, _: ("127.0.0.1", source[1]),
    "nowhere": lambda source, _: ("0.0.0.0", 0),
    "broadcast": lambda source, _: ("255.255.255.255", 65_535),
    "multicast": lambda source, _: ("224.0.0.1", source[1]),
    "no-port": lambda source, _: (source[0], 0),
    "the-other-family": lambda source, _: ("2600:1f00:99::1", source[1]),
    "error": None,
    "garbage": None,
}


def lied(datagram, source, lie, count):
    """(datagram, where to) answering as `lie` says; None for what is no request."""
    if not is_message(datagram) or datagram[:2] != b"\x00\x01":
        return None
    identifier = datagram[8:20]
    if lie == "garbage":
        return os.urandom(64), source
    if lie == "error":
        return error(identifier), source
    body = observed(*LIES[lie](source, count), identifier)
    return struct.pack("!HHI", 0x0101, len(body), COOKIE) + identifier + body, source


def mapped(datagram):
    """(transaction id, (address, port)) of a Binding response; None for anything else."""
    if not is_message(datagram) or datagram[:2] != b"\x01\x01":
        return None
    for kind, value in attributes(datagram):
        if kind == XOR_MAPPED:
            port = struct.unpack_from("!H", value, 2)[0] ^ (COOKIE >> 16)
            address = ipaddress.ip_address(mask(value[4:], datagram[8:20]))
            return datagram[8:20], (str(address), port)
    return None


def udp(address, port=0):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind((address, port))
    made.setblocking(False)
    return made


def main():
    """Listens on each port of each address given, and answers until it is ended."""
    arguments = sys.argv[1:]
    lie = arguments.pop(arguments.index("--lie") + 1) if "--lie" in arguments else None
    arguments = [argument for argument in arguments if argument != "--lie"]
    selector, count = selectors.DefaultSelector(), 0
    for address in [argument for argument in arguments if not argument.isdigit()]:
        for port in [int(argument) for argument in arguments if argument.isdigit()]:
            selector.register(udp(address, port), selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            datagram, source = key.fileobj.recvfrom(2048)
            answer = lied(datagram, source, lie, count) if lie else response(datagram, source)
            count += 1
            if answer:
                key.fileobj.sendto(*answer)


if __name__ == "__main__":
    main()
