"""Clocks that nobody has set: a node in 1970, as a board without a battery starts, with nodes of today (field fault D19),
and one in a far future."""

import subprocess

from nodes import OK, assert_same
from relayed import Relay, over_tcp, reachable, send_through

# What the kernel says the time is, to every library of the process; the monotonic clock goes as ever.
SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *result) {
    int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, result);
    if (status == 0 && clock == CLOCK_REALTIME) {
        real(CLOCK_MONOTONIC, result);
        result->tv_sec += BEGINNING;
    }
    return status;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict result, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    (void)zone;
    result->tv_sec = now.tv_sec;
    result->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""
# Seconds since 1970 at which a machine began that has run since then.
BEGINNINGS = {"1970": 0, "2300": 10_413_792_000}


def clock(folder, year):
    """What a program's environment needs for a clock that began in that year; made in the folder."""
    library = folder / f"clock-{year}.so"
    if not library.exists():
        subprocess.run(["gcc", f"-DBEGINNING={BEGINNINGS[year]}", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"],
                       input=SOURCE.encode(), check=True)
    return {"LD_PRELOAD": str(library)}


def with_clock(house, year, *homes):
    """From now on the programs of these homes have such a clock, those of the others today's."""
    today, preload = type(house).environment, clock(house.folder, year)
    house.environment = lambda home, finds=False: today(house, home, finds) | (preload if home in homes else {})


def a_wrong_clock_on_one_side_keeps_nobody_out(house):
    for year in BEGINNINGS:
        for side in ("receiver", "sender"):
            with_clock(house, year, side)
            listener, address = house.listen("--reply", "noted")
            source = house.source(f"{year}-{side}", 300_000)
            house.sent(address, source)
            assert_same(source, house.inbox / source.name)
            assert house.sent(address, "-m", "what time is it?")["reply"] == "noted"
            pinged = house.run("ping", "-c", "2", "-i", "10ms", address)
            assert pinged.returncode == OK, pinged.stderr
            listener.kill()


def a_wrong_clock_on_a_relay_or_behind_it_keeps_nobody_out(house):
    for year in BEGINNINGS:
        for homes in (["relay-one"], ["receiver"], ["sender"]):
            with_clock(house, year, *homes)
            relay = Relay(house, "one", "--tcp-listen", "127.0.0.1:0")
            for address in (relay.address, over_tcp(relay)):
                listener, listening = reachable(house, address)
                send_through(house, listening["node_id"], [address], "-m", f"{year} {homes}")
                listener.kill()
                listener.wait()
            relay.kill()


TESTS = [a_wrong_clock_on_one_side_keeps_nobody_out, a_wrong_clock_on_a_relay_or_behind_it_keeps_nobody_out]
