"""Lists each `try?` in Sources that gives no reason: errors pass `traced`, or are lost for one that stands beside it.

A reason is a comment on the line itself or on the one above; of lines one below the other that all have a `try?`, above
the first.
"""

import pathlib
import re
import sys

LOSES = re.compile(r"\btry\? ")


def without_reason(lines):
    """The numbers of the lines, from 1, whose `try?` has none."""
    for index, line in enumerate(lines):
        if not LOSES.search(line.split("//")[0]) or "//" in line:
            continue
        above = index - 1
        while above >= 0 and LOSES.search(lines[above].split("//")[0]) and "//" not in lines[above]:
            above -= 1
        if above < 0 or "//" not in lines[above]:
            yield index + 1


def main():
    found = False
    for path in sorted(pathlib.Path(__file__).parent.parent.glob("Sources/**/*.swift")):
        if path.name.endswith(".pb.swift"):
            continue
        for number in without_reason(path.read_text().split("\n")):
            print(f"{path}:{number}: an error is lost without a reason: trace it, or say why not")
            found = True
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
