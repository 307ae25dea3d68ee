"""Fifth review: a server that says it has moved (path probe 4), from wherever it likes."""

import time

from hostile import records
from hostile.links import UDPLink
from hostile.node import assert_alive
from hostile.probing import MOVED, Prober

from .p31_paths import LIAR, Sniffer

# Where nothing answers: public, and inside.
PUBLIC = [f"45.50.{number}.9" for number in range(1, 9)]
INSIDE = ["10.77.0.9", "192.168.200.7", "172.20.1.1", "10.77.0.255"]
SECONDS = 6
# Probes of one question (PeerMove), and how many begin in that time.
ASKS, QUESTIONS = 5, SECONDS + 1


def pinged(lab, *arguments):
    """A node that pings a server which answers over QUIC and not to probes: (node, server's connection)."""
    server = lab.server(source=LIAR, on_connection=lambda one: (records.echo(one), records.serve(
        one, records.sealed(one.identity, []))))
    node = lab.run("ping", "-c", "1000", "-i", "200ms", "--listen", "0.0.0.0:0", *arguments, server.address)
    connection = server.wait_connection()
    lab.loop.until(lambda: any(stream.body for stream in connection.streams.values()), 10, "a ping")
    return node, connection


def p54_moves_of_a_liar(lab):
    """Words of moves from third parties' addresses draw a few small datagrams, none of them inside, and the session stays."""
    sniffer = Sniffer()
    victims = [UDPLink(lab.loop, ip, 4001) for ip in PUBLIC]
    node, liar = pinged(lab)
    prober = Prober(liar)
    end, words = time.monotonic() + SECONDS, 0
    inside = UDPLink(lab.loop, "10.77.0.1", 4001)
    while time.monotonic() < end:
        for link in (*victims, inside):
            link.send(prober.packet(MOVED), liar.remote)
            words += 1
        lab.loop.pump(0.05)
    found = {ip: count for ip, count in sniffer.look().items() if ip != LIAR}
    total = sum(count for ip, count in found.items())
    print(f"{words} words: probes {found}")
    assert words and total, "no word was taken: no attack"
    assert set(found) <= set(PUBLIC), f"probes to {set(found) - set(PUBLIC)}"
    assert total <= ASKS * QUESTIONS, f"{total} probes to third parties"
    assert_alive(node)
    assert liar.ping(3) and not liar.closed, f"the session is gone: {liar.closed}"


def p54_words_that_others_repeat(lab):
    """Who has no keys and repeats a word of a move from other addresses leads nobody there."""
    sniffer = Sniffer()
    links = [UDPLink(lab.loop, ip, 4001) for ip in PUBLIC]
    node, server = pinged(lab)
    word = Prober(server).packet(MOVED)
    for link in links:
        link.send(word, server.remote)
        lab.loop.pump(1.3)
    found = {ip: count for ip, count in sniffer.look().items() if ip != LIAR}
    assert found == {PUBLIC[0]: ASKS}, f"probes {found}"
    assert_alive(node)
    assert server.ping(3) and not server.closed, f"the session is gone: {server.closed}"
