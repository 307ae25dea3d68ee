"""Whole dep2p processes under stress, held to what the command line promises.

The seed decides every random moment and byte; it is printed, and DEP2P_SEED or --seed repeats a run.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

import field
import interrupted
import machine
import received
import refused
import relayed
import sources
from nodes import House, NeedsRoot

TESTS = (refused.TESTS + received.TESTS + interrupted.TESTS + field.TESTS + relayed.TESTS + machine.TESTS
         + sources.TESTS)


def arguments():
    parser = argparse.ArgumentParser(prog="Tests/Torture", description=__doc__)
    parser.add_argument("tests", nargs="*", help="part of the name of those to run (all)")
    parser.add_argument("--dep2p", required=True, metavar="FILE", help="the binary")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("DEP2P_SEED") or time.time_ns() % 1_000_000))
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("DEP2P_ROUNDS") or 4),
                        help="how often a transfer is killed before it may finish (4)")
    parser.add_argument("--tmp", default=None, help="folder for the files")
    return parser.parse_args()


def main():
    options = arguments()
    # Under nohup it is ignored, and a program leaves a signal ignored that it was started so with; ours is not ended by
    # it either way, and what is started here gets it as ever.
    signal.signal(signal.SIGHUP, lambda *_: None)
    print(f"seed {options.seed}, {options.rounds} rounds", flush=True)
    chosen = [test for test in TESTS if not options.tests or any(part in test.__name__ for part in options.tests)]
    passed = failed = without_root = 0
    for test in chosen:
        folder = tempfile.mkdtemp(prefix="dep2p-torture-", dir=options.tmp)
        started, house = time.monotonic(), None
        try:
            house = House(os.path.abspath(options.dep2p), folder, random.Random(f"{options.seed} {test.__name__}"),
                          options.rounds)
            test(house)
            passed += 1
            verdict = "ok    "
        except NeedsRoot as need:
            verdict = "needs root"
            without_root += 1
            failed += bool(os.environ.get("CI"))
            detail = f"  {need}"
        except Exception as failure:
            failed += 1
            verdict = "FAILED"
            where = traceback.extract_tb(failure.__traceback__)[-1]
            detail = f"  {type(failure).__name__}: {failure} ({os.path.basename(where.filename)}:{where.lineno})"
        finally:
            if house is not None:
                house.close()
            shutil.rmtree(folder, ignore_errors=True)
        print(f"{verdict}  {test.__name__.replace('_', ' ')} ({time.monotonic() - started:.1f} s)", flush=True)
        if verdict != "ok    ":
            print(detail, flush=True)
    if without_root:
        print(f"not run without root: {without_root}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main())
