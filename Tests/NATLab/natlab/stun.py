"""STUN Binding (RFC 8489) with RESPONSE-PORT (RFC 5780), in as few lines as the lab's own probes need.

Written apart from dep2p's, so that either shows the other's mistakes. Run as a program it is an observer:
    stun.py ADDRESS PORT…
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
    address = ipaddress.ip_address(source[0].split("%")[0])
    port = source[1] ^ (COOKIE >> 16)
    value = struct.pack("!BBH", 0, 1 if address.version == 4 else 2, port) + mask(address.packed, identifier)
    body = struct.pack("!HH", XOR_MAPPED, len(value)) + value
    target = source[1]
    for kind, content in attributes(datagram):
        if kind == RESPONSE_PORT:
            target = struct.unpack_from("!H", content)[0]
    return struct.pack("!HHI", 0x0101, len(body), COOKIE) + identifier + body, (source[0], target)


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
    selector = selectors.DefaultSelector()
    for address in [argument for argument in sys.argv[1:] if not argument.isdigit()]:
        for port in [int(argument) for argument in sys.argv[1:] if argument.isdigit()]:
            selector.register(udp(address, port), selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            datagram, source = key.fileobj.recvfrom(2048)
            answer = response(datagram, source)
            if answer:
                key.fileobj.sendto(*answer)


if __name__ == "__main__":
    main()
