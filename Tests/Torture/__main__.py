"""Whole dep2p processes under stress, held to what the command line promises.

The seed decides every random moment and byte; it is printed, and DEP2P_SEED or --seed repeats a run. Tests run side by
side, each in a process, a folder and ports of its own: most of them wait.
"""

import argparse
import concurrent.futures
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import clocks
import daemons
import field
import found
import interrupted
import introspect
import logged
import machine
import moved
import online
import received
import refused
import relayed
import remembered
import service
import sources
import sparse
import topics
from nodes import House, NeedsRoot

TESTS = (refused.TESTS + received.TESTS + interrupted.TESTS + field.TESTS + relayed.TESTS + machine.TESTS
         + sources.TESTS + clocks.TESTS + remembered.TESTS + sparse.TESTS + daemons.TESTS + service.TESTS
         + online.TESTS + found.TESTS + introspect.TESTS + topics.TESTS + logged.TESTS + moved.TESTS)
# Those that take long start first, so that at the end none runs alone.
LONG = ("a_consumer_that_pauses_costs_no_stream", "many_folders_at_once_share_the_descriptors")
# A test that is not over by then has failed.
PATIENCE = 600
JOBS = 3
PASSED, FAILED, NEEDS_ROOT = 0, 1, 3
VERDICTS = {PASSED: "ok    ", NEEDS_ROOT: "needs root"}


def arguments():
    parser = argparse.ArgumentParser(prog="Tests/Torture", description=__doc__)
    parser.add_argument("tests", nargs="*", help="part of the name of those to run (all)")
    parser.add_argument("--dep2p", required=True, metavar="FILE", help="the binary")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("DEP2P_SEED") or time.time_ns() % 1_000_000))
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("DEP2P_ROUNDS") or 4),
                        help="how often a transfer is killed before it may finish (4)")
    parser.add_argument("--tmp", default=None, help="folder for the files")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"tests at once ({JOBS})")
    parser.add_argument("--only", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def run_here(options, test):
    """Runs one test in this process."""
    # So that an ended run takes its mounts, namespaces and folders down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder, house = tempfile.mkdtemp(prefix="dep2p-torture-", dir=options.tmp), None
    try:
        house = House(os.path.abspath(options.dep2p), folder, random.Random(f"{options.seed} {test.__name__}"),
                      options.rounds)
        test(house)
        return PASSED
    except NeedsRoot as need:
        print(need)
        return NEEDS_ROOT
    except Exception as failure:
        where = traceback.extract_tb(failure.__traceback__)[-1]
        print(f"{type(failure).__name__}: {failure} ({os.path.basename(where.filename)}:{where.lineno})")
        return FAILED
    finally:
        if house is not None:
            house.close()
        shutil.rmtree(folder, ignore_errors=True)


def run_apart(options, test):
    """(outcome, seconds, what it said) of a test in a process of its own."""
    command = [sys.executable, "-B", str(pathlib.Path(__file__).parent), "--only", "--dep2p", options.dep2p, "--seed",
               str(options.seed), "--rounds", str(options.rounds), *(["--tmp", options.tmp] if options.tmp else []),
               test.__name__]
    started = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, errors="replace")
    try:
        said, _ = child.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        child.terminate()
        try:
            said, _ = child.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            # What it has started may hold the pipe open for ever.
            child.kill()
            child.stdout.close()
            child.wait()
            said = ""
        said += f"not over after {PATIENCE} s"
    outcome = child.returncode if child.returncode in VERDICTS else FAILED
    return outcome, time.monotonic() - started, said.strip()


def run_all(options):
    # A shell ignores it for what it runs in the background, and what is started here would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chosen = [test for test in TESTS if not options.tests or any(part in test.__name__ for part in options.tests)]
    chosen.sort(key=lambda test: test.__name__ not in LONG)
    print(f"seed {options.seed}, {options.rounds} rounds", flush=True)
    counts = {PASSED: 0, FAILED: 0, NEEDS_ROOT: 0}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = {pool.submit(run_apart, options, test): test for test in chosen}
        for run in concurrent.futures.as_completed(runs):
            outcome, seconds, said = run.result()
            counts[outcome] += 1
            name = runs[run].__name__.replace("_", " ")
            print(f"{VERDICTS.get(outcome, 'FAILED')}  {name} ({seconds:.1f} s)", flush=True)
            if said:
                print("  " + said.replace("\n", "\n  "), flush=True)
    if counts[NEEDS_ROOT]:
        print(f"not run without root: {counts[NEEDS_ROOT]}")
    failed = counts[FAILED] + (counts[NEEDS_ROOT] if os.environ.get("CI") else 0)
    print(f"{counts[PASSED]} passed, {failed} failed")
    return 1 if failed or not counts[PASSED] else 0


def main():
    options = arguments()
    if options.only:
        return run_here(options, next(test for test in TESTS if test.__name__ == options.tests[0]))
    # Under nohup it is ignored, and a program leaves a signal ignored that it was started so with; ours is not ended by
    # it either way, and what is started here gets it as ever.
    signal.signal(signal.SIGHUP, lambda *_: None)
    return run_all(options)


sys.exit(main())
