"""How soon a listener is reachable again once a relay that it had a reservation with is gone: by somebody who comes right then."""

import signal
import time

from . import drivers
from .system import LabError
from .topology import Lab

# Nobody else is on the way: each that comes has to find the listener by a relay.
KIND = "symmetric"
LIMIT = 3.0
PATIENCE = 30
# As scripts do that try again when the status is 75.
PAUSE = 0.1
# Until the listener has what it wants, and is idle.
SETTLED = 2


def check(binary, runs, report):
    """Returns the number of runs in which it took longer than `LIMIT`, or failed."""
    drivers.DeP2P.binary = binary
    wrong = 0
    for name, strike in STRIKES.items():
        for number in range(runs):
            row = {"type": "recovery", "check": name, "run": number}
            try:
                with Lab() as lab:
                    # Its folders outlast the programs that write there.
                    driver = drivers.DeP2P(lab)
                    row |= once(driver, lab, strike)
            except (LabError, OSError) as error:
                row |= {"ok": False, "error": str(error)}
            wrong += not row["ok"]
            report(row)
    return wrong


def once(driver, lab, strike):
    driver.start_relays()
    listener_site, comer_site = lab.add_site(KIND), lab.add_site(KIND)
    listener, target = driver.listen(listener_site.hosts[0])
    # It prints what it has at first; nothing tells of the second reservation.
    time.sleep(SETTLED)
    named = [index for index, identifier in enumerate(relay_ids(driver)) if any(identifier in item for item in target)]
    if not named:
        raise LabError("the listener names no relay")
    strike(driver, named[0])
    began = time.monotonic()
    tries, end = 0, time.monotonic() + PATIENCE
    while time.monotonic() < end:
        tries += 1
        comer = ping(driver, comer_site.hosts[0], target)
        reply = comer.next({"reply", "result"}, PATIENCE)
        reached = time.monotonic()
        driver.end(comer)
        if reply and reply[1]["type"] == "reply":
            seconds = round(reached - began, 2)
            return {"ok": seconds <= LIMIT, "seconds": seconds, "tries": tries}
        time.sleep(PAUSE)
    return {"ok": False, "error": f"not reachable within {PATIENCE} s", "tries": tries}


def relay_ids(driver):
    return [relay.seen[-1][1]["node_id"] for relay in driver.relays]


def ping(driver, host, target):
    hints = [option for address in target for option in ("--peer", address)]
    node = target[0].rsplit("/", 1)[1]
    return driver.dep2p(host, "ping", "--realm-key", driver.realm, "-c", "1", *driver.options, *hints, node)


def named_killed(driver, named):
    """The relay that the listener's address names is killed, and stays away."""
    kill(driver.relays[named])


def other_killed(driver, named):
    """The one that only the listener's second reservation is with."""
    kill(driver.relays[1 - named])


def both_restarted(driver, _):
    """Both are killed, and are there again after a second: from then on it counts."""
    for relay in driver.relays:
        kill(relay)
    time.sleep(1)
    driver.restart_relays()


def kill(relay):
    relay.process.signal(signal.SIGKILL)
    relay.process.child.wait(10)


STRIKES = {"named-killed": named_killed, "other-killed": other_killed, "both-restarted": both_restarted}
