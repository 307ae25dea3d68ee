"""A node that tells others where they are, by dial-back and STUN, and lies."""

import ipaddress
import socket
import struct

from . import relaying
from .wire import field, fields, framed

DIAL_BACK = "/dep2p/sys/autonat/1.0.0"
COOKIE = 0x2112A442
REQUEST, INDICATION, SUCCESS = 0x0001, 0x0011, 0x0101
XOR_MAPPED_ADDRESS = 0x0020
SENT = 1


def binding(kind, transaction, body=b""):
    return struct.pack(">HHI", kind, len(body), COOKIE) + transaction + body


def mapped(ip, port):
    """XOR-MAPPED-ADDRESS of an IPv4 address."""
    masked = struct.pack(">I", int(ipaddress.ip_address(ip)) ^ COOKIE)
    return struct.pack(">HHBBH", XOR_MAPPED_ADDRESS, 8, 0, 1, port ^ COOKIE >> 16) + masked


def lie(server, victim):
    """Makes `server` a relay that grants reservations, and says by every means that who asks is at `victim`.

    What it dials back arrives: it goes where the asker is. Returns a list of what it was asked.
    """
    asked = []
    second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    second.bind((server.link.address[0], 0))
    receive = server.receive

    def answer_stun(datagram, address):
        if len(datagram) < 20 or datagram[0] > 3:
            return receive(datagram, address)
        if struct.unpack_from(">H", datagram)[0] == REQUEST:
            asked.append("stun")
            server.link.socket.sendto(binding(SUCCESS, datagram[8:20], mapped(*victim)), address)
        return None

    def relay(stream, connection):
        asked.append("reservation")
        stream.write(relaying.message(relaying.RESERVATION, field(1, 1800) + field(2, b"")), fin=True)

    def dial_back(stream, connection):
        asked.append("dial-back")
        ip, port = victim
        stream.write(framed(field(1, SENT) + field(2, ipaddress.ip_address(ip).packed) + field(3, port)), fin=True)
        for probe in fields(stream.frames[0])[1]:
            second.sendto(binding(INDICATION, fields(probe)[2][0]), connection.remote)

    def on_connection(connection):
        for name, answer in ((relaying.PROTOCOL, relay), (DIAL_BACK, dial_back)):
            connection.serve(name, lambda stream, answer=answer: once(stream, lambda: answer(stream, connection)))

    server.receive = answer_stun
    server.on_connection = on_connection
    return asked


def once(stream, answer):
    """Calls `answer` when the first frame of `stream` is there."""

    def first(_):
        if stream.frames:
            stream.on_data = None
            answer()

    stream.on_data = first
    first(stream)
