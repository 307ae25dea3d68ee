"""Hostile peers against the real program: each test is a point of issue 7 and begins with its number.

Every test runs in a process and a network namespace of its own. Tests named in pending.txt are expected to fail
until their point is mended: one that passes all the same fails the run, and its line is to go.
"""

import argparse
import concurrent.futures
import importlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

# A test that is not over by then has failed. The slowest take 20 s alone, and 75 on a machine with six others on each core.
PATIENCE = 240
# Tests wait more than they work.
JOBS = 4
PASSED, FAILED, BROKEN = 0, 1, 2
PREFIX = "fd42:7::/48"
# What interfaces have, a public address among them: nothing leaves the namespace.
INTERFACE = ("10.77.0.1/24", "fd43:7::1/64", "45.12.7.1/24")


def tests():
    """{name: function}: what begins with a point's number in the modules of points/."""
    found = {}
    for path in sorted((HERE / "points").glob("p*.py")):
        module = importlib.import_module(f"points.{path.stem}")
        for name, value in vars(module).items():
            if re.match(r"p\d\d", name) and callable(value):
                found[name] = value
    return found


def pending():
    """{name: why} of the tests whose point is not mended yet."""
    lines = (HERE / "pending.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(None, 1) for line in lines if line and not line.startswith("#"))


def run_here(binary, name):
    """Runs one test in this process: PASSED, FAILED when what it asserts does not hold, BROKEN by anything else."""
    from hostile.node import Lab

    lab = Lab(binary)
    try:
        tests()[name](lab)
        return PASSED
    except Exception as failure:
        where = next((frame for frame in reversed(traceback.extract_tb(failure.__traceback__))
                      if "points" in frame.filename), traceback.extract_tb(failure.__traceback__)[-1])
        print(f"{type(failure).__name__}: {failure} ({pathlib.Path(where.filename).name}:{where.lineno})")
        if os.environ.get("DEP2P_HOSTILE_TRACE"):
            traceback.print_exc()
        return FAILED if isinstance(failure, AssertionError) else BROKEN
    finally:
        lab.close()


def make_network():
    """Loopback, a /48 of which every address is this machine's, and an interface with addresses."""
    for command in ("link set lo up", f"-6 route add local {PREFIX} dev lo", "link add outside type veth peer name other",
                    "link set outside up", "link set other up", *(f"address add {one} dev outside" for one in INTERFACE)):
        subprocess.run(["ip", *command.split()], check=True)


def run_apart(binary, name):
    """(outcome, seconds, what it said) of a test in a namespace of its own."""
    enter = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    started = time.monotonic()
    child = subprocess.Popen(
        [*enter, sys.executable, "-B", str(HERE), "--only", binary, name], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True, text=True, errors="replace")
    try:
        said, _ = child.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        said = f"not over after {PATIENCE} s"
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
    outcome = child.returncode if child.returncode in (PASSED, FAILED) else BROKEN
    return outcome, time.monotonic() - started, said.strip()


def run_all(options):
    chosen = [name for name in tests() if not options.tests or any(part in name for part in options.tests)]
    waiting = pending()
    passed = failed = 0
    for name in set(waiting) - set(tests()):
        failed += 1
        print(f"FAILED  {name} stands in pending.txt, but there is no such test")
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = {pool.submit(run_apart, os.path.abspath(options.binary), name): name for name in chosen}
        for run in concurrent.futures.as_completed(runs):
            name, (outcome, seconds, said) = runs[run], run.result()
            is_good = outcome == (FAILED if name in waiting else PASSED)
            verdict = "FAILED " if not is_good else "pending" if name in waiting else "ok     "
            print(f"{verdict} {name} ({seconds:.1f} s)", flush=True)
            if outcome == PASSED and not is_good:
                print(f"  passes although pending.txt expects it to fail ({waiting[name]}): take its line out")
            elif said:
                print("  " + said.replace("\n", "\n  "), flush=True)
            passed += is_good
            failed += not is_good
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def main():
    parser = argparse.ArgumentParser(prog="Tests/Hostile", description=__doc__)
    parser.add_argument("--only", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=JOBS, help="tests at once")
    parser.add_argument("binary")
    parser.add_argument("tests", nargs="*", help="part of the name of those to run (all)")
    options = parser.parse_args()
    if options.only:
        make_network()
        return run_here(options.binary, options.tests[0])
    # Under nohup it is ignored, and who is started so leaves it ignored; what is started here gets it as ever.
    signal.signal(signal.SIGHUP, lambda *_: None)
    return run_all(options)


sys.exit(main())
