"""A QUIC connection whose every packet is the test's to choose.

aioquic shakes hands; from the confirmed handshake on the packets are made and read here: numbers, frames,
acknowledgements and retransmissions as the test wants them, and honest ones where it says nothing.
"""

import collections
import math
import time

from aioquic.quic.crypto import CryptoError
from aioquic.tls import Epoch

from . import quic_frames as q
from .handshake import Handshake
from .identity import ACCEPTOR, EXPORTER, OPENER
from .stream import Stream
from .wire import field, fields, framed, proposal

ADMISSION = "/dep2p/realm/admission/1.0.0"
PING = "/ipfs/ping/1.0.0"
# The first stream of one direction that a server opens.
GREETING = 3
PAYLOAD = 1150
AGAIN_AFTER = 0.25
FRAMES_KEPT = 200_000


class Connection:
    """One end. `acknowledges(number, frames)` decides on each packet; None acknowledges nothing at all."""

    def __init__(self, loop, link, remote, identity, is_client, node_id=None, pace=64, early=None, half_open=False,
                 **options):
        self.loop, self.link, self.remote, self.identity, self.is_client = loop, link, remote, identity, is_client
        self.node_id = node_id
        self.shaker = Handshake(identity, self._read_early, is_client=is_client, **options)
        # Called once there are keys: before a client's Finished leaves, and right behind a server's first flight.
        self.early = early
        # Begins a handshake, proves its address where that is asked for, and then says no more.
        self.half_open = half_open
        self.is_open = False
        self.closed = None
        self.frames = collections.deque(maxlen=FRAMES_KEPT)
        self.streams, self.served, self.circuits = {}, {}, {}
        self.acknowledges = lambda number, frames: True
        self.answers_challenges = True
        self.number, self.expected, self.received, self.acceptable = 0, 0, set(), set()
        self.owes_ack = False
        self.pace, self.unacknowledged = pace, collections.OrderedDict()
        self.max_data = self.max_streams = self.data_sent = self.opened = 0
        self.retransmissions = 0

    # The handshake.

    def _read_early(self, payload):
        self._handle(None, q.parse(payload))

    def _shake(self):
        now = time.monotonic()
        if self.early and self.is_client and self.shaker._handshake_complete and not self.is_open:
            self._take_over()
            self.early(self)
        for data, _ in self.shaker.datagrams_to_send(now):
            self.link.send(data, self.remote)
        if self.early and not self.is_client and Epoch.ONE_RTT in self.shaker._cryptos and (
                self.shaker._cryptos[Epoch.ONE_RTT].send.is_valid()):
            early, self.early = self.early, None
            self._learn_keys()
            early(self)
        if self.shaker._handshake_confirmed and not self.is_open and not self.closed:
            self._take_over()
        elif not self.is_open and self.shaker._close_event and not self.closed:
            event = self.shaker._close_event
            self.closed = (q.CLOSE, event.error_code, event.reason_phrase)

    def _take_over(self):
        shaker = self.shaker
        self.is_open = True
        self._learn_keys()
        space = shaker._spaces[Epoch.ONE_RTT]
        self.expected = space.expected_packet_number
        for known in space.ack_queue:
            self.received.update(known)
        self.acceptable = set(self.received)
        self.max_data, self.max_streams = shaker._remote_max_data, shaker._remote_max_streams_bidi

    def _learn_keys(self):
        shaker = self.shaker
        self.number = max(self.number, shaker._packet_number + 16)
        self.crypto = shaker._cryptos[Epoch.ONE_RTT]
        self.peer_id, self.reset_token = shaker._peer_cid.cid, shaker._peer_cid.stateless_reset_token

    @property
    def exporter(self):
        return self.shaker.export(EXPORTER)

    @property
    def own_ids(self):
        return [one.cid for one in self.shaker._host_cids]

    # Receiving.

    def receive(self, datagram, address):
        if self.circuits and datagram[0] & 0xF0 == 0x10 and len(datagram) > 9:
            circuit = self.circuits.get(int.from_bytes(datagram[1:9], "big"))
            if circuit:
                return circuit.deliver(datagram[9:])
        if self.is_open and not datagram[0] & 0x80:
            return self._read(datagram)
        if not self.closed and (not self.half_open or datagram[0] & 0xF0 == 0xF0):
            self.shaker.receive_datagram(datagram, self.remote, time.monotonic())
            self._shake()
        return None

    def _read(self, datagram):
        try:
            _, payload, number = self.crypto.decrypt_packet(datagram, 9, self.expected)
        except (CryptoError, IndexError):
            if datagram[-16:] == self.reset_token:
                self.closed = ("stateless reset", 0, "")
            return
        if number in self.received:
            return
        self.received.add(number)
        self.expected = max(self.expected, number + 1)
        frames = q.parse(payload)
        if self.acknowledges and self.acknowledges(number, frames):
            self.acceptable.add(number)
            self.owes_ack = self.owes_ack or any(frame.kind not in q.QUIET for frame in frames)
        self._handle(number, frames)

    def _handle(self, number, frames):
        for frame in frames:
            self.frames.append((number, frame))
            kind, values = frame.kind, frame.values
            if kind == q.STREAM:
                stream = self._stream(values[0])
                stream.take(values[1], frame.data, values[2])
                self._answer_proposal(stream)
                if stream.on_data:
                    stream.on_data(stream)
            elif kind in (q.RESET, q.STOP):
                stream = self._stream(values[0])
                if kind == q.RESET:
                    stream.reset_code = values[1]
                else:
                    stream.stop_code, stream.pending = values[1], bytearray()
            elif kind in (q.CLOSE, q.APPLICATION_CLOSE):
                self.closed = (kind, values[0], frame.data.decode(errors="replace"))
            elif self.is_open:
                self._steer(kind, values, frame.data)

    def _steer(self, kind, values, data):
        if kind in (q.ACK, q.ACK + 1):
            self._acknowledged(values if kind == q.ACK else values[:-3])
        elif kind == q.MAX_DATA:
            self.max_data = max(self.max_data, values[0])
        elif kind == q.MAX_STREAM_DATA:
            stream = self._stream(values[0])
            stream.window = max(stream.window, values[1])
        elif kind == q.MAX_STREAMS:
            self.max_streams = max(self.max_streams, values[0])
        elif kind == q.CHALLENGE and self.answers_challenges:
            self.send(q.challenge(data, q.RESPONSE))

    def _acknowledged(self, values):
        for low, high in q.acked(values):
            if high - low < len(self.unacknowledged):
                for number in range(low, high + 1):
                    self.unacknowledged.pop(number, None)
            else:
                for number in [one for one in self.unacknowledged if low <= one <= high]:
                    self.unacknowledged.pop(number)
        # Lost, when three later ones have arrived (RFC 9002 section 6.1.1).
        for number in [one for one in self.unacknowledged if one < values[0] - 3]:
            self._again(number)

    def settle(self):
        """After a batch of datagrams: acknowledges it, and sends what has room now."""
        if not self.is_open:
            return
        if self.owes_ack and not self.closed:
            self.acknowledge()
        self.flush()

    def acknowledge(self, numbers=None):
        """Acknowledges what the test's rule lets, or exactly `numbers`."""
        self.owes_ack = False
        if numbers or self.acceptable:
            self.send(q.ack(numbers or self.acceptable))

    # Sending.

    def send(self, payload, number=None, again=False, link=None, source_id=None, pad=0):
        """One 1-RTT packet of these bytes.

        `again`: repeated until it is acknowledged. `link`: from another socket. `source_id`: with another of the peer's
        connection IDs. `pad`: up to so many bytes of payload.
        """
        if number is None:
            number = self.number
            self.number += 1
        payload = payload.ljust(pad, b"\0")
        packet = self.seal(payload, number, source_id)
        if again:
            self.unacknowledged[number] = (time.monotonic(), payload)
        (link or self.link).send(packet, self.remote)
        return number

    def seal(self, payload, number, peer_id=None):
        header = bytes([0x43 | self.crypto.key_phase << 2]) + (peer_id or self.peer_id) + (number & 0xFFFFFFFF).to_bytes(
            4, "big")
        return self.crypto.encrypt_packet(header, payload, number)

    def send_long(self, epoch, payload):
        """An Initial or Handshake packet of these bytes, padded as one has to be; before the handshake is over."""
        crypto = self.shaker._cryptos[epoch]
        number = self.shaker._packet_number
        self.shaker._packet_number += 1
        kind = {Epoch.INITIAL: 0x00, Epoch.HANDSHAKE: 0x20}[epoch]
        token = b"\0" if kind == 0 else b""
        payload = payload.ljust(1100, b"\0")
        peer, own = self.shaker._peer_cid.cid, self.shaker.host_cid
        header = (bytes([0xC3 | kind]) + b"\0\0\0\1" + bytes([len(peer)]) + peer + bytes([len(own)]) + own + token
                  + (len(payload) + 4 + 16 | 0x4000).to_bytes(2, "big") + number.to_bytes(4, "big"))
        self.link.send(crypto.encrypt_packet(header, payload, number).ljust(1200, b"\0"), self.remote)

    def flush(self):
        """Sends what streams hold, within the peer's windows and `pace` packets under way."""
        if not self.is_open or self.closed:
            return
        for stream in list(self.streams.values()):
            while (stream.pending or stream.is_finishing) and not stream.is_finished:
                room = min(PAYLOAD, stream.window - stream.sent, self.max_data - self.data_sent)
                if len(self.unacknowledged) >= self.pace or room <= 0 and stream.pending:
                    break
                part = bytes(stream.pending[:room])
                del stream.pending[:room]
                fin = stream.is_finishing and not stream.pending
                self.send(q.stream(stream.number, stream.sent, part, fin), again=True)
                stream.sent += len(part)
                self.data_sent += len(part)
                stream.is_finished = fin

    # Time.

    def wake(self):
        if self.closed:
            return math.inf
        if not self.is_open:
            return math.inf if self.half_open else self.shaker.get_timer() or math.inf
        return next(iter(self.unacknowledged.values()))[0] + AGAIN_AFTER if self.unacknowledged else math.inf

    def tick(self, now):
        if self.closed:
            return
        if not self.is_open:
            timer = self.shaker.get_timer()
            if timer is not None and timer <= now and not self.half_open:
                self.shaker.handle_timer(now)
                self._shake()
            return
        for number, (sent, _) in list(self.unacknowledged.items()):
            if now - sent < AGAIN_AFTER:
                break
            self._again(number)
        self.flush()

    def _again(self, number):
        self.retransmissions += 1
        self.send(self.unacknowledged.pop(number)[1], again=True)

    # Streams.

    def _stream(self, number):
        if number not in self.streams:
            is_own = number & 1 == (0 if self.is_client else 1)
            shaker = self.shaker
            window = shaker._remote_max_stream_data_bidi_remote if is_own else (
                shaker._remote_max_stream_data_bidi_local)
            self.streams[number] = Stream(self, number, window)
        return self.streams[number]

    def open_raw(self, data=b"", fin=False):
        """A stream without a proposal."""
        self.loop.until(lambda: self.opened < self.max_streams or self.closed, 10, "a stream granted by the peer")
        assert not self.closed, f"the connection ended: {self.closed}"
        number = self.opened << 2 | (0 if self.is_client else 1)
        self.opened += 1
        return self._stream(number).write(data, fin)

    def open(self, protocol, data=b"", fin=False):
        """A stream that proposes `protocol`, with the first data behind the proposal."""
        return self.open_raw(proposal(protocol) + data, fin)

    def ping(self, seconds=5.0):
        """Whether a ping comes back."""
        stream = self.open(PING, bytes(range(32)), fin=True)
        return self.loop.holds(lambda: len(stream.body) >= 32 or self.closed, seconds) and len(stream.body) >= 32

    def serve(self, protocol, handler):
        """Accepts the peer's streams of `protocol`: `handler(stream)` once the proposal is there."""
        self.served[protocol] = handler

    def _answer_proposal(self, stream):
        is_own = stream.number & 1 == (0 if self.is_client else 1)
        if stream.number & 2 or is_own or stream.answered or stream.protocol is None or not self.is_open:
            return
        stream.answered = True
        handler = self.served.get(stream.protocol)
        if handler is None:
            stream.write(proposal("na"), fin=True)
        else:
            stream.write(proposal(stream.protocol))
            handler(stream)

    # The realm.

    def admit(self, realm, seconds=10.0):
        """Proves the realm key; whether the peer proved it too."""
        stream = self.open(ADMISSION, framed(field(1, self.proof(realm, OPENER))), fin=True)
        frames = stream.wait(lambda one: one.frames or one.ended, seconds, "the answer to the admission").frames
        return bool(frames) and fields(frames[0])[1][0] == self.proof(realm, ACCEPTOR)

    @property
    def greeting(self):
        """The early proof, where this side dialled and asked for one; what it is worth, nobody has looked yet."""
        stream = self.streams.get(GREETING)
        return bytes(stream.data) if stream else b""

    def proof(self, realm, role, opened_here=True):
        own, peer = self.identity.node_id, self.node_id
        opener, acceptor = (own, peer) if opened_here else (peer, own)
        return realm.proof(role, self.exporter, opener, acceptor)

    def accept_admission(self, realm):
        """Answers the peer's admission as a member does."""
        self.serve(ADMISSION, lambda stream: stream.write(
            framed(field(1, self.proof(realm, ACCEPTOR, opened_here=False))), fin=True))

    def close(self, code=0, reason=b""):
        if self.is_open and not self.closed:
            self.send(q.close(code, reason))
        self.closed = self.closed or ("here", code, "")

    def abandon(self):
        """Forgets the connection without a word."""
        self.closed = ("abandoned", 0, "")
        if self in self.loop.connections:
            self.loop.connections.remove(self)
        self.link.close()
