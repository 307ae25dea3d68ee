"""Runs the unit tests in several processes side by side, and shows that each of them ran exactly once.

Within a process they run one after another: they share its one network thread, whose virtual time passes while it is idle.
What the processes say is kept whole; printed is all that a failed test said.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

RUN = ("--testing-library", "swift-testing")
# Suites that take long, each in a process of its own: they start first, longest first, so that at the end no process works
# alone. The order is by what the report of a whole run says of them.
LONG = ("CLITests.TranscriptTests", "SimulationTests.LivenessSimulationTests", "ReachTests.BirthdayTests",
        "SimulationTests.DHTSimulationTests", "ReachTests.PathChangeTests", "AppLayerTests.PubSubRouterTests",
        "QUICTests.FlowControlTests", "AppLayerTests.SendSourceTests", "AppLayerTests.TransferTests",
        "StorageTests.StoragePropertyTests", "SimulationTests.LightWorldTests", "SessionsTests.LivenessLossTests",
        "SessionsTests.LivenessPropertyTests", "AppLayerTests.TransferResumeTests", "SimulationTests.ReplayTests",
        "SessionsTests.ConnectionManagerPropertyTests", "ReachTests.BetterPathTests", "DeP2PTests.NodeStreamStormTests",
        "DiscoveryTests.MainlineNodeTests", "ReachTests.SilentPathTests", "StorageTests.DamageTests",
        "QUICTests.NetworkConditionTests", "AppLayerTests.PubSubBoundsTests", "AppLayerTests.SmallFileTests")
# Tests of one process, at the least: to start one takes as long as ten of them.
LEAST = 50
# A process that runs longer hangs, and is ended with what it was at.
PATIENCE = 900

# What the log says of a test that begins; cases of a test and suites have lines of their own.
BEGINS = re.compile(r"◇ Test (?!case passing |run started)(.+) started\.$")
PLACE = re.compile(r"/[^/]+\.swift:\d+:\d+$")


def listed(bundle):
    """The names of all tests, as MODULE.SUITE/FUNCTION."""
    done = subprocess.run([bundle, *RUN, "--list-tests"], check=True, stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
    return done.stdout.split("\n")[:-1]


def suite_of(name):
    return name.split("/", 1)[0]


def parts(names):
    """[[suite, …], …]: what one process after the other runs; a long suite alone, the others together."""
    sizes = collections.Counter(map(suite_of, names))
    result, sizes_left = [[suite] for suite in LONG if suite in sizes], dict(sizes)
    for suite in LONG:
        sizes_left.pop(suite, None)
    together = []
    for suite in sorted(sizes_left):
        together.append(suite)
        if sum(sizes[one] for one in together) >= LEAST:
            result.append(together)
            together = []
    return result + [together] if together else result


class Part:
    """Some suites in a process of their own: what ran, what failed, and what it said."""

    def __init__(self, bundle, suites, folder):
        self.suites, self.folder = suites, folder
        folder.mkdir(parents=True)
        self.log, self.events = folder / "log", folder / "events"
        pattern = "^(" + "|".join(re.escape(suite) for suite in suites) + ")(/|$)"
        self.command = [bundle, *RUN, "--no-parallel", "--filter", pattern, "--event-stream-version", "0",
                        "--event-stream-output-path", str(self.events)]
        self.began, self.ended, self.failed, self.left = [], [], set(), []
        self.status, self.seconds, self.busy = None, 0.0, 0.0

    def run(self):
        started, temporary = time.monotonic(), tempfile.mkdtemp(prefix="unit-")
        with open(self.log, "wb") as log:
            child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                     env=os.environ | {"TMPDIR": temporary})
            patience = threading.Timer(PATIENCE, child.kill)
            patience.daemon = True
            patience.start()
            _, status, usage = os.wait4(child.pid, 0)
            patience.cancel()
            self.status = child.returncode = os.waitstatus_to_exitcode(status)
            self.busy = usage.ru_utime + usage.ru_stime
        self.seconds = time.monotonic() - started
        self.left = sorted(os.listdir(temporary))
        shutil.rmtree(temporary, ignore_errors=True)
        self.read_events()
        return self

    def read_events(self):
        lines = self.events.read_text(encoding="utf-8").splitlines() if self.events.exists() else []
        for line in lines:
            try:
                event = json.loads(line)["payload"]
            except ValueError:  # the last line of a process that was ended
                continue
            name = PLACE.sub("", event.get("testID") or "")
            if name == event.get("testID"):  # a suite, which has no place in a file
                continue
            if event.get("kind") == "testStarted":
                self.began.append(name)
            elif event.get("kind") == "testEnded":
                self.ended.append(name)
                if not all(message["symbol"].startswith("pass") for message in event["messages"]):
                    self.failed.add(name)

    def complaints(self):
        """What failed, as text; empty when all is well."""
        said, beginnings = self.said()
        texts = []
        for number, name in enumerate(self.began):
            if name in self.failed:
                first, last = beginnings[number], (beginnings[number + 1:] or [len(said)])[0]
                texts.append(f"FAILED  {name}\n" + "".join(f"  {line}\n" for line in said[first:last]))
        if self.status != 0 and not (self.failed and self.status == 1):
            ending = f"signal {signal.Signals(-self.status).name}" if self.status < 0 else f"status {self.status}"
            last = beginnings[-1] if beginnings else 0
            texts.append(f"FAILED  ended by {ending} after {self.seconds:.0f} s, having said last\n"
                         + "".join(f"  {line}\n" for line in said[last:]))
        if self.left:
            texts.append(f"FAILED  left in the temporary folder: {' '.join(self.left)}\n"
                         f"  by one of: {' '.join(self.suites)}\n")
        return texts

    def said(self):
        """The lines of the log, and which of them begin a test, in the order of `began`."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines, [number for number, line in enumerate(lines) if BEGINS.search(line)]


def main():
    parser = argparse.ArgumentParser(prog="Tests/unit.py", description=__doc__)
    parser.add_argument("bundle", help="what swift build --product dep2pPackageTests makes")
    parser.add_argument("--logs", required=True, type=pathlib.Path, help="folder for what the processes say")
    # One more than there are processors: some wait for other programs, for the disk, or for time to pass.
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 1, help="processes at once")
    options = parser.parse_args()
    names = listed(options.bundle)
    runs, complaints, began = [], [], collections.Counter()
    for number, suites in enumerate(parts(names)):
        runs.append(Part(options.bundle, suites, options.logs / f"{number:02}"))
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for part in pool.map(Part.run, runs):
            complaints += part.complaints()
            began.update(part.ended)
            suites = part.suites[0] + (f" … {part.suites[-1]}" if part.suites[1:] else "")
            print(f"{part.seconds:6.1f} s  {part.busy:6.1f} s busy  {len(part.ended):4} tests  {suites}", flush=True)
    wrong = {name: began[name] for name in set(names) | set(began) if began[name] != names.count(name)}
    complaints += [f"FAILED  ran {count} times, is listed {names.count(name)} times: {name}\n"
                   for name, count in sorted(wrong.items())]
    print("".join(complaints), end="")
    failed = sum(len(part.failed) for part in runs) + len(wrong)
    print(f"{len(names)} tests are listed, {sum(began.values())} ran, in {len(runs)} processes, "
          f"which worked {sum(part.busy for part in runs):.0f} s; logs: {options.logs}")
    print(f"{sum(began.values()) - sum(len(part.failed) for part in runs)} passed, {failed or len(complaints)} failed")
    return 1 if complaints or not names else 0


sys.exit(main())
