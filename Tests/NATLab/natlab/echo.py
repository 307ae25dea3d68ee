"""One TCP connection and what comes back over it: the instrument of faults that strike TCP.

    echo.py serve ADDRESS PORT        sends back what comes
    echo.py ask ADDRESS PORT          each line of standard input is a number of bytes, or `anew`

Prints a JSON object for each line: `echoed`, whether all of it came back in time, and `ended`, why the connection did.
"""

import json
import socket
import sys
import threading

WAIT = 1.5


def serve(address, port):
    listener = socket.create_server((address, port))
    print("ready", flush=True)
    while True:
        threading.Thread(target=reflect, args=[listener.accept()[0]], daemon=True).start()


def reflect(connection):
    try:
        while data := connection.recv(1 << 16):
            connection.sendall(data)
    except OSError:
        pass  # the other side's matter


def echo(connection, size):
    """Whether that many bytes come back, and why not where the connection says so."""
    try:
        connection.sendall(bytes(size))
        while size > 0 and (data := connection.recv(1 << 16)):
            size -= len(data)
        return {"echoed": size == 0, "ended": None if size == 0 else "closed"}
    except TimeoutError:
        return {"echoed": False, "ended": None}
    except OSError as error:
        return {"echoed": False, "ended": str(error)}


def ask(address, port):
    connection = None
    for line in sys.stdin:
        if connection is None or line.strip() == "anew":
            connection = socket.create_connection((address, port), WAIT)
        print(json.dumps(echo(connection, 1 if line.strip() == "anew" else int(line))), flush=True)


if __name__ == "__main__":
    what, where, number = sys.argv[1:]
    {"serve": serve, "ask": ask}[what](where, int(number))
