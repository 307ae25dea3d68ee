"""Fifth review: what peers write into a node's log."""

import json
import re

from hostile import app, records
from hostile.wire import field, framed, multiaddr, proposal

# Lines, colours, quotes and fields that are none, what reorders text, what is no text, and names that a log has itself.
WORDS = ('x"\ndep2p: error: all keys are lost node="you\r\x1b[31m\x9b31m\u2028\u202e\u200b\\" level=error message="{}\x00',
         "\\", '"',
         '","level":"error","message":"all is lost', "\ud800".encode("utf-8", "surrogatepass"), b"\xff\xfe\x1b[2J")
ACTS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


def talk(lab, node, word):
    """Everything that a peer can say of itself and of what it wants, ended with a reason of the same words."""
    raw = word if isinstance(word, bytes) else word.encode("utf-8", "surrogatepass")
    for is_member in (False, True):
        peer = (lab.member if is_member else lab.client)(node)
        records.push(peer, records.sealed(peer.identity, [multiaddr("45.12.7.9", 1), raw]), protocols=[raw, b"/a" + raw],
                     agent=raw)
        peer.open_raw(proposal("na").replace(b"na", raw[:40]), fin=True)
        peer.open_raw(b"\x13/multistream/1.0.0\n" + bytes([len(raw) % 100 + 1]) + raw[:99] + b"\n", fin=True)
        peer.open(app.MESSAGING, framed(field(1, raw) + field(2, 3)) + b"abc", fin=True)
        peer.open(app.TRANSFER, app.offer([app.entry(raw, 5)], total=5)).write(app.sender_frame(app.FAILED, field(1, raw)))
        lab.loop.pump(0.3)
        peer.close(7, raw[:200])
        lab.loop.pump(0.2)
        peer.abandon()


def p55_lines_of_a_log(lab):
    """Whatever peers say, a line is a line, an object is an object, and nothing acts on a terminal."""
    for form in ("text", "json"):
        node = lab.listen("-vv", "--log-format", form, home=f"receiver-{form}")
        for word in WORDS:
            talk(lab, node, word)
        node.child.terminate()
        lab.finished(node, 20)
        told = node.errors.decode()
        assert told.count("\n") > 4 * len(WORDS), "hardly anything was told: no attack"
        for line in told.splitlines(keepends=False) if form == "json" else told.split("\n")[:-1]:
            assert not ACTS.search(line), f"acts on a terminal: {line!r}"
            if form == "text":
                assert line.startswith("dep2p: "), f"a line of its own: {line!r}"
                assert not line.startswith("dep2p: error: all"), f"a forged line: {line!r}"
            else:
                entry = json.loads(line, object_pairs_hook=lambda pairs: pairs)
                names = [name for name, _ in entry]
                assert names[:3] == ["time", "level", "message"] and len(set(names)) == len(names), line
                assert dict(entry)["level"] != "error", line
