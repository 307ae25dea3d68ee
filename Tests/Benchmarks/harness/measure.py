"""Running commands and taking their wall time, CPU time and peak memory."""

import json
import os
import signal
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass


@dataclass
class Usage:
    """What one finished process used. `cpu` covers the children it reaped; `peak_kib` is its own highest RSS."""

    status: int
    cpu: float
    peak_kib: int


class Process:
    """A child whose resource usage is wanted.

    Peak memory is read from /proc while it runs: `ru_maxrss` starts at the size of the process that forked it.
    """

    def __init__(self, argv, *, watch_memory=False, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.PIPE)
        self.argv = argv
        self.child = subprocess.Popen(argv, **options)
        self.usage = None
        self._errors = []
        self._peak = 0
        self._drain = None
        if self.child.stderr is not None:
            self._drain = threading.Thread(target=self._read_errors, daemon=True)
            self._drain.start()
        if watch_memory:
            threading.Thread(target=self._watch, daemon=True).start()

    def _read_errors(self):
        for line in self.child.stderr:
            self._errors = (self._errors + [line.decode(errors="replace").rstrip()])[-20:]

    def _watch(self):
        while self.usage is None:
            self._peak = max(self._peak, status_kib(self.child.pid, "VmHWM"))
            time.sleep(0.02)

    @property
    def errors(self):
        """The last lines of its standard error."""
        return self._errors

    @property
    def pid(self):
        return self.child.pid

    def wait(self, timeout=600):
        """Waits for the end, checks the exit status, returns the usage."""
        timer = threading.Timer(timeout, lambda: os.kill(self.pid, signal.SIGKILL))
        timer.start()
        _, status, usage = os.wait4(self.pid, 0)
        timer.cancel()
        self.child.returncode = os.waitstatus_to_exitcode(status)
        self.usage = Usage(self.child.returncode, usage.ru_utime + usage.ru_stime, self._peak)
        if self._drain is not None:
            self._drain.join(timeout=2)
        return self.usage

    def succeed(self, timeout=600):
        """As `wait`, and fails with the process's own last words when the exit status is not 0."""
        usage = self.wait(timeout)
        if usage.status != 0:
            words = "\n  ".join(self._errors) or "(no message)"
            raise Failure(f"{' '.join(map(str, self.argv))}: exit status {usage.status}\n  {words}")
        return usage

    def stop(self, number=signal.SIGTERM):
        if self.usage is None:
            os.kill(self.pid, number)
            self.wait(timeout=10)
        return self.usage


class Failure(Exception):
    """A command that a row needs failed; the row is reported as failed with this text."""


def status_kib(pid, field):
    """A memory field of /proc/PID/status in KiB; 0 once the process is gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def cpu_seconds(pid):
    """What a running process has used so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_json(argv, timeout=300):
    """Runs a command that prints one JSON object; returns it."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, argv))}: exit status {done.returncode}\n  {done.stderr.decode(errors='replace')}")
    return json.loads(done.stdout)


def median(values):
    return statistics.median(values)


def alternate(runs, *measurements):
    """Runs the measurements in turn, `runs` rounds, so that each stands beside the others in the same minute.

    Returns one list of results for each.
    """
    results = [[] for _ in measurements]
    for _ in range(runs):
        for index, measurement in enumerate(measurements):
            results[index].append(measurement())
    return results
