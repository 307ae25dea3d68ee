"""Path probes by hand (Sources/PROTOCOL.md, section 16)."""

import hashlib
import hmac
import ipaddress
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

LABEL = b"EXPORTER-dep2p-holepunch"
PROBE, ANSWER, STALLED, MOVED = 1, 2, 3, 4
LENGTH = 57


class Prober:
    """What one end of a connection can say beside QUIC."""

    def __init__(self, connection):
        secret = connection.shaker.export(LABEL)
        own, peer = (b"client", b"server") if connection.is_client else (b"server", b"client")
        self.link, self.own, self.peer = self._derive(secret, b"link", 8), self._derive(secret, own), self._derive(secret, peer)
        self.sequence = 0

    @staticmethod
    def _derive(secret, info, length=32):
        return HKDF(hashes.SHA256(), length, b"", info).derive(secret)

    def packet(self, kind, sequence=None, nonce=bytes(8), observed=None):
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        ip = ipaddress.ip_address(observed[0]) if observed else None
        body = struct.pack(">BB", 0x20, kind) + self.link + struct.pack(">I", sequence) + nonce
        body += bytes([ip.version if ip else 0]) + (ip.packed if ip else b"").ljust(16, b"\0")
        body += struct.pack(">H", observed[1] if observed else 0)
        return body + hmac.new(self.own, body, hashlib.sha256).digest()[:16]

    def answer(self, probe, source):
        """To a probe of the peer's that came from `source`; `None` when it is none."""
        right = hmac.new(self.peer, probe[:-16], hashlib.sha256).digest()[:16] == probe[-16:]
        if len(probe) != LENGTH or probe[1] != PROBE or not right:
            return None
        return self.packet(ANSWER, struct.unpack_from(">I", probe, 10)[0], probe[14:22], source)
