"""The clock of a transfer: what its receiver has on disk, looked at often. Progress is told twice a second only."""

import os
import threading
import time

LOOK = 0.02


class Stored:
    """Bytes of the largest file in a folder, which is the one that is received; looked at until `end`.

    Blocks are counted, so that a file counts for what was written to it.
    """

    def __init__(self, folder):
        self.folder = folder
        # Each time that there was more: when it was seen, and how much there was.
        self.seen = []
        self.waiting = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def when(self, count, action):
        """Calls that once, on the thread that looks, when so many bytes are there."""
        self.waiting = (count, action)

    def end(self):
        self.over.set()
        self.thread.join()

    def look(self):
        while not self.over.wait(LOOK):
            count = largest(self.folder)
            if count > self.bytes:
                self.seen.append((time.monotonic(), count))
            if self.waiting and count >= self.waiting[0]:
                action, self.waiting = self.waiting[1], None
                action()

    @property
    def bytes(self):
        return self.seen[-1][1] if self.seen else 0

    def at(self, moment):
        """How many were there then."""
        return max((count for when, count in self.seen if when <= moment), default=0)

    def gap(self, since, until=None):
        """The longest time without a byte from a moment on: to the last byte, or to `until`."""
        times = [since, *(when for when, _ in self.seen if when > since), *([until] if until else [])]
        return max((later - earlier for earlier, later in zip(times, times[1:])), default=0)


def largest(folder):
    count = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                count = max(count, os.lstat(os.path.join(path, name)).st_blocks * 512)
            except FileNotFoundError:
                pass  # it has its own name by now, and is seen next time
    return count
