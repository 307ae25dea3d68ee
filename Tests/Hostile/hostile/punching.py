"""Hole punching by hand (Sources/Wire/Protos/holepunch.proto)."""

import ipaddress

from .wire import field, fields, framed

PROTOCOL = "/dep2p/sys/holepunch/1.0.0"
OFFER, ANSWER = 1, 2
INTERFACE, OBSERVED = 1, 3


def candidate(ip, port, kind=INTERFACE):
    return field(1, ipaddress.ip_address(ip).packed) + field(2, port) + field(3, kind)


def offer(candidates, mark=b""):
    body = b"".join(field(1, one) for one in candidates) + field(2, mark)
    return framed(field(OFFER, body))


def begin(peer, candidates, mark=b"", seconds=5.0):
    """A round as the connection's client, after whose answer the node probes: (stream, the answer's candidates, its host mark);
    None when refused."""
    stream = peer.open(PROTOCOL, offer(candidates, mark))
    frames = stream.wait(lambda one: one.frames or one.ended, seconds, "an answer to the offer").frames
    if not frames or ANSWER not in (body := fields(frames[0])):
        return None
    answer = fields(body[ANSWER][0])
    found = [(str(ipaddress.ip_address(one[1][0])), one[2][0]) for one in map(fields, answer.get(1, []))]
    return stream, found, answer.get(2, [b""])[0]
