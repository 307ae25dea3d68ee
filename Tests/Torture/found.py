"""Nodes that know of each other a NodeID and one bootstrap node: whole processes on loopback (issue 11)."""

import signal
import statistics

from nodes import OK, TRY_AGAIN, UNAVAILABLE, UNKNOWN

NODES = 64
LOOKUPS = 24
# Nobody is there: the address is one that loopback has and no socket.
DEAD = "/ip4/127.0.0.1/udp/9/quic-v1/p2p/"


def told(house, home, command, *arguments):
    """The result of one command, and how long its lookup took, where it made one."""
    node = house.start(home, command, *arguments)
    node.wait()
    queries = [event["elapsed_ms"] for event in node.seen if event["type"] == "query"]
    return dict(node.result(), elapsed_ms=sum(queries))


def bootstrap_server(house):
    server = house.start("bootstrap", "start", "--bootstrap-server", "--listen", "127.0.0.1:0")
    return server, server.until("listening")["addresses"][0]


def is_heard_of(house, address, name, *realm):
    """Waits until a node that listens has told others so: that is under way when it says that it listens."""
    for _ in range(100):
        found = told(house, "asker", "dht-find", "--ephemeral", "--bootstrap", address, *realm, name)
        if found["exit"] != UNKNOWN:
            return found
    raise AssertionError(f"nobody hears of {name}: {found}")


def any_of_many_finds_any_other(house):
    server, address = bootstrap_server(house)
    nodes = [house.start(f"node{number}", "start", "--ephemeral", "--bootstrap", address, "--listen", "127.0.0.1:0")
             for number in range(NODES)]
    names = [node.until("listening")["node_id"] for node in nodes]
    chosen = house.random.sample(names, LOOKUPS)
    for name in chosen:
        is_heard_of(house, address, name)
    elapsed = []
    for name in chosen:
        found = told(house, "asker", "dht-find", "--ephemeral", "--bootstrap", address, name)
        assert found["exit"] == OK and found["addresses"][0].endswith(name), found
        reply = told(house, "asker", "ping", "--ephemeral", "-c", "1", "--bootstrap", address, name)
        assert reply["exit"] == OK and reply["node_id"] == name, reply
        elapsed.append(found["elapsed_ms"])
    print(f"{LOOKUPS} of {NODES} found; the lookup took {statistics.median(elapsed):.0f} ms at the median, "
          f"{max(elapsed):.0f} ms at most")


def dead_bootstrap_nodes_are_told_of(house):
    server, address = bootstrap_server(house)
    stranger = told(house, "stranger", "keygen", "-o", house.folder / "stranger.pem")["node_id"]
    dead = [argument for _ in range(3) for argument in ("--bootstrap", DEAD + key(house))]
    failed = told(house, "asker", "ping", *dead, stranger)
    assert failed["exit"] == UNKNOWN, failed
    report = [source for source in failed["sources"] if source["source"] == "dht"]
    assert report[0]["detail"] == "0 of 3 bootstrap nodes answered", failed
    nobody = told(house, "asker", "dht-find", *dead, stranger)
    assert nobody["exit"] == UNAVAILABLE and nobody["answered"] == 0 and nobody["queried"] == 3, nobody
    # Beside the dead ones, one that lives is enough to know that nobody knows.
    unknown = told(house, "asker", "dht-find", *dead, "--bootstrap", address, stranger)
    assert unknown["exit"] == UNKNOWN and unknown["answered"] == 1, unknown


def key(house):
    house.keys = getattr(house, "keys", 0) + 1
    return told(house, "keys", "keygen", "-o", house.folder / f"dead{house.keys}.pem")["node_id"]


def a_relay_is_a_bootstrap_node_too(house):
    relay = house.start("relay", "relay", "--listen", "127.0.0.1:0")
    address = relay.until("listening")["addresses"][0]
    listener = house.start("listener", "listen", "--realm-key", house.realm_key, "-o", house.inbox, "--bootstrap",
                           address, "--listen", "0.0.0.0:0", "--once")
    name = listener.until("listening")["node_id"]
    file = house.folder / "file"
    file.write_bytes(house.random.randbytes(100_000))
    assert is_heard_of(house, address, name, "--realm-key", house.realm_key)["realm_record"]
    sent = told(house, "sender", "send", "--realm-key", house.realm_key, "--bootstrap", address, "--to", name, file)
    assert sent["exit"] == OK, sent
    listener.wait()
    assert (house.inbox / "file").read_bytes() == file.read_bytes()


def the_only_bootstrap_node_restarts(house):
    """Nobody publishes again at once: what the node has kept for others is there in its next run."""
    server, address = bootstrap_server(house)
    known = ["--realm-key", house.realm_key, "--bootstrap", address]
    listener = house.start("listener", "listen", *known, "--listen", "0.0.0.0:0", "-o", house.inbox)
    name = listener.until("listening")["node_id"]
    assert is_heard_of(house, address, name, "--realm-key", house.realm_key)["realm_record"]
    server.kill(signal.SIGTERM)
    assert server.wait() == OK, server.text()
    port = address.split("/")[4]
    server = house.start("bootstrap", "start", "--bootstrap-server", "--listen", f"127.0.0.1:{port}")
    assert server.until("listening")["addresses"][0] == address
    sent = told(house, "sender", "send", "--ephemeral", *known, "--to", name, "-m", "hello")
    assert sent["exit"] == OK, sent
    assert listener.until("message")["text"] == "hello"


def members_meet_that_know_the_realm_key_and_one_bootstrap_node(house):
    """Nobody names anybody: two subscribers and a publisher, each with the address of a node outside the realm."""
    server, address = bootstrap_server(house)
    known = ["--realm-key", house.realm_key, "--bootstrap", address]
    here = ["--ephemeral", "--listen", "0.0.0.0:0"]
    nodes = [house.start(f"subscriber-{number}", "subscribe", *known, *here, "alerts") for number in range(2)]
    names = {node.until("listening")["node_id"] for node in nodes}
    sender = house.start("publisher", "publish", *known, *here, "--wait-peers", "2", "alerts", "disk full")
    assert sender.wait() == OK, sender.text()
    for node in nodes:
        event = node.until("message")
        assert event["text"] == "disk full" and event["from"] == sender.seen[0]["node_id"], event
    assert len(names) == 2
    # By its NodeID alone each is found too, by the realm's record of it.
    listener = house.start("listener", "listen", *known, *here, "-o", house.inbox)
    name = listener.until("listening")["node_id"]
    assert is_heard_of(house, address, name, "--realm-key", house.realm_key)["realm_record"]
    sent = told(house, "sender", "send", "--ephemeral", *known, "--to", name, "-m", "hello")
    assert sent["exit"] == OK, sent
    assert listener.until("message")["text"] == "hello"
    other = house.folder / "other.key"
    assert house.run("realm-key", "-o", other).returncode == OK
    stranger = told(house, "stranger", "publish", "--realm-key", other, "--bootstrap", address, *here, "--timeout", "3s",
                    "alerts", "hello")
    assert stranger["exit"] == TRY_AGAIN, stranger


TESTS = [any_of_many_finds_any_other, dead_bootstrap_nodes_are_told_of, a_relay_is_a_bootstrap_node_too,
         the_only_bootstrap_node_restarts, members_meet_that_know_the_realm_key_and_one_bootstrap_node]
