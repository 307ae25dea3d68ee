"""Runs commands, in the lab's namespaces or outside, and ends what it started."""

import os
import signal
import subprocess

# A machine that is busy compiling takes its time over the smallest command.
COMMAND_TIMEOUT = 120


class LabError(Exception):
    pass


def run(*arguments, text=None):
    """Runs a command to its end and returns its output; raises LabError with what it said when it fails."""
    try:
        done = subprocess.run(arguments, input=text, capture_output=True, text=True, timeout=COMMAND_TIMEOUT)
    except subprocess.TimeoutExpired as expired:
        raise LabError(f"{' '.join(arguments)}: does not end") from expired
    if done.returncode != 0:
        raise LabError(f"{' '.join(arguments)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


class Process:
    """A program in a namespace, in a process group of its own so that ending it ends what it started."""

    def __init__(self, namespace, arguments, stdin=subprocess.DEVNULL, environment=None):
        self.arguments = arguments
        self.child = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *arguments],
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            env={**os.environ, **(environment or {})},
        )

    def signal(self, number):
        if self.child.poll() is None:
            os.killpg(self.child.pid, number)

    def end(self):
        """Asks it to stop, insists after two seconds, and reaps it."""
        self.signal(signal.SIGTERM)
        try:
            self.child.wait(2)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.child.wait(5)
        for stream in (self.child.stdin, self.child.stdout, self.child.stderr):
            if stream:
                stream.close()
