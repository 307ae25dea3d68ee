"""Networks that change under a connection, in namespaces (issue 10.7): it goes on, whoever's address is another one."""

import time

from nodes import PATIENCE
from online import Cable

# A connection over which nothing comes has ended by then.
GOES_ON = 12


class Pair:
    """A node that listens at all addresses, and another that pings it, over a cable."""

    def __init__(self, house, *options):
        self.house, self.cable = house, Cable()
        try:
            self.listener = self.cable.start(house, 0, "receiver", "start", "-v", "--realm-key", house.realm_key,
                                             "--listen", "0.0.0.0:4001", *options)
            address = next(address for address in self.listener.until("listening")["addresses"]
                           if self.cable.addresses[0] in address)
            self.pings = self.cable.start(house, 1, "sender", "ping", "-v", "--realm-key", house.realm_key, "-c", "100000",
                                          "-i", "200ms", "--timeout", "60s", *options, address)
            self.pings.until("reply")
            # A node watches its network from half a second after its start.
            time.sleep(1)
        except BaseException:
            self.close()
            raise

    def ip(self, number, *words):
        self.cable.ip("-n", self.cable.names[number], *words)

    def moves(self, number, address):
        """An address goes, and another comes a moment later, as when one network is left for the next."""
        self.ip(number, "addr", "del", f"{self.cable.addresses[number]}/24", "dev", f"v{number + 1}")
        time.sleep(0.2)
        self.ip(number, "addr", "add", f"{address}/24", "dev", f"v{number + 1}")
        self.cable.addresses[number] = address

    def replies(self):
        return sum(event["type"] == "reply" for event in list(self.pings.seen))

    def goes_on(self):
        """Replies come on the connection that there was, and come for longer than a dead one would last."""
        end = time.monotonic() + GOES_ON
        before = self.replies()
        while time.monotonic() < end:
            time.sleep(1)
        after = self.replies()
        time.sleep(2)
        assert self.replies() > after > before, (before, after, self.replies(), self.pings.text(), self.listener.text())
        for node in (self.listener, self.pings):
            assert node.text().count("connected address=") == 1 and "disconnected" not in node.text(), node.text()
        states = [event["state"] for event in self.listener.seen if event["type"] == "peer"]
        assert "offline" not in states, states

    def close(self):
        for node in self.house.nodes:
            node.kill()
            node.wait(PATIENCE)
        self.cable.close()


def whoever_moves_the_connection_goes_on(house):
    goes_on_wherever(house)


def who_uses_no_relay_is_followed_too(house):
    goes_on_wherever(house, "--no-relay")


def goes_on_wherever(house, *options):
    pair = Pair(house, *options)
    try:
        for number, address in ((1, "192.168.77.12"), (0, "192.168.77.11"), (0, "192.168.77.21"), (1, "192.168.77.22")):
            pair.moves(number, address)
            time.sleep(3)
        pair.goes_on()
        told = [event for event in pair.listener.seen if event["type"] in ("listening", "addresses")][-1]["addresses"]
        assert any("192.168.77.21" in address for address in told), told
    finally:
        pair.close()


def a_link_that_goes_and_comes_back_costs_no_connection(house):
    pair = Pair(house)
    try:
        for number in (0, 1):
            pair.cable.plugged(number, False)
            time.sleep(2)
            pair.cable.plugged(number, True)
            time.sleep(2)
        pair.goes_on()
        # The other end's cable shows here as a link without a carrier: its address is not told meanwhile.
        pair.cable.plugged(1, False)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            told = [event for event in pair.listener.seen if event["type"] in ("listening", "addresses")][-1]["addresses"]
            if not any("192.168.77" in address for address in told):
                break
            time.sleep(0.2)
        assert not any("192.168.77" in address for address in told), told
    finally:
        pair.close()


TESTS = [whoever_moves_the_connection_goes_on, who_uses_no_relay_is_followed_too,
         a_link_that_goes_and_comes_back_costs_no_connection]
