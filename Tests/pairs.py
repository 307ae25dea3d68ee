"""Lists the folders of SystemLayer that use each other's types: of two folders one stands below the other.

A name that a folder declares itself, also inside of another type, is its own there.
"""

import pathlib
import re
import sys

DECLARES = re.compile(r"^(?:@\w+\s+)*(?:(?:public|package|internal|final|indirect|nonisolated)\s+)*"
                      r"(?:struct|class|enum|actor|protocol|typealias)\s+(\w+)", re.MULTILINE)
INSIDE = re.compile(r"\b(?:struct|class|enum|actor|protocol|typealias|associatedtype)\s+(\w+)")
# Not one behind a point: that is a nested type, or a case.
USES = re.compile(r"(?<![.\w])[A-Z]\w+")


def code(path):
    """Its text without comments and texts."""
    return re.sub(r"//.*", "", re.sub(r'"(?:\\.|[^"\\\n])*"', "", path.read_text()))


def main():
    layer = pathlib.Path(__file__).parent.parent / "Sources/SystemLayer"
    texts = {}
    for path in sorted(layer.glob("*/*/*.swift")):
        folder = str(path.parent.relative_to(layer))
        texts[folder] = texts.get(folder, "") + code(path)
    home = {name: folder for folder, text in texts.items() for name in DECLARES.findall(text)}
    uses = {}
    for folder, text in texts.items():
        for name in set(USES.findall(text)) - set(INSIDE.findall(text)):
            if home.get(name, folder) != folder:
                uses.setdefault((folder, home[name]), []).append(name)
    both = sorted(pair for pair in uses if pair[0] < pair[1] and pair[::-1] in uses)
    for one, other in both:
        print(f"{one} uses {', '.join(sorted(uses[one, other]))} of {other}, "
              f"which uses {', '.join(sorted(uses[other, one]))} of it")
    return int(bool(both))


if __name__ == "__main__":
    sys.exit(main())
