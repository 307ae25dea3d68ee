"""Point 17: waiting for a stream has an end."""

from hostile import app


def ends(lab, server, *arguments):
    node = lab.send(server.address, "--timeout", "5s", *arguments)
    assert lab.loop.holds(lambda: node.child.poll() is not None, 30), "waits for a stream for longer than 30 s"
    assert node.wait() != 0


def p17_no_streams_message(lab):
    """A peer that grants no streams."""
    ends(lab, lab.server(streams=0), "-m", "hello")


def p17_no_streams_for_the_file(lab):
    """A member that grants one stream, for the admission, and no other."""
    server = lab.server(streams=1, on_connection=lambda peer: peer.accept_admission(lab.realm))
    ends(lab, server, lab.house.source("file.bin", 1000))


def p17_no_windows(lab):
    """A member that lets next to nothing be sent after the admission."""
    def welcome(peer):
        peer.accept_admission(lab.realm)
        peer.serve(app.MESSAGING, lambda stream: None)

    ends(lab, lab.server(window=200, on_connection=welcome), "-m", "m" * 5000)
