"""Relays: over TCP, killed and back, taken over by another, stopped and told; a daemon's manners."""

import os
import signal
import socket
import time

from nodes import OK, TRY_AGAIN, assert_same, port_of

# How long a node may take to have a reservation again, and to move to another relay.
SOON = 15
TAKEOVER = 5


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Relay:
    """A relay with an identity and a port of its own, which may come back after its end."""

    def __init__(self, house, name, *options):
        self.house, self.name, self.options, self.port = house, name, options, free_port()
        self.start()

    def start(self):
        self.node = self.house.start(f"relay-{self.name}", "relay", "--public", "--listen", f"127.0.0.1:{self.port}",
                                     *self.options)
        self.addresses = self.node.until("listening")["addresses"]
        return self.node

    @property
    def address(self):
        return self.addresses[0]

    def granted(self, timeout=SOON):
        """Waits for a reservation."""
        while True:
            if self.node.until("reservation", timeout)["state"] == "granted":
                return

    def kill(self):
        self.node.kill(signal.SIGKILL)
        self.node.wait()


def reachable(house, *relays):
    """A listener behind relays, and what to give to send: its own address is left out."""
    options = [word for relay in relays for word in ("--relay", relay)]
    node = house.start("receiver", "listen", "--realm-key", house.realm_key, "--listen", "127.0.0.1:0", "-o",
                       house.inbox, *options)
    return node, node.until("listening")


def says(node, text):
    """Waits until a node has written something on stderr."""
    deadline = time.monotonic() + TAKEOVER
    while text not in node.text():
        assert time.monotonic() < deadline, node.text()
        time.sleep(0.01)


def send_through(house, target, relays, *arguments):
    options = [word for relay in relays for word in ("--relay", relay)]
    sender = house.send(target, "--no-direct", *options, *arguments)
    status = sender.wait()
    assert status == OK, f"send ended with {status}: {sender.text()}"
    result = sender.result()
    assert result["path"].startswith("relay("), result
    return result


def over_tcp(relay):
    return next(address for address in relay.addresses if "/tcp/" in address)


def everything_goes_over_a_relays_tcp(house):
    relay = Relay(house, "one", "--tcp-listen", "127.0.0.1:0")
    tcp = over_tcp(relay)
    listener, listening = reachable(house, tcp)
    assert any(tcp + "/p2p-circuit/" in address for address in listening["addresses"]), listening
    source = house.source("carried.bin", 3_000_000)
    send_through(house, listening["node_id"], [tcp], source)
    assert_same(source, house.inbox / source.name)
    # One side over TCP, the other over UDP.
    send_through(house, listening["node_id"], [relay.address], "-m", "from UDP to TCP")
    ping = house.start("sender", "ping", "--no-direct", "--relay", tcp, "-c", "3", "-i", "10ms", listening["node_id"])
    assert ping.wait() == OK, ping.text()
    assert ping.result()["received"] == 3


def a_relay_that_was_killed_is_reserved_with_again(house):
    relay = Relay(house, "one")
    _, listening = reachable(house, relay.address)
    send_through(house, listening["node_id"], [relay.address], "-m", "before")
    for _ in range(2):
        before = relay.address
        relay.kill()
        relay.start()
        assert relay.address == before
        relay.granted()
        send_through(house, listening["node_id"], [relay.address], "-m", "after")


def the_same_over_tcp(house):
    port = free_port()
    relay = Relay(house, "one", "--tcp-listen", f"127.0.0.1:{port}")
    _, listening = reachable(house, over_tcp(relay))
    relay.kill()
    relay.start()
    relay.granted()
    send_through(house, listening["node_id"], [over_tcp(relay)], "-m", "after")


def another_relay_takes_over(house):
    relays = [Relay(house, str(number)) for number in range(3)]
    _, listening = reachable(house, *[relay.address for relay in relays])
    # Two reservations stand; the third relay is asked when one of them dies.
    relays[0].granted()
    relays[1].granted()
    relays[0].kill()
    died = time.monotonic()
    relays[2].granted(TAKEOVER)
    assert time.monotonic() - died <= TAKEOVER
    send_through(house, listening["node_id"], [relays[2].address], "-m", "through the third")
    send_through(house, listening["node_id"], [relays[1].address], "-m", "through the second")


def a_relay_that_stops_tells_its_clients(house):
    relay = Relay(house, "one")
    listener, listening = reachable(house, relay.address)
    sender = house.send(listening["node_id"], "--no-direct", "--relay", relay.address, "--timeout", "5s", "-",
                        stdin=os.fdopen(os.pipe()[0]))
    while relay.node.until("circuit")["state"] != "opened":
        pass
    relay.node.kill(signal.SIGTERM)
    assert relay.node.wait() == OK, relay.node.text()
    closed = [event for event in relay.node.seen if event["type"] == "circuit" and event["state"] == "closed"]
    assert closed and closed[0]["reason"] == "the relay is stopping", closed
    assert "reservations" in relay.node.result()
    # It may come back, so what is under way is not given up at once; and this one does not.
    status = sender.wait()
    assert status == TRY_AGAIN, status
    assert "the relay is stopping" in sender.text(), (status, sender.text())
    says(listener, "lost the relay")


class ServiceManager:
    """The socket that a service manager gives in NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(SOON)

    def next(self):
        return self.socket.recv(4096).decode().split("\n")


def a_relay_speaks_to_its_service_manager(house):
    manager = ServiceManager(house.folder / "notify")
    config = house.folder / "config"
    config.write_text("max-circuits = 7\n")
    environment = house.environment
    house.environment = lambda home, finds=False: environment(home, finds) | {"NOTIFY_SOCKET": manager.path}
    try:
        relay = Relay(house, "one", "--config", config)
    finally:
        house.environment = environment
    ready = manager.next()
    assert ready[0] == "READY=1" and ready[1].startswith("STATUS="), ready
    # Ready means that the socket is bound: STUN answers at once.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stun:
        stun.settimeout(SOON)
        stun.sendto(bytes.fromhex("00010000 2112a442") + os.urandom(12), ("127.0.0.1", port_of(relay.address)))
        assert stun.recv(200)[:2] == b"\x01\x01"
    relay.node.kill(signal.SIGUSR1)
    statistics = relay.node.until("stats")
    assert statistics["reservations"] == 0 and statistics["circuits"] == 0, statistics
    relay.node.kill(signal.SIGHUP)
    reloading = manager.next()
    assert reloading[0] == "RELOADING=1" and reloading[1].startswith("MONOTONIC_USEC="), reloading
    assert manager.next() == ["READY=1"]
    says(relay.node, "the configuration is read anew")
    # A mistake in the file leaves things as they are.
    config.write_text("max-circuits = none\n")
    relay.node.kill(signal.SIGHUP)
    assert manager.next()[0] == "RELOADING=1" and manager.next() == ["READY=1"]
    says(relay.node, "stays as it was")
    relay.node.kill(signal.SIGTERM)
    assert manager.next() == ["STOPPING=1"]
    assert relay.node.wait() == OK


def limits_read_anew_hold(house):
    config = house.folder / "config"
    config.write_text("max-requests = 1\n")
    relay = Relay(house, "one", "--config", config)
    _, listening = reachable(house, relay.address)
    sender = house.send(listening["node_id"], "--no-direct", "--relay", relay.address, "-m", "one")
    assert sender.wait() == OK, sender.text()
    refused = house.send(listening["node_id"], "--no-direct", "--relay", relay.address, "-m", "two")
    assert refused.wait() == TRY_AGAIN and "--max-requests" in refused.text(), refused.text()
    config.write_text("max-requests = 100\n")
    relay.node.kill(signal.SIGHUP)
    says(relay.node, "read anew")
    stranger = house.send(listening["node_id"], "--no-direct", "--relay", relay.address, "-m", "three", home="other")
    assert stranger.wait() == OK, stranger.text()


TESTS = [
    everything_goes_over_a_relays_tcp, a_relay_that_was_killed_is_reserved_with_again, the_same_over_tcp,
    another_relay_takes_over, a_relay_that_stops_tells_its_clients, a_relay_speaks_to_its_service_manager,
    limits_read_anew_hold,
]
