"""aioquic's connection, as far as the handshake: keys, transport parameters, exporter."""

import ssl

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.tls import Epoch, hkdf_expand_label
from cryptography.hazmat.primitives import hashes


class Handshake(QuicConnection):
    """Shakes hands as aioquic does; `on_payload(payload)` sees each 1-RTT payload on the way.

    `tamper(data)` may change the messages of TLS before they are cut into packets; without `parameters` they lack the
    extension that QUIC demands. A client that is `greeted` asks for the early proof (PROTOCOL.md, section 9).
    """

    def __init__(self, identity, on_payload, *, is_client, streams=128, window=1 << 28, idle=60.0, tamper=None,
                 parameters=True, greeted=False, **options):
        self._on_payload, self._tamper, self._parameters = on_payload, tamper, parameters
        self.exporter_secret = None
        super().__init__(configuration=QuicConfiguration(
            alpn_protocols=["libp2p"], is_client=is_client, verify_mode=ssl.CERT_NONE, supported_versions=[1],
            certificate=identity.certificate, private_key=identity.tls_key, max_data=4 * window,
            max_stream_data=window, idle_timeout=idle), **options)
        for limit in (self._local_max_streams_bidi, self._local_max_streams_uni):
            limit.value = limit.sent = streams
        if greeted:
            self._local_max_streams_uni.value = self._local_max_streams_uni.sent = 1
            self._local_max_stream_data_uni = 32

    def _initialize(self, peer_cid):
        super()._initialize(peer_cid)
        self.tls._request_client_certificate = True
        if not self._parameters:
            self.tls.handshake_extensions = []
        setup = self.tls._setup_traffic_protection

        def with_exporter(direction, epoch, label):
            # The transcript ends with the server's Finished here (RFC 8446 section 7.1).
            if label == b"s ap traffic":
                self.exporter_secret = self.tls.key_schedule.derive_secret(b"exp master")
            setup(direction, epoch, label)

        self.tls._setup_traffic_protection = with_exporter

    def _push_crypto_data(self):
        for epoch, buffer in self._crypto_buffers.items():
            data = buffer.data
            if data and self._tamper:
                data = self._tamper(data)
            self._crypto_streams[epoch].sender.write(data)
            buffer.seek(0)

    def _payload_received(self, context, plain, crypto_frame_required=False):
        if context.epoch == Epoch.ONE_RTT:
            self._on_payload(plain)
        return super()._payload_received(context, plain, crypto_frame_required)

    def export(self, label, length=32):
        """Keying material (RFC 8446 section 7.5, without a context)."""
        algorithm = self.tls.key_schedule.algorithm

        def digest(data):
            hasher = hashes.Hash(algorithm)
            hasher.update(data)
            return hasher.finalize()

        secret = hkdf_expand_label(algorithm, self.exporter_secret, label, digest(b""), algorithm.digest_size)
        return hkdf_expand_label(algorithm, secret, b"exporter", digest(b""), length)
