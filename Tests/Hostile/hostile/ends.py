"""Those who dial, and those who are dialled."""

import time

from .connection import Connection
from .identity import EXTENSION, Identity
from .links import CircuitLink, UDPLink
from .wire import endpoint


class Client(Connection):
    """Dials a node's address from `source`, or over `link`, and waits for the handshake."""

    def __init__(self, loop, address, identity=None, source="127.0.0.1", link=None, wait=True, **options):
        ip, port, node_id = endpoint(address)
        link = link or UDPLink(loop, source)
        super().__init__(loop, link, (ip, port), identity or Identity(), True, node_id, **options)
        link.owner = self
        loop.connections.append(self)
        self.shaker.connect(self.remote, time.monotonic())
        self._shake()
        if wait:
            loop.until(lambda: self.is_open or self.closed, 10, f"the handshake with {address}")

    def circuit(self, number, address, identity=None, **options):
        """A connection with the node at `address` over the circuit of this one's relay."""
        return Client(self.loop, address, identity, link=CircuitLink(self, number), **options)


class Server:
    """A node that others dial; `on_connection(connection)` as soon as a handshake stands."""

    def __init__(self, loop, identity=None, source="127.0.0.1", port=0, link=None, on_connection=None, **options):
        self.loop, self.identity, self.options = loop, identity or Identity(), options
        self.link = link or UDPLink(loop, source, port)
        self.link.owner, self.on_connection = self, on_connection
        self.connections, self.routes, self.remote, self.told = [], {}, None, set()

    @property
    def address(self):
        ip, port = self.link.address
        return f"/ip4/{ip}/udp/{port}/quic-v1/p2p/{self.identity}"

    def receive(self, datagram, address):
        if datagram[0] & 0x80:
            wanted = datagram[6:6 + datagram[5]]
        else:
            wanted = datagram[1:9]
        connection = self.routes.get(wanted) or next(
            (one for one in self.connections if wanted in one.own_ids), None)
        if connection is None and datagram[0] & 0xB0 == 0x80 and len(datagram) >= 1200:
            connection = Connection(self.loop, self.link, address, self.identity, False,
                                    original_destination_connection_id=wanted, **self.options)
            self.connections.append(connection)
            self.loop.connections.append(connection)
        if connection:
            self.routes[wanted] = connection
            connection.receive(datagram, address)
            if connection.is_open and connection not in self.told:
                self.told.add(connection)
                connection.node_id = peer_of(connection)
                if self.on_connection:
                    self.on_connection(connection)
                    for stream in list(connection.streams.values()):
                        connection._answer_proposal(stream)

    def settle(self):
        for connection in self.connections:
            connection.settle()

    def wait_connection(self, seconds=15.0):
        self.loop.until(lambda: any(one.is_open for one in self.connections), seconds, "a connection")
        return next(one for one in self.connections if one.is_open)


def peer_of(connection):
    """The NodeID in the peer's certificate."""
    certificate = connection.shaker.tls._peer_certificate
    value = next(one.value.value for one in certificate.extensions
                 if one.oid == EXTENSION)
    public = value[4:4 + value[3]]
    return b"\x00" + bytes([len(public)]) + public


