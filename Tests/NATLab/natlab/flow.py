"""One TCP flow that never ends: `sink ADDRESS PORT`, or `source ADDRESS PORT CONTROL` under a congestion control.

The sink says "ready", and answers each line of standard input with how many bytes have come so far.
"""

import select
import socket
import sys

BLOCK = 1 << 16


def sink(address, port):
    listener = socket.create_server((address, port))
    print("ready", flush=True)
    total, watched = 0, [listener, sys.stdin]
    while True:
        for one in select.select(watched, [], [])[0]:
            if one is listener:
                watched.append(listener.accept()[0])
            elif one is sys.stdin:
                if not sys.stdin.readline():
                    return
                print(total, flush=True)
            elif data := one.recv(BLOCK):
                total += len(data)
            else:
                watched.remove(one)


def source(address, port, control):
    with socket.socket() as flow:
        flow.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
        flow.connect((address, port))
        block = bytes(BLOCK)
        while True:
            flow.sendall(block)


if __name__ == "__main__":
    what, where, number, *rest = sys.argv[1:]
    {"sink": sink, "source": source}[what](where, int(number), *rest)
