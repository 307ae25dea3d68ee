"""Lists the types of more than 50 lines that do not stand in a file of their name, where a reader looks for them.

`X.swift`, `X+What.swift` and `XWhat.swift` are names of X's; by convention `X+StateMachine.swift` has `XMachine`,
`X+Wire.swift` the `XMessage`s, and a command's file its `XPlan`.
"""

import pathlib
import re
import sys

LONGEST = 50
DECLARES = re.compile(r"^(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|private|fileprivate|final|indirect|"
                      r"nonisolated)\s+)*(?:struct|class|enum|actor|protocol)\s+(\w+)")
# What has another name all the same, and why.
MAY = {
    "PubSubRouter": "of PubSub+StateMachine.swift: as the specification calls what decides",
    "ProbeMachine": "of HolePunch+StateMachine.swift: hole punching is probes",
    "PubSubRPC": "of PubSub+Wire.swift: as the specification calls the message",
    "SenderRun": "of TransferSender.swift, private: one run of it",
    "PingRun": "of Pings.swift, private: one run of them",
    "HeaderReader": "of Messaging+Headers.swift, private: beside what writes the same bytes",
}


def is_named(name, path):
    base, joined = path.stem.split("+")[0], path.stem.replace("+", "")
    return name in {path.stem, base, joined, base + "Machine", base + "Message", base + "Plan"}


def types(lines):
    """(name, number of its first line, lines) of each at the top level; the formatter closes it in the first column."""
    for index, line in enumerate(lines):
        found = DECLARES.match(line)
        if found:
            end = next((at for at in range(index, len(lines)) if lines[at].startswith("}") or
                        at == index and line.rstrip().endswith("}")), index)
            yield found[1], index + 1, end - index + 1


def main():
    found = False
    for path in sorted(pathlib.Path(__file__).parent.parent.glob("Sources/**/*.swift")):
        if path.name.endswith(".pb.swift"):
            continue
        for name, number, length in types(path.read_text().split("\n")):
            if length > LONGEST and not is_named(name, path) and name not in MAY:
                print(f"{path}:{number}: {name} has {length} lines: it stands in a file of its name")
                found = True
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
