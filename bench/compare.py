#!/usr/bin/env python3
"""Compares the costs of two builds: the table of smbench, from both in turn.

usage: bench/compare.py OLD NEW [ROUNDS]

OLD and NEW are directories with smbench and the servers beside it. One run says little on a machine
that is shared, so each round runs both, pinned to one processor, and the ratio of their medians
over all rounds counts. Exit status 1 if a row of NEW costs more than 1.03 times what it costs in OLD.
"""

import json
import os
import statistics
import subprocess
import sys

KINDS = "smdish", "smuf", "smc"
MOST = 1.03


def measure(directory):
    """Yields (row, median in ns) for each kind and row of the table."""
    processor = max(os.sched_getaffinity(0))
    command = ["taskset", "-c", str(processor), os.path.join(directory, "smbench"), "-j"]
    table = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    for row in table["rows"]:
        for kind in KINDS:
            yield (row["segment"], row["changed"], kind), row[kind]["median_ns"]


def compare(old, new, rounds):
    """Prints the table. Returns how many rows cost too much."""
    costs = {}
    for _ in range(rounds):
        for build in old, new:
            for row, ns in measure(build):
                costs.setdefault(row, {old: [], new: []})[build].append(ns)
    print(f"{'segment':>8} {'changed':>8} {'kind':<7} {'old ns':>8} {'new ns':>8}  ratio")
    slower = 0
    for row in sorted(costs):
        before, after = (statistics.median(costs[row][build]) for build in (old, new))
        slower += after > MOST * before
        print("%8d %8d %-7s %8.0f %8.0f  %.3f%s"
              % (*row, before, after, after / before, " slower" if after > MOST * before else ""))
    print(f"{len(costs)} rows, {rounds} rounds; {slower} slower by more than 3 %")
    return slower


def main():
    if len(sys.argv) not in (3, 4) or os.path.samefile(sys.argv[1], sys.argv[2]):
        sys.exit(__doc__)
    rounds = int(sys.argv[3]) if len(sys.argv) == 4 else 8
    sys.exit(compare(sys.argv[1], sys.argv[2], rounds) > 0)


main()
