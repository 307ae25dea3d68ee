"""Keeps one UDP socket, and asks an observer for its external address whenever it is told to.

Each line of standard input is `ADDRESS PORT SIZE COUNT`: that many requests in datagrams of SIZE bytes. Prints a JSON
object for each: `answered`, and the last `mapped` address.
"""

import json
import select
import socket
import struct
import sys
import time

try:
    from . import stun
except ImportError:
    import stun

WAIT = 0.4
PADDING = 0x8026  # of the range that may be ignored


def padded(size):
    identifier, datagram = stun.request()
    length = max(size - len(datagram) - 4, 0) & ~3
    if length == 0:
        return identifier, datagram
    body = struct.pack("!HH", PADDING, length) + bytes(length)
    return identifier, datagram[:2] + struct.pack("!H", len(body)) + datagram[4:] + body


def collect(udp, waiting, seconds):
    """Takes responses until none is missing or the time is up; returns (how many, the last mapped address)."""
    answered, mapped = 0, None
    end = time.monotonic() + seconds
    while waiting and select.select([udp], [], [], max(end - time.monotonic(), 0))[0]:
        try:
            found = stun.mapped(udp.recv(4096))
        except OSError:
            continue
        if found and found[0] in waiting:
            waiting.discard(found[0])
            answered += 1
            mapped = found[1]
    return answered, mapped


def ask(udp, observer, size, count):
    waiting, answered, mapped = set(), 0, None
    for index in range(count):
        identifier, datagram = padded(size)
        waiting.add(identifier)
        try:
            udp.sendto(datagram, observer)
        except OSError:
            pass
        # Between requests too: the socket's buffer is small.
        more, last = collect(udp, waiting, WAIT if index == count - 1 else 0.001)
        answered, mapped = answered + more, last or mapped
    return {"answered": answered, "mapped": mapped}


def main():
    sockets = {}
    for line in sys.stdin:
        address, port, size, count = line.split()
        if ":" not in address and "v4" not in sockets:
            sockets["v4"] = stun.udp("0.0.0.0")
            # Never fragmented: a datagram that is too large is an error, or is lost.
            sockets["v4"].setsockopt(socket.IPPROTO_IP, 10, 3)  # IP_MTU_DISCOVER, IP_PMTUDISC_PROBE
        udp = sockets["v4"] if ":" not in address else sockets.setdefault("v6", stun.udp("::"))
        print(json.dumps(ask(udp, (address, int(port)), int(size), int(count))), flush=True)


if __name__ == "__main__":
    main()
