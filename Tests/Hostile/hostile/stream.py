"""One stream of a hostile connection, either side's."""

from . import quic_frames as q
from .wire import read_varint, unframed


class Stream:
    """`data` is what arrived in order; `body` the same behind the two lines of multistream-select."""

    def __init__(self, connection, number, window):
        self.connection, self.number = connection, number
        self.data, self.pieces, self.size = bytearray(), {}, None
        self.reset_code = self.stop_code = None
        self.sent, self.window, self.pending = 0, window, bytearray()
        self.is_finishing = self.is_finished = False
        self.answered = False
        # Called with the stream whenever data or its end has arrived.
        self.on_data = None

    # What arrives.

    def take(self, offset, data, fin):
        if fin:
            self.size = offset + len(data)
        if offset > len(self.data):
            self.pieces[offset] = max(self.pieces.get(offset, b""), data, key=len)
            return
        self.data += data[len(self.data) - offset:]
        while self.pieces:
            first = min(self.pieces)
            if first > len(self.data):
                break
            piece = self.pieces.pop(first)
            self.data += piece[len(self.data) - first:]

    @property
    def ended(self):
        """Whether everything has arrived, or the other side gave the stream up."""
        return self.reset_code is not None or self.size is not None and len(self.data) >= self.size

    def lines(self):
        """(the lines of multistream-select that are there, at most two; where they end)."""
        found, at = [], 0
        while len(found) < 2 and (head := read_varint(self.data, at)) and head[1] + head[0] <= len(self.data):
            found.append(self.data[head[1]:head[1] + head[0]].decode(errors="replace").rstrip("\n"))
            at = head[0] + head[1]
        return found, at

    @property
    def body(self):
        found, at = self.lines()
        return bytes(self.data[at:]) if len(found) == 2 else b""

    @property
    def protocol(self):
        """What the peer proposed, or agreed to; `na` where it refused."""
        found, _ = self.lines()
        return found[1] if len(found) == 2 else None

    @property
    def frames(self):
        return unframed(self.body)

    def wait(self, condition, seconds=10.0, what="the answer"):
        self.connection.loop.until(lambda: condition(self) or self.connection.closed, seconds, what)
        assert condition(self), f"{what}: the connection ended: {self.connection.closed}"
        return self

    def wait_frames(self, count=1, seconds=10.0):
        """The first frames of the body."""
        return self.wait(lambda stream: len(stream.frames) >= count or stream.ended, seconds, "a frame").frames

    # What is sent.

    def write(self, data, fin=False):
        """Sends as far as the peer's windows and this side's pace allow, the rest later."""
        self.pending += data
        self.is_finishing = self.is_finishing or fin
        self.connection.flush()
        return self

    def finish(self):
        return self.write(b"", fin=True)

    def reset(self, code=0):
        self.pending, self.is_finished = bytearray(), True
        self.connection.send(q.frame(q.RESET, self.number, code, self.sent), again=True)
        return self

    def stop(self, code=0):
        """STOP_SENDING."""
        self.connection.send(q.frame(q.STOP, self.number, code), again=True)
        return self
