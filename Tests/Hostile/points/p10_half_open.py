"""Point 10: half-open handshakes of one IPv6 /64 block nobody else."""

from hostile.ends import Client
from hostile.identity import Identity
from hostile.links import TCPLink

ATTACKER, FRIEND = "fd42:7:0:1::", "fd42:7:0:2::1"


def p10_half_open_quic(lab):
    """520 addresses of one /64 begin handshakes and end none."""
    node, identity = lab.listen(ip="[::1]"), Identity()
    for number in range(1, 521):
        lab.client(node, identity, source=f"{ATTACKER}{number:x}", wait=False, half_open=True)
        if number % 20 == 0:
            lab.loop.pump(0.01)
    lab.loop.pump(0.3)
    friend = lab.client(node, source=FRIEND, wait=False)
    assert lab.loop.holds(lambda: friend.is_open, 5), "a handshake from another network is not answered"
    assert friend.ping()


def p10_half_open_tls(lab):
    """260 of them connect by TCP and say nothing."""
    relay = lab.relay("--public", "--tcp-listen", "[::1]:0")
    tcp = next(address for address in relay.addresses if "/tcp/" in address)
    port = int(tcp.split("/")[4])
    silent = [TCPLink(lab.loop, ("::1", port), f"{ATTACKER}{number:x}", handshake=False) for number in range(1, 261)]
    lab.loop.pump(0.5)
    try:
        link = TCPLink(lab.loop, ("::1", port), FRIEND)
    except OSError as failure:
        raise AssertionError(f"a connection from another network gets no TLS: {failure}") from failure
    assert Client(lab.loop, relay.address, link=link).ping()
    assert silent
