"""Measures dep2p beside other programs on this machine and prints one table."""

import argparse
import json
import os
import platform
import sys
import tempfile

import rows
from measure import Failure
from table import Row, render


def arguments():
    parser = argparse.ArgumentParser(prog="Tests/Benchmarks/run.sh", description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"which rows, of: {' '.join(rows.GROUPS)} (all)")
    parser.add_argument("-n", "--runs", type=int, default=3, help="rounds, of which the median counts (3)")
    parser.add_argument("--smoke", action="store_true", help="small sizes, one round: does every row run at all?")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON too")
    parser.add_argument("--tmp", metavar="DIR", default="/dev/shm", help="folder for the files, best a tmpfs (/dev/shm)")
    parser.add_argument("--dep2p", metavar="FILE", help="the dep2p binary (built by run.sh)")
    parser.add_argument("--engine", metavar="FILE", help="the engine's benchmark program (built by run.sh)")
    parser.add_argument("--loop", metavar="FILE", required=True, help="the TLS loop (compiled by run.sh)")
    options = parser.parse_args()
    unknown = [name for name in options.rows if name not in rows.GROUPS]
    if unknown:
        parser.error(f"no row is called {unknown[0]}")
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    return options


def main():
    options = arguments()
    rows.raise_descriptor_limit()
    results, failed = [], False
    with tempfile.TemporaryDirectory(prefix="dep2p-benchmark-", dir=options.tmp) as folder:
        bench = rows.Bench(folder, options.dep2p, options.engine, options.loop, 1 if options.smoke else options.runs,
                           options.smoke)
        for name in options.rows or rows.GROUPS:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            try:
                results.extend(rows.GROUPS[name](bench))
            except (Failure, OSError, KeyError, ValueError) as failure:
                failed = True
                print(f"{name}: {failure}", file=sys.stderr)
                results.append(Row(name, "failed", None, "", note="FAILED (see above)"))
    print(render(results))
    load = os.getloadavg()[0]
    print(f"\nratio: above 1 means dep2p is ahead; {os.cpu_count()} cores, Linux {platform.release()}, "
          f"load average {load:.1f}, median of {bench.runs}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"smoke": options.smoke, "runs": bench.runs, "cores": os.cpu_count(), "load": load,
                       "rows": [row.as_json() for row in results]}, file, indent=1)
            file.write("\n")
    return 1 if failed else 0


sys.exit(main())
