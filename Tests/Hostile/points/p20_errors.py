"""Point 20: nothing of the inside goes to the peer."""

from hostile import app
from hostile.wire import fields


def p20_no_internal_errors(lab):
    """What a handler fails with stays in the node."""
    node = lab.listen("--once")
    member = lab.member(node)
    # The one place is taken by a transfer that was accepted and does not go on.
    transfer = member.open(app.TRANSFER, app.offer([app.entry("file", 10)], total=10))
    transfer.wait_frames(1)
    reply = fields(app.message(member, b"hello").wait_frames(1)[0])
    assert not (reply[1][0] == app.HANDLER_FAILED and 3 in reply), f"the peer is told: {reply[3][0].decode()}"
