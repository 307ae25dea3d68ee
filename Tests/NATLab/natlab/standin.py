"""What the lab's harness runs when there is no dep2p yet: relayed JSON and hole punching, in the smallest form.

It shows that the networks allow what the table of expectations says, and that the harness measures it. Its output is
that of dep2p's `--json` (events `listening` and `reply`, a `result`), as far as the harness reads it.

    standin.py relay ADDRESS…            UDP port 4001 and TCP port 443 of each address
    standin.py listen ID RELAY…          answers until it is ended
    standin.py ping ID TARGET RELAY…     until the best path is found or the time is up
"""

import json
import os
import selectors
import socket
import sys
import time

try:
    from . import stun
except ImportError:
    import stun

UDP_PORT, TCP_PORT = 4001, 443
UDP_PATIENCE = 0.3
PROBE_INTERVAL = 0.05
PUNCHING = 2.5
KEEP_ALIVE = 1.0


def emit(**fields):
    print(json.dumps(fields), flush=True)


class Relay:
    def __init__(self, addresses):
        self.selector = selectors.DefaultSelector()
        self.members = {}
        for address in addresses:
            self.selector.register(stun.udp(address, UDP_PORT), selectors.EVENT_READ, self.datagram)
            listener = socket.create_server(
                (address, TCP_PORT), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
            self.selector.register(listener, selectors.EVENT_READ, self.accept)

    def run(self):
        emit(type="listening")
        while True:
            for key, _ in self.selector.select():
                key.data(key.fileobj)

    def datagram(self, udp):
        data, source = udp.recvfrom(2048)
        self.handle(json.loads(data), source, lambda message: udp.sendto(message, source))

    def accept(self, listener):
        connection, source = listener.accept()
        reader = connection.makefile("rb")

        def line(_):
            text = reader.readline()
            if not text:
                self.selector.unregister(connection)
                return connection.close()
            self.handle(json.loads(text), source, lambda message: connection.sendall(message + b"\n"))

        self.selector.register(connection, selectors.EVENT_READ, line)

    def handle(self, message, source, answer):
        if message["op"] == "hello":
            self.members[message["id"]] = answer
            answer(json.dumps({"op": "seen", "address": source[:2]}).encode())
        elif message["op"] == "to" and message["to"] in self.members:
            try:
                self.members[message["to"]](json.dumps({**message, "op": "relayed"}).encode())
            except OSError:
                del self.members[message["to"]]


class Node:
    def __init__(self, identifier, relays):
        self.identifier = identifier
        self.selector = selectors.DefaultSelector()
        self.sockets = {4: stun.udp("0.0.0.0"), 6: stun.udp("::")}
        for udp in self.sockets.values():
            self.selector.register(udp, selectors.EVENT_READ, self.datagram)
        self.relays = [relay for relay in relays if self.source(relay)]
        self.observed = []
        self.tcp = None
        self.peers = {}  # id → where to probe, and until when
        self.greeted = 0
        self.started = time.monotonic()
        self.on_relayed = self.on_direct = lambda *_: None

    @staticmethod
    def source(address):
        """This host's own address towards another; None without a route."""
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((address, 9))
                return probe.getsockname()[0]
            except OSError:
                return None

    def family(self, address):
        return self.sockets[6 if ":" in address else 4]

    def send(self, message, address):
        try:
            self.family(address[0]).sendto(json.dumps(message).encode(), tuple(address))
        except OSError:
            pass

    def candidates(self):
        own = {(self.source(relay), self.family(relay).getsockname()[1]) for relay in self.relays}
        return [list(address) for address in own | {tuple(address) for address in self.observed}]

    def is_open(self):
        """Whether its own addresses are what others see."""
        return any(self.source(relay) == address[0] for relay in self.relays for address in self.observed)

    def relay(self, target, body):
        message = {"op": "to", "to": target, "from": self.identifier, "body": body}
        if self.tcp:
            return self.tcp.sendall(json.dumps(message).encode() + b"\n")
        for relay in self.relays:
            self.send(message, (relay, UDP_PORT))

    def turn(self, until):
        """Handles what arrives until a time, and does what is due."""
        while (now := time.monotonic()) < until:
            if now - self.greeted >= (KEEP_ALIVE if self.observed else PROBE_INTERVAL):
                self.greeted = now
                for relay in self.relays:
                    self.send({"op": "hello", "id": self.identifier}, (relay, UDP_PORT))
            if not self.observed and not self.tcp and now - self.started > UDP_PATIENCE:
                self.connect_tcp()
            for identifier, (addresses, end) in list(self.peers.items()):
                if now > end:
                    del self.peers[identifier]
                for address in addresses:
                    self.send({"op": "probe", "from": self.identifier, "time": now}, address)
            for key, _ in self.selector.select(min(PROBE_INTERVAL, max(until - now, 0))):
                key.data(key.fileobj)

    def connect_tcp(self):
        for relay in self.relays:
            try:
                self.tcp = socket.create_connection((relay, TCP_PORT), 1)
            except OSError:
                continue
            reader = self.tcp.makefile("rb")
            self.selector.register(self.tcp, selectors.EVENT_READ, lambda _: self.line(reader))
            return self.tcp.sendall(json.dumps({"op": "hello", "id": self.identifier}).encode() + b"\n")

    def line(self, reader):
        text = reader.readline()
        if not text:
            raise SystemExit("the relay hung up")
        self.message(json.loads(text), None)

    def datagram(self, udp):
        try:
            data, source = udp.recvfrom(2048)
        except OSError:
            return
        self.message(json.loads(data), list(source[:2]))

    def message(self, message, source):
        if message["op"] == "seen" and source and message["address"] not in self.observed:
            self.observed.append(message["address"])
        elif message["op"] == "relayed":
            self.on_relayed(message["from"], message["body"])
        elif message["op"] == "probe" and message["from"] != self.identifier:
            self.send({**message, "op": "echo", "by": self.identifier}, source)
            # Where a probe came from may be an address that the peer did not know of.
            addresses, end = self.peers.get(message["from"], ([], 0))
            if end and source not in addresses and len(addresses) < 16:
                addresses.append(source)
        elif message["op"] == "echo" and message["from"] == self.identifier and message["by"] in self.peers:
            self.on_direct(message["by"], source, time.monotonic() - message["time"])

    def is_ready(self):
        return bool(self.observed or self.tcp)

    def punch(self, identifier, addresses):
        if identifier not in self.peers:
            self.peers[identifier] = (addresses, time.monotonic() + PUNCHING)


def listen(identifier, relays):
    node = Node(identifier, relays)

    def relayed(sender, body):
        node.relay(sender, {"pong": body["ping"], "candidates": node.candidates(), "open": node.is_open()})
        node.punch(sender, body["candidates"])

    node.on_relayed = relayed
    while not node.is_ready():
        node.turn(time.monotonic() + PROBE_INTERVAL)
    emit(type="listening", addresses=[identifier])
    while True:
        node.turn(time.monotonic() + 1)


def ping(identifier, target, relays):
    node = Node(identifier, relays)
    sent, paths = {}, []

    def reply(path, seconds):
        paths.append(path)
        emit(type="reply", seq=len(paths), rtt_ms=round(seconds * 1000, 2), path=path)

    def relayed(_, body):
        if body["pong"] in sent:
            reply("relay", time.monotonic() - sent.pop(body["pong"]))
        node.is_peer_open = body["open"]
        node.punch(target, body["candidates"])

    node.on_relayed = relayed
    node.on_direct = lambda _, source, seconds: reply("direct" if node.is_peer_open else "punched", seconds)
    end = time.monotonic() + 10
    while time.monotonic() < end and (not paths or paths[-1] == "relay"):
        if node.is_ready():
            # Until the candidates are complete, each message brings the peer what is known by now.
            sent[len(sent)] = time.monotonic()
            node.relay(target, {"ping": len(sent) - 1, "candidates": node.candidates()})
            if paths:
                end = min(end, time.monotonic() + PUNCHING)
        node.turn(time.monotonic() + (0.2 if paths else PROBE_INTERVAL))
    emit(type="result", ok=bool(paths), path=paths[-1] if paths else None, exit=0 if paths else 69)


def main():
    command, arguments = sys.argv[1], sys.argv[2:]
    if command == "relay":
        Relay(arguments).run()
    elif command == "listen":
        listen(arguments[0], arguments[1:])
    else:
        ping(arguments[0] + os.urandom(4).hex(), arguments[1], arguments[2:])


if __name__ == "__main__":
    main()
