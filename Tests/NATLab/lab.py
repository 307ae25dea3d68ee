"""The NAT lab: real networks on this machine, and whether dep2p finds the best path through them. See --help."""

import argparse
import json
import os
import signal
import sys

from natlab import (
    drivers, fairness, faults, faulttest, finding, gateway, links, matrix, nat, natcheck, reachability, realmrelay, recovery,
    selftest, topology)
from natlab.system import LabError


def arguments():
    parser = argparse.ArgumentParser(prog="Tests/NATLab/run.sh", description=__doc__)
    what = parser.add_argument_group("what to run (default: --self-test and --pairs ci)")
    what.add_argument("--self-test", action="store_true", help="show that each network behaves as its name says")
    what.add_argument("--nat-check", action="store_true", help="compare dep2p's NAT check with what the networks are")
    what.add_argument("--reachability", action="store_true", help="compare what listening nodes find out by dial-back")
    what.add_argument("--realm-relay", action="store_true", help="members behind NATs, and a public one that relays for them")
    what.add_argument("--gateway", action="store_true", help="port mapping against miniupnpd")
    what.add_argument("--finding", action="store_true", help="members behind NATs find each other by a bootstrap relay")
    what.add_argument("--recovery", action="store_true", help="how soon a listener that lost a relay is reachable (--runs of each)")
    what.add_argument("--fault-test", action="store_true", help="show that each fault does what it says")
    what.add_argument("--faults", metavar="WHICH", help="all, or names: a transfer through each (needs BINARY)")
    what.add_argument("--links", metavar="WHICH", help="all, or names: how much of a link a transfer fills (needs BINARY)")
    what.add_argument("--fairness", metavar="WHICH", help="all, or names of links: what a transfer leaves TCP (needs BINARY)")
    what.add_argument("--pairs", metavar="WHICH", help=f"all, ci, or KIND:KIND,… (second may be '{matrix.SAME}')")
    how = parser.add_argument_group("how")
    how.add_argument("--kinds", default=",".join(nat.KINDS), help="networks of --self-test and --nat-check")
    how.add_argument("--runs", type=int, default=5, help="connections of each pair (default 5)")
    how.add_argument("--size", type=int, default=256 << 20, help="bytes of each transfer (default 256 MiB)")
    how.add_argument("--jobs", type=int, default=2, help="pairs at once (default 2)")
    how.add_argument("--punctual", action="store_true", help="a pair that is late counts as a failure (quiet machine)")
    how.add_argument("binary", nargs="?", help="the dep2p to try; without it a stand-in shows that the harness works")
    how.add_argument("--beside", metavar="BINARY", help="another dep2p in turn, of --links and --fairness")
    how.add_argument("--json", action="store_true", help="NDJSON instead of a table")
    return parser.parse_args()


def reporter(as_json):
    def report(item):
        if as_json:
            print(json.dumps(item), flush=True)
        elif item["type"] == "pair":
            print(matrix.text(item), flush=True)
        else:
            name = " ".join(str(item[key]) for key in ("kind", "host", "family", "protocol", "check", "fault", "paths", "seconds", "gap", "returned", "over", "bounds", "error") if key in item)
            print(f"{'ok    ' if item['ok'] else 'FAILED'} {item['type']} {name} {item.get('differences') or ''}",
                  flush=True)
    return report


def run(options):
    """Returns the number of failures."""
    report = reporter(options.json)
    kinds = options.kinds.split(",")
    nothing_chosen = not (options.self_test or options.nat_check or options.reachability or options.gateway or options.pairs or options.finding or options.realm_relay
                          or options.fault_test or options.faults or options.links or options.recovery or options.fairness)
    failed = 0
    if options.self_test or nothing_chosen:
        failed += selftest.check(kinds, report)
    if options.nat_check:
        failed += natcheck.check(needed(options.binary), kinds, report)
        failed += natcheck.liars(needed(options.binary), report)
    if options.reachability:
        failed += reachability.check(needed(options.binary), kinds, report)
    if options.realm_relay:
        failed += realmrelay.check(needed(options.binary), report)
    if options.gateway:
        failed += gateway.check(needed(options.binary), report)
    if options.finding:
        failed += finding.check(needed(options.binary), options.runs, min(options.size, finding.LARGEST), report)
    if options.recovery:
        failed += recovery.check(needed(options.binary), options.runs, report)
    if options.fault_test:
        failed += faulttest.test(report)
    if options.faults:
        failed += run_faults(options, report)
    if options.links:
        failed += run_links(options, options.links, links.run, report)
    if options.fairness:
        failed += run_links(options, options.fairness, fairness.run, report)
    pairs = options.pairs or ("ci" if nothing_chosen else None)
    if pairs:
        make = chosen_driver(options.binary)
        if not options.json:
            print(matrix.HEADER)
        wrong, late = matrix.run(make, matrix.parse(pairs), options.runs, options.jobs, report)
        failed += wrong + (late if options.punctual else 0)
    return failed


def chosen_driver(binary):
    if not binary:
        return drivers.StandIn
    drivers.DeP2P.binary = binary
    if drivers.DeP2P.has_relay():
        return drivers.DeP2P
    print(f"{binary} has no relay command: the stand-in shows the networks and the harness only", file=sys.stderr)
    return drivers.StandIn


def run_faults(options, report):
    names = list(faults.FAULTS) if options.faults == "all" else options.faults.split(",")
    unknown = [name for name in names if name not in faults.FAULTS]
    if unknown or not options.binary:
        raise SystemExit(f"--faults needs BINARY, and names of {', '.join(faults.FAULTS)}")
    drivers.DeP2P.binary = options.binary
    return faults.run(drivers.DeP2P, names, options.size, report)


def run_links(options, which, run, report):
    names = list(links.LINKS) if which == "all" else which.split(",")
    unknown = [name for name in names if name not in links.LINKS]
    if unknown:
        raise SystemExit(f"--links, --fairness: names of {', '.join(links.LINKS)}")
    binaries = [needed(binary) for binary in (options.binary, options.beside) if binary]
    return run(binaries or [needed(None)], names, options.runs, report)


def needed(binary):
    if not binary:
        raise SystemExit("BINARY is needed: swift build --product dep2p")
    return os.path.abspath(binary)


def main():
    # A signal must unwind the stack, so that every lab takes its namespaces down.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    try:
        failed = run(arguments())
    except LabError as error:
        sys.exit(f"lab: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        topology.remove_binary()
    print(f"{failed} failures" if failed else "all as expected", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
