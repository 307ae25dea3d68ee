"""Points 18 and 25: what hole punching does for a stranger, and tells him."""

import ipaddress

from hostile import punching
from hostile.links import UDPLink
from hostile.wire import fields

# This machine's address on the network outside, where strangers are.
PUBLIC = "45.12.7.1"


def is_private(ip):
    ip = ipaddress.ip_address(ip)
    return ip.is_private and not ip.is_loopback


def p18_echoed_host_mark(lab):
    """A stranger gives the node's own mark back to it, and loopback addresses as his."""
    node = lab.listen()
    peer = lab.client(node, source="127.0.0.2")
    victim = UDPLink(lab.loop)
    marks = [bytes(16)]
    for _ in range(3):
        answer = punching.begin(peer, [punching.candidate("127.0.0.1", victim.address[1])], marks[-1])
        if answer is None:
            break
        stream, _, mark = answer
        marks.append(mark)
        punching.start(stream)
        lab.loop.pump(0.7)
        stream.finish()
        lab.loop.pump(0.2)
    assert victim.received_bytes == 0, f"{victim.received_bytes} bytes of probes to a port of this machine"


def p25_identify_to_strangers(lab):
    """Identify tells a stranger on the public network no private address."""
    node = lab.listen(ip="0.0.0.0")
    peer = lab.client(public(node), source=PUBLIC)
    message = peer.open("/ipfs/id/1.0.0", fin=True).wait_frames(1)[0]
    told = [text(raw) for raw in fields(message).get(2, [])]
    record = fields(fields(fields(message)[8][0])[3][0])
    told += [text(fields(one)[1][0]) for one in record.get(3, [])]
    found = sorted({ip for ip in told if ip and is_private(ip)})
    assert not found, f"a stranger learns {found}"


def p25_punching_with_strangers(lab):
    """Nor does an answer to his offer."""
    node = lab.listen(ip="0.0.0.0")
    peer = lab.client(public(node), source=PUBLIC)
    answer = punching.begin(peer, [punching.candidate(PUBLIC, 4001, punching.OBSERVED)])
    found = sorted({ip for ip, _ in answer[1] if is_private(ip)}) if answer else []
    assert not found, f"a stranger learns {found}"


def public(node):
    """The node's address on the network outside."""
    parts = node.address.split("/")
    parts[2] = PUBLIC
    return "/".join(parts)


def text(raw):
    """The IP of a multiaddr in binary."""
    if raw[:1] == b"\x04":
        return str(ipaddress.ip_address(raw[1:5]))
    return str(ipaddress.ip_address(raw[1:17])) if raw[:1] == b"\x29" else None
