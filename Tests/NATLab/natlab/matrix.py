"""Every pair of sites: the path physics allows, the path seen, and how long it took."""

import concurrent.futures
import statistics
import time

from . import nat
from .system import LabError
from .topology import Lab

FIRST_BYTE_LIMIT = 1.0
BEST_PATH_LIMIT = 3.0
# Where a port has to be guessed.
GUESSED_PATH_LIMIT = 20.0
PING_LIMIT = 12
GUESSED_PING_LIMIT = 22
# Bytes of both sides over a relay until the path is direct, where nothing else moves. More is told, and fails nothing: so
# much depends on when a port is met.
RELAYED_LIMIT = 4096
SAME = "same"
DIRECT = {"direct", "punched"}

# A subset that shows each behaviour at least once, for continuous integration.
SMALL = [
    ("public", "public"), ("public", "symmetric"), ("full-cone", "symmetric"), ("address-restricted", "symmetric"),
    ("port-restricted", "port-restricted"), ("port-restricted", "symmetric"), ("symmetric", "symmetric"),
    ("double-nat", "no-hairpin"), ("udp-blocked", "port-restricted"), ("only-443", "public"),
    ("ipv6-only", "dual-stack"), ("ipv6-only", "symmetric"), ("port-restricted", SAME), ("udp-blocked", SAME),
    ("symmetric", "forwarded-symmetric"),
]


def all_pairs():
    names = list(nat.KINDS)
    pairs = [(left, right) for index, left in enumerate(names) for right in names[index:]]
    # The other direction too: who dials whom matters. And two hosts of one site.
    return pairs + [(right, left) for left, right in pairs if left != right] + [(name, SAME) for name in names]


def parse(text):
    if text in ("all", "ci"):
        return all_pairs() if text == "all" else SMALL
    pairs = [tuple(part.split(":", 1)) for part in text.split(",")]
    for pair in pairs:
        if len(pair) != 2 or pair[0] not in nat.KINDS or pair[1] not in {*nat.KINDS, SAME}:
            raise SystemExit(f"unknown pair {':'.join(pair)}: KIND:KIND or KIND:{SAME}, of {', '.join(nat.KINDS)}")
    return pairs


def expected(left, right):
    """'direct' (however reached) where some family lets two hosts of these kinds meet, else 'relay'."""
    if right == SAME:
        return "direct"
    left, right = nat.KINDS[left], nat.KINDS[right]
    if not (left.udp and right.udp):
        return "relay"
    # IPv6 addresses are their hosts' own; firewalls that let answers in open for whoever is written to.
    if left.ipv6 and right.ipv6:
        return "direct"
    if left.ipv4 and right.ipv4:
        # Who listens there is open to everyone, whatever else the router does. Of two NATs that draw ports at random neither's
        # can be met; of one it can, by chance.
        if right.forwarded or nat.INDEPENDENT in (left.mapping, right.mapping):
            return "direct"
    return "relay"


def is_guessed(left, right):
    """Whether the two meet by chance alone: a port that is drawn at random, and a peer that lets in only who it wrote to."""
    if right == SAME or expected(left, right) == "relay" or nat.KINDS[right].forwarded:
        return False
    kinds = nat.KINDS[left], nat.KINDS[right]
    steady = [kind for kind in kinds if kind.mapping == nat.INDEPENDENT]
    return len(steady) == 1 and steady[0].translated and steady[0].filtering == nat.PORT


def one_run(driver, listener_host, pinger_host, port=None, limit=PING_LIMIT):
    """Paths and times of one connection; the listener is at that port, where one is forwarded to it."""
    listener, target = driver.listen(listener_host, port)
    pinger = driver.ping(pinger_host, target, limit)
    replies, result = [], None
    end = time.monotonic() + limit + 3
    while (item := pinger.next({"reply", "result"}, end - time.monotonic())) is not None:
        if item[1]["type"] == "result":
            result = item[1]
            break
        replies.append((item[0], kind_of(item[1]["path"])))
    driver.end(pinger)
    driver.end(listener)
    if not replies:
        return {"connected": False, "path": None, "result": result}
    best = replies[-1][1]
    return {
        "connected": True, "path": best, "first_byte": round(replies[0][0], 3),
        "best_path": round(next(when for when, path in replies if path == best), 3),
        "relayed": (result or {}).get("relayed_bytes", 0),
    }


def kind_of(path):
    """'relay(ID)' and the like are all relays."""
    return path.split("(")[0].split(" ")[0]


def pair(make_driver, left, right, runs):
    """One row of the table."""
    row = {"type": "pair", "left": left, "right": right, "expected": expected(left, right), "runs": []}
    # Nor is a port that was forwarded by hand found in the first round where everything else is drawn at random.
    is_patient = is_guessed(left, right) or "forwarded-symmetric" in (left, right)
    ping_limit = GUESSED_PING_LIMIT if is_patient else PING_LIMIT
    try:
        with Lab() as lab:
            driver = make_driver(lab)
            driver.start_relays()
            first = lab.add_site(left)
            second = first if right == SAME else lab.add_site(right)
            # Hosts with different numbers, so that private addresses that are the same are another pair's matter.
            hosts = (first.hosts[0], first.hosts[1] if right == SAME else second.hosts[0])
            port = second.kind.forwarded and second.kind.forwarded + second.hosts.index(hosts[1])
            for _ in range(runs):
                row["runs"].append(one_run(driver, hosts[1], hosts[0], port, ping_limit))
    except (LabError, OSError) as error:
        row["error"] = str(error)
    return judge(row, runs)


def judge(row, runs):
    done = [run for run in row["runs"] if run["connected"]]
    row["connected"] = len(done)
    row["seen"] = sorted({run["path"] for run in done})
    row["first_byte"] = median(run["first_byte"] for run in done)
    row["best_path"] = median(run["best_path"] for run in done)
    row["slowest_first_byte"] = max((run["first_byte"] for run in done), default=None)
    row["relayed"] = median(run["relayed"] for run in done if run["relayed"])
    row["most_relayed"] = max((run["relayed"] for run in done if run["path"] in DIRECT), default=0)
    row["slowest_best_path"] = max((run["best_path"] for run in done), default=None)
    good = row["expected"] == "relay" or set(row["seen"]) <= DIRECT
    limit = GUESSED_PATH_LIMIT if is_guessed(row["left"], row["right"]) else BEST_PATH_LIMIT
    row["late"] = any(run["first_byte"] > FIRST_BYTE_LIMIT or run["best_path"] > limit for run in done)
    row["ok"] = len(done) == runs and good and "error" not in row
    return row


def median(values):
    values = list(values)
    return round(statistics.median(values), 3) if values else None


def run(make_driver, pairs, runs, jobs, report):
    """Returns (pairs that failed, pairs that were late)."""
    failed = late = 0
    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    try:
        for row in pool.map(lambda names: pair(make_driver, *names, runs), pairs):
            failed += not row["ok"]
            late += row["late"]
            report(row)
    finally:
        # On a signal: only what runs now is ended properly, the rest is not begun.
        pool.shutdown(cancel_futures=True)
    return failed, late


HEADER = f"{'from':<20}{'to':<20}{'expected':<10}{'seen':<18}{'connected':<11}{'first byte':<12}{'best path':<11}{'relayed':<9}"


def text(row):
    seconds = [f"{row[key]:.2f} s" if row[key] is not None else "-" for key in ("first_byte", "best_path")]
    mark = "" if row["ok"] and not row["late"] else "late" if row["ok"] else f"FAILED {row.get('error', '')}"
    if row["most_relayed"] > RELAYED_LIMIT:
        mark += f" over {RELAYED_LIMIT} B: {row['most_relayed']}"
    connected = f"{row['connected']}/{len(row['runs'])}"
    relayed = f"{row['relayed']:.0f} B" if row["relayed"] else "-"
    return (f"{row['left']:<20}{row['right']:<20}{row['expected']:<10}{','.join(row['seen']) or '-':<18}"
            f"{connected:<11}{seconds[0]:<12}{seconds[1]:<11}{relayed:<9}{mark}")
