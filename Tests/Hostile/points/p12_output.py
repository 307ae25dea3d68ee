"""Points 12 and 19: standard output that nobody reads, and what messages look like there."""

import os
import subprocess

from hostile import app
from hostile.node import assert_alive, port_of


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


def start(lab, write, *options):
    """A listener whose standard output is `write`; its address is that of a first one, which is gone."""
    first = lab.listen()
    port, node_id = port_of(first.address), first.address.rsplit("/", 1)[1]
    first.kill()
    first.wait()
    child = subprocess.Popen(
        [lab.house.binary, "listen", *options, "--realm-key", lab.house.realm_key, "--no-port-mapping", "--listen",
         f"127.0.0.1:{port}", "-o", lab.house.inbox], env=lab.house.environment("receiver"), stdout=write,
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
