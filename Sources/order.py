"""order.py FOLDER PROGRAM CONNECTIONS PARTS: the names of the functions that ran, in the order that the linker shall have them.

FOLDER holds callgrind's profiles (Sources/order.sh). First what runs for each connection or each part of a file, then the
rest; of both, what the same commands run stands together, that of all of them first, callees behind their callers (the C3 of
"Optimizing Function Placement for Large-Scale Data-Center Applications", Ottoni and Maher, 2017). Names that several functions
have are last: the linker takes all of those.
"""

import collections
import pathlib
import subprocess
import sys

# Functions that are kept together: some pages of them.
CLUSTER = 40


def profile(path, program):
    """The program's functions that ran, and how often each called which."""
    ran, calls = set(), collections.Counter()
    own, caller, callee = False, None, None
    with open(path) as lines:
        for line in lines:
            key, _, value = line.rstrip("\n").partition("=")
            if key == "ob":
                own = value == program
            elif key == "fn":
                caller = value
                if own and not value.startswith("0x") and not set(value) & set("() "):
                    ran.add(value)
            elif key == "cfn":
                callee = value
            elif key == "calls":
                calls[caller, callee] += int(value.split()[0])
    return ran, calls


def callees(calls):
    times = collections.Counter()
    for (_, callee), count in calls.items():
        times[callee] += count
    return times


def clustered(names, calls):
    """Those names, each behind whoever calls it most, as long as there is room; the busiest clusters first."""
    names, times, callers = set(names), callees(calls), collections.defaultdict(list)
    for (caller, callee), count in calls.items():
        if caller in names and callee in names and caller != callee:
            callers[callee].append((-count, caller))
    clusters = {name: [name] for name in names}
    leader = {name: name for name in names}
    for name in sorted(names, key=lambda name: (-times[name], name)):
        first = leader[min(callers[name])[1]] if callers[name] else leader[name]
        second = leader[name]
        if first != second and len(clusters[first]) + len(clusters[second]) <= CLUSTER:
            leader.update((moved, first) for moved in clusters[second])
            clusters[first] += clusters.pop(second)
    return [name for first in sorted(clusters, key=lambda first: (
        -sum(times[name] for name in clusters[first]) / len(clusters[first]), first)) for name in clusters[first]]


def main():
    folder, program, connections, parts = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    listed = subprocess.run(["nm", "--defined-only", program], check=True, capture_output=True, text=True).stdout
    symbols = collections.Counter(line.split()[2] for line in listed.splitlines() if len(line.split()) == 3)
    profiles = {path.stem: profile(path, program) for path in folder.glob("*.profile")}
    served, sent = (callees(profiles[run][1]) for run in ("listen", "file"))
    calls = sum((profiles[run][1] for run in profiles), collections.Counter())
    groups, ambiguous = collections.defaultdict(list), []
    for name in sorted(set().union(*(ran for ran, _ in profiles.values()))):
        runs = sorted(run for run in profiles if name in profiles[run][0])
        is_hot = served[name] >= connections or sent[name] >= parts
        (ambiguous if symbols[name] > 1 else groups[not is_hot, -len(runs), *runs]).append(name)
    for group in sorted(groups):
        print(*clustered(groups[group], calls), sep="\n")
    print(*ambiguous, sep="\n")


main()
