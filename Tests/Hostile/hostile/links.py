"""Ways to a node: a UDP socket, TLS over TCP, a relay's circuit. And the loop that waits for all of them."""

import selectors
import socket
import ssl
import time

BATCH = 128
RECEIVE_BUFFER = 8 << 20


class Loop:
    """One thread for every connection of a test; each wait has an end."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.connections = []

    def add(self, link):
        self.selector.register(link.socket, selectors.EVENT_READ, link)

    def remove(self, link):
        self.selector.unregister(link.socket)

    def pump(self, seconds=0.0):
        """Receives, acknowledges and sends for that long; 0 is one round without waiting."""
        end = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            wake = min([connection.wake() for connection in self.connections] + [end])
            for key, _ in self.selector.select(max(0.0, min(wake, end) - now)):
                key.data.read()
            now = time.monotonic()
            for connection in self.connections:
                connection.tick(now)
            if now >= end:
                return

    def until(self, condition, seconds=10.0, what="what was expected"):
        """Pumps until the condition holds; fails when it does not come true in time."""
        assert self.holds(condition, seconds), f"{what}: not within {seconds} s"

    def holds(self, condition, seconds):
        """Whether the condition comes true in that time."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= end:
                return False
            self.pump(0.002)
        return True

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.data.close()
        self.selector.close()


class UDPLink:
    """A UDP socket at `source`, which may be any address of this machine: all of 127.0.0.0/8 are."""

    def __init__(self, loop, source="127.0.0.1", port=0):
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if family == socket.AF_INET6:
            # Any address of a prefix that is routed here (IPV6_FREEBIND).
            self.socket.setsockopt(socket.IPPROTO_IPV6, 78, 1)
        self.socket.bind((source, port))
        self.socket.setblocking(False)
        self.address = self.socket.getsockname()[:2]
        self.owner, self.loop = None, loop
        self.received_bytes = 0
        loop.add(self)

    def send(self, data, address):
        try:
            self.socket.sendto(data, address)
        except (BlockingIOError, ConnectionRefusedError):
            pass  # as if lost on the way

    def read(self):
        for _ in range(BATCH):
            try:
                data, address = self.socket.recvfrom(65536)
            except BlockingIOError:
                break
            except ConnectionRefusedError:
                continue
            self.received_bytes += len(data)
            if self.owner:
                self.owner.receive(data, address[:2])
        if self.owner:
            self.owner.settle()

    def close(self):
        if self.socket.fileno() >= 0:
            self.loop.remove(self)
            self.socket.close()


class TCPLink:
    """A leg: datagrams behind their length in TLS 1.3 over TCP."""

    def __init__(self, loop, address, source="127.0.0.1", handshake=True):
        raw = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
        if ":" in source:
            raw.setsockopt(socket.IPPROTO_IPV6, 78, 1)
        raw.settimeout(10)
        raw.bind((source, 0))
        raw.connect(address)
        self.raw, self.socket, self.loop, self.owner, self.buffer = raw, raw, loop, None, b""
        self.ended = False
        if handshake:
            self.shake_hands()

    def shake_hands(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.raw)
        self.socket.setblocking(False)
        self.loop.add(self)

    def send(self, data, address=None):
        self.send_raw(len(data).to_bytes(2, "big") + data)

    def send_raw(self, data):
        """Bytes as they are: one call is one TLS record, up to 16 KiB of them."""
        end = time.monotonic() + 5
        while not self.ended and time.monotonic() < end:
            try:
                self.socket.send(data)
                return
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                time.sleep(0.001)
            except OSError:
                self.ended = True

    def read(self):
        while True:
            try:
                part = self.socket.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                break
            except OSError:
                part = b""
            if not part:
                self.ended = True
                self.close()
                break
            self.buffer += part
        while len(self.buffer) > 2 and len(self.buffer) >= 2 + (length := int.from_bytes(self.buffer[:2], "big")):
            datagram, self.buffer = self.buffer[2:2 + length], self.buffer[2 + length:]
            if self.owner:
                self.owner.receive(datagram, self.owner.remote)
        if self.owner:
            self.owner.settle()

    def close(self):
        if self.socket.fileno() >= 0:
            if self.socket is not self.raw:
                self.loop.remove(self)
            self.socket.close()


class CircuitLink:
    """A circuit through the relay at the other end of `carrier`: frames beside its QUIC packets."""

    def __init__(self, carrier, circuit):
        self.carrier, self.circuit, self.owner = carrier, circuit, None
        carrier.circuits[circuit] = self

    def frame(self, data):
        return b"\x10" + self.circuit.to_bytes(8, "big") + data

    def send(self, data, address=None):
        self.carrier.link.send(self.frame(data), self.carrier.remote)

    def deliver(self, data):
        if data[0] & 0xB0 == 0x80:
            # Initial packets are not padded on circuits (PROTOCOL.md 14).
            data = data.ljust(1200, b"\0")
        if self.owner:
            self.owner.receive(data, self.owner.remote)
            self.owner.settle()

    def close(self):
        self.carrier.circuits.pop(self.circuit, None)
