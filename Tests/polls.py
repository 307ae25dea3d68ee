"""Lists each loop in Sources that sleeps without a reason: what is waited for has an event (`Waiter`, `Signal`).

A reason is a comment on the line that sleeps or on the one above it: that time itself is what is waited for, or that
nobody tells when it has happened.
"""

import pathlib
import re
import sys

SLEEPS = re.compile(r"\bsleep\(for:|\bTask\.sleep\b|\bTask\.yield\(|\b(u|nano)sleep\(|\bThread\.sleep\b")
LOOPS = re.compile(r"^(\w+: )?(while|for|repeat)\b")
SCOPES = re.compile(r"\bfunc\b|\binit[(?]|\bvar\b.*\{$")


def is_in_loop(lines, index):
    """Whether the line is inside a loop of its function, or is one; the formatter's indentation says what is inside what."""
    if LOOPS.match(lines[index].strip()):
        return True
    indent = len(lines[index]) - len(lines[index].lstrip())
    for line in reversed(lines[:index]):
        depth = len(line) - len(line.lstrip())
        if not line.strip() or depth >= indent:
            continue
        if LOOPS.match(line.strip()):
            return True
        if SCOPES.search(line):
            return False
        indent = depth
    return False


def without_reason(lines):
    """The numbers of the lines, from 1, that sleep in a loop and say no reason."""
    for index, line in enumerate(lines):
        if not SLEEPS.search(line.split("//")[0]) or "//" in line or not is_in_loop(lines, index):
            continue
        if index == 0 or not lines[index - 1].strip().startswith("//"):
            yield index + 1


def main():
    found = False
    for path in sorted(pathlib.Path(__file__).parent.parent.glob("Sources/**/*.swift")):
        for number in without_reason(path.read_text().split("\n")):
            print(f"{path}:{number}: sleeps in a loop: wait for what it looks for, or say why that can't be")
            found = True
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
