"""Fifth review: members that meet by multicast DNS, and a stranger on their network who repeats what others told there."""

import hashlib
import hmac
import os
import socket
import struct
import subprocess
import threading

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hostile.node import processor
from hostile.wire import varint

GROUP, PORT = "224.0.0.251", 5353
HERE = "10.77.0.1"
# Announcements of members that have gone, each of which was true once: a day of a busy network.
GONE, PAUSE = 64, 0.004
DEAD = [f"10.77.0.{number}" for number in range(32, 64)]


def label(text):
    return bytes([len(text)]) + text


def announcement(key, address):
    """What a member told in its run. Who has no realm key can't make it, but can repeat it."""
    name, text = os.urandom(16).hex().encode(), address.encode()
    message = b"".join(varint(len(part)) + part for part in (name, b"", text))
    tag = hmac.new(key, message, hashlib.sha256).digest()[:16].hex().encode()
    strings = label(b"dnsaddr=" + text) + label(b"realm=" + tag)
    owner = label(name) + label(b"_p2p") + label(b"_udp") + label(b"local") + b"\0"
    record = owner + struct.pack(">HHIH", 16, 1, 120, len(strings)) + strings
    return struct.pack(">HHHHHH", 0, 0x8400, 0, 1, 0, 0) + record


class Repeater(threading.Thread):
    """Says all of it again and again."""

    def __init__(self, messages):
        super().__init__(daemon=True)
        self.messages, self.ended, self.sent = messages, threading.Event(), 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HERE))
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        self.socket.bind((HERE, PORT))

    def run(self):
        while not self.ended.is_set():
            for message in self.messages:
                self.socket.sendto(message, (GROUP, PORT))
                self.sent += 1
                if self.ended.wait(PAUSE):
                    return

    def end(self):
        self.ended.set()
        self.join()
        self.socket.close()


def p53_repeated_announcements(lab):
    """Members find each other although somebody else fills the network with announcements of members that have gone."""
    for host in DEAD:
        subprocess.run(["ip", "neighbour", "replace", host, "lladdr", "02:00:00:00:00:99", "dev", "outside"], check=True)
    words = b"mdns"
    realm = HKDF(hashes.SHA256(), 32, b"dep2p-realm-derive-v1", varint(len(words)) + words).derive(
        bytes.fromhex(lab.house.realm_key.read_text().strip()))
    gone = [announcement(realm, f"/ip4/{DEAD[number % len(DEAD)]}/udp/{40_000 + number}/quic-v1") for number in range(GONE)]
    repeater = Repeater(gone)
    repeater.start()
    try:
        common = ["--realm-key", lab.house.realm_key, "--listen", f"{HERE}:0", "--no-dht"]
        reader = lab.house.start("receiver", "subscribe", *common, "news", finds=True)
        lab.loop.pump(8)
        before, sent = processor(reader), repeater.sent
        writer = lab.house.start("sender", "publish", *common, "--timeout", "20s", "news", "here", finds=True)
        status = lab.finished(writer, 40)
        print(f"published: {status}; {repeater.sent - sent} announcements cost {processor(reader) - before:.2f} s")
        assert status == 0, writer.text()
        assert reader.until("message")["text"] == "here", reader.text()
    finally:
        repeater.end()
