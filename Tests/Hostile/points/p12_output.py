"""Points 12 and 19: standard output that nobody reads, and what messages look like there."""

import os
import select
import subprocess
import time

from hostile import app
from hostile.node import assert_alive, port_of
from hostile.wire import field, fields


def p12_output_that_nobody_reads(lab):
    """A full pipe stops neither answers nor keep-alives."""
    read, write = os.pipe()
    quiet = start(lab, write, "--json")
    member = lab.member(quiet.address)
    for _ in range(120):
        app.message(member, b"x" * 2000)
    lab.loop.pump(2)
    assert quiet.poll() is None, "the node has ended"
    assert lab.client(quiet.address).ping(), "no answer: the network thread waits for a reader"
    quiet.kill()
    quiet.wait()
    os.close(read)


def p12_transfers_that_nobody_reads_of(lab):
    """Where what was received is not read, nothing more is received: each file would be told of, and kept until then."""
    read, write = os.pipe()
    quiet = start(lab, write, "--json")
    member = lab.member(quiet.address)
    app.message(member, b"x" * (2 << 20)).wait(lambda one: one.ended, 20, "a receipt")
    stream = member.open(app.TRANSFER, app.offer([app.entry("file", 5)], total=5))
    stream.wait_frames(1)
    refused = fields(stream.frames[0]).get(app.REFUSE)
    quiet.kill()
    quiet.wait()
    os.close(read)
    assert refused and fields(refused[0])[1][0] == app.TOO_MUCH, "a transfer was taken"


def p12_large_messages_let_others_through(lab):
    """What a large message looks like is found out beside the network thread: others are answered meanwhile."""
    node = lab.listen()
    member, other = lab.member(node, pace=256), lab.member(node, source="127.0.0.9")
    body = b"\x01" * (4 << 20)
    stream = member.open(app.MESSAGING, app.request(len(body)) + body[1:])
    lab.loop.until(lambda: not stream.pending and not member.unacknowledged, 40, "the message")
    lab.loop.pump(0.5)
    began = time.monotonic()
    stream.write(body[:1], fin=True)
    trips = []
    while not stream.ended and time.monotonic() - began < 40:
        before = time.monotonic()
        assert other.ping(40), "no answer to a ping"
        trips.append(time.monotonic() - before)
    total = time.monotonic() - began
    assert stream.ended, "the message was not taken"
    assert max(trips) < total / 2, f"of {total:.2f} s that a message took, others waited {max(trips):.2f} s at once"


def p12_standard_output_outlives_a_sender(lab):
    """Without --once a transfer that breaks off ends itself and not the listener."""
    read, write = os.pipe()
    child = start(lab, write, "--stdout", folder=False)
    member = lab.member(child.address)
    stream = member.open(app.TRANSFER, app.offer([app.entry("file", 5)], total=5))
    stream.wait_frames(1)
    stream.write(app.start(0) + app.data(b"x"))
    lab.loop.until(lambda: select.select([read], [], [], 0)[0], 10, "the first byte")
    stream.write(app.sender_frame(app.CANCEL, field(1, 6)), fin=True)
    lab.loop.pump(1.5)
    status = child.poll()
    child.kill()
    child.wait()
    os.close(read)
    assert status is None, f"the listener has ended with {status}"


def start(lab, write, *options, folder=True):
    """A listener whose standard output is `write`; its address is that of a first one, which is gone."""
    first = lab.listen()
    port, node_id = port_of(first.address), first.address.rsplit("/", 1)[1]
    first.kill()
    first.wait()
    child = subprocess.Popen(
        [lab.house.binary, "listen", *options, "--realm-key", lab.house.realm_key, "--no-port-mapping", "--listen",
         f"127.0.0.1:{port}", *(["-o", lab.house.inbox] if folder else [])], env=lab.house.environment("receiver"), stdout=write,
        stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    os.close(write)
    child.address = f"/ip4/127.0.0.1/udp/{port}/quic-v1/p2p/{node_id}"
    lab.loop.until(lambda: answers(lab, child.address), 10, "the listener")
    return child


def answers(lab, address):
    peer = lab.client(address, wait=False)
    is_there = lab.loop.holds(lambda: peer.is_open, 0.5)
    peer.close()
    peer.abandon()
    return is_there


def p19_lines_of_messages(lab):
    """A line feed in a message makes no line of another sender's; escapes do not reach the terminal."""
    read, write = os.pipe()
    child = start(lab, write)
    member = lab.member(child.address)
    forged = "12D3KooWDkCcLvgprCy4FwcU9Tt9MHrNXV4cHJFx2mAw11yipXjA: send all keys"
    for line_end in ("\n", "\r", "\r\n", "\x85", "\u2028", "\x0b"):
        app.message(member, f"hello{line_end}{forged}".encode()).wait(lambda one: one.ended, 10, "a receipt")
    app.message(member, b"\x1b]0;owned\x07\x9b31m\xe2\x80\xae").wait(lambda one: one.ended, 10, "a receipt")
    child.kill()
    child.wait()
    with os.fdopen(read, "rb") as file:
        written = file.read()
    shown = written.decode(errors="replace").splitlines()
    assert not any(line.startswith(forged[:20]) for line in shown), f"a message wrote another sender's line: {shown}"
    assert not any(byte in written for byte in b"\x1b\x07\x9b\r"), f"control characters reach the terminal: {written}"


def p19_names_that_would_be_ours(lab):
    """A name that becomes one of a receiver's own only by being written out."""
    node = lab.listen()
    member = lab.member(node)
    mark = ".dep2p-partial-0123456789abcdef"
    # Six bytes more when it is written out, and as many are cut off behind the mark.
    name = (".\u00ad" + "p" * 215 + mark + "y" * 6)
    stream = member.open(app.TRANSFER, app.offer([app.entry(["folder", name], 1)], total=1))
    stream.wait_frames(1)
    assert app.deliver(stream, b"x"), "the file was not taken"
    found = [path.name for path in (lab.house.inbox / "folder").iterdir()]
    assert len(found) == 1 and not found[0].endswith(mark), f"a sender has made one of our own files: {found}"


def p19_names_of_files(lab):
    """Names that hide, imitate options or leave the folder."""
    node = lab.listen()
    member = lab.member(node)
    names = ["..", ".", "", "/etc/passwd", "a/b", "nul\0", "\u200b", "\u202egpj.exe", "-rf", ".bashrc", " ", "\n",
             ["..", "up"], ["ok", "", "x"], "con", "a\x1b[2Jb", "\ufeff", "\u2066x"]
    for name in names:
        stream = member.open(app.TRANSFER, app.offer([app.entry(name, 0)], total=0))
        stream.wait(lambda one: one.frames or one.ended, 10, "an answer")
        if stream.frames and not stream.ended:
            app.deliver(stream, b"")
        assert_alive(node)
    lab.loop.pump(0.3)
    assert not (lab.house.inbox.parent / "up").exists(), "a file left the folder"
    found = [path.name for path in lab.house.inbox.rglob("*") if not path.name.startswith(".")]
    assert all(name.isprintable() and name.strip() for name in found), f"names that nobody sees: {found}"
