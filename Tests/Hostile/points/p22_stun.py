"""Point 22: STUN is no amplifier."""

import os

from hostile.links import UDPLink
from hostile.wire import endpoint


def p22_stun_is_no_amplifier(lab):
    """The shortest request there is."""
    node = lab.listen()
    link, got = UDPLink(lab.loop, "127.0.0.2"), []

    class Owner:
        receive = staticmethod(lambda data, address: got.append(data))
        settle = staticmethod(lambda: None)

    link.owner = Owner
    request = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + os.urandom(12)
    for _ in range(5):
        link.send(request, endpoint(node.address)[:2])
    lab.loop.pump(0.5)
    largest = max(map(len, got), default=0)
    assert largest <= 32, f"{len(request)} bytes are answered with {largest}"
