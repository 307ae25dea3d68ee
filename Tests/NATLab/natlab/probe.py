"""What a network does with UDP, seen from inside: the self-test's instrument. Run in a host's namespace:

    probe.py ANY A PORT1 PORT2 B

ANY is the wildcard address of the family; A and B are two observers, each on both ports. Prints one JSON object:
udp, mapping, filtering, hairpin, translated, mapped. The method is RFC 5780's, with RESPONSE-PORT from observers that
the tested socket never wrote to.
"""

import json
import select
import socket
import sys
import time

try:
    from . import nat, stun
except ImportError:
    import nat
    import stun

TRIES = 4
WAIT = 0.25


def ask(sender, observer, receiver=None, response_port=None):
    """The external address of `sender` as `observer` tells it to `receiver`; None when nothing comes."""
    receiver = receiver or sender
    for _ in range(TRIES):
        identifier, datagram = stun.request(response_port)
        try:
            sender.sendto(datagram, observer)
        except OSError:
            return None
        end = time.monotonic() + WAIT
        while (left := end - time.monotonic()) > 0:
            if not select.select([receiver], [], [], left)[0]:
                break
            try:
                found = stun.mapped(receiver.recvfrom(2048)[0])
            except OSError:
                continue
            if found and found[0] == identifier:
                return found[1]
    return None


def mapping(socket_, observers):
    """RFC 5780 section 4.3 with observers A:1, A:2, B:1."""
    seen = [ask(socket_, observer) for observer in observers]
    if None in seen:
        return None
    if seen[0] != seen[1]:
        return nat.PORT
    return nat.INDEPENDENT if seen[0] == seen[2] else nat.ADDRESS


def filtering(any_address, first_port, second_port, other):
    """RFC 5780 section 4.4: who gets through to a socket that wrote to `first_port` only."""
    tested, helper = stun.udp(any_address), stun.udp(any_address)
    own = ask(tested, first_port)
    if own is None or ask(helper, other) is None or ask(helper, second_port) is None:
        return None
    if ask(helper, other, tested, own[1]):
        return nat.INDEPENDENT
    return nat.ADDRESS if ask(helper, second_port, tested, own[1]) else nat.PORT


def hairpin(any_address, observer):
    """Whether two sockets here reach each other's external address; both write, so that filtering lets them."""
    left, right = stun.udp(any_address), stun.udp(any_address)
    external = {left: ask(left, observer), right: ask(right, observer)}
    if None in external.values():
        return None
    for _ in range(TRIES):
        left.sendto(b"hairpin", external[right])
        right.sendto(b"hairpin", external[left])
        time.sleep(WAIT / 2)
        for socket_ in (left, right):
            try:
                if socket_.recvfrom(2048)[0] == b"hairpin":
                    return True
            except OSError:
                pass
    return False


def own_address(observer):
    with socket.socket(socket.AF_INET6 if ":" in observer[0] else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(observer)
        return probe.getsockname()[0]


def main():
    any_address, first, port1, port2, second = sys.argv[1:6]
    observers = [(first, int(port1)), (first, int(port2)), (second, int(port1))]
    try:
        local = own_address(observers[0])
        mapped = ask(stun.udp(any_address), observers[0])
    except OSError:
        mapped = local = None
    result = {"udp": mapped is not None}
    if mapped:
        result |= {
            "mapped": mapped[0], "translated": mapped[0] != local,
            "mapping": mapping(stun.udp(any_address), observers),
            "filtering": filtering(any_address, *observers), "hairpin": hairpin(any_address, observers[0]),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
