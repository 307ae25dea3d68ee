"""An Ed25519 identity with its libp2p certificate, and what a realm's member proves."""

import datetime
import hashlib
import hmac
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .wire import base58, varint

EXTENSION = x509.ObjectIdentifier("1.3.6.1.4.1.53594.1.1")
OPENER, ACCEPTOR = b"dep2p-realm-admission-opener-v1", b"dep2p-realm-admission-acceptor-v1"
EARLY = b"dep2p-realm-admission-early-v1"
EXPORTER = b"EXPORTER-dep2p-realm"


class Identity:
    """A key of its own (or of `seed`), and a certificate over it."""

    def __init__(self, seed=None, tls_key=None):
        # What signs the certificate itself: a key for which it can be signed at all.
        self.signer = ec.generate_private_key(ec.SECP256R1())
        self.key = (ed25519.Ed25519PrivateKey.from_private_bytes(seed) if seed
                    else ed25519.Ed25519PrivateKey.generate())
        raw = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.public = b"\x08\x01\x12\x20" + raw
        self.node_id = b"\x00\x24" + self.public
        self.tls_key = tls_key or self.signer
        self.certificate = self._certificate()

    def __str__(self):
        return base58(self.node_id)

    def _certificate(self):
        spki = self.tls_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        signature = self.key.sign(b"libp2p-tls-handshake:" + spki)
        value = b"\x04" + bytes([len(self.public)]) + self.public + b"\x04" + bytes([len(signature)]) + signature
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "libp2p")])
        now = datetime.datetime.now(datetime.timezone.utc)
        return (x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(7)
                .public_key(self.tls_key.public_key())
                .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
                .add_extension(x509.UnrecognizedExtension(EXTENSION, b"\x30" + bytes([len(value)]) + value), False)
                .sign(self.signer, hashes.SHA256()))


class CostlyKey:
    """An RSA key that is none, nor has to be: checking a signature with it takes seconds before it shows that it is
    wrong."""

    BITS = 16_384

    def __init__(self):
        modulus = int.from_bytes(os.urandom(self.BITS // 8), "big") | 1 << self.BITS - 1 | 1
        self.numbers = rsa.RSAPublicNumbers(modulus - 2, modulus)

    def public_key(self):
        return self.numbers.public_key()

    def sign(self, *_):
        return (self.numbers.n >> 1).to_bytes(self.BITS // 8, "big")


# aioquic asks what kind of a key it is.
rsa.RSAPrivateKey.register(CostlyKey)


class Realm:
    """A realm's key, as far as admission needs it."""

    def __init__(self, key):
        """`key`: the 64 digits of the key file."""
        label = b"dep2p-realm-admission-v1"
        self.admission = HKDF(hashes.SHA256(), 32, b"dep2p-realm-derive-v1", varint(len(label)) + label).derive(
            bytes.fromhex(key.strip()))

    def proof(self, role, exporter, opener, acceptor):
        """The proof of one side; `opener` and `acceptor` are NodeIDs."""
        return self._mac(role, exporter, opener, acceptor)

    def early_proof(self, exporter, dialled):
        """What who was dialled says in the handshake."""
        return self._mac(EARLY, exporter, dialled)

    def _mac(self, *parts):
        return hmac.new(self.admission, b"".join(varint(len(part)) + part for part in parts), hashlib.sha256).digest()
