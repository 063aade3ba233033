#!/usr/bin/env python3
"""counter: adds to a counter that processes share; the same as counter.c, which says more."""

import sys

import smclient


def run(conf, times):
    with smclient.Mounts(conf) as mounts, mounts.open("/shared/counter") as file:
        with file.map(8) as memory, memory.cast("Q") as counter:
            for _ in range(times):
                with file.lock():
                    counter[0] += 1
            with file.rdlock():
                print(counter[0], flush=True)
            sys.stdin.read()


if len(sys.argv) != 3:
    sys.exit("usage: counter.py MOUNTFILE TIMES")
try:
    run(sys.argv[1], int(sys.argv[2]))
except smclient.Error as error:
    sys.exit(f"counter.py: {error.strerror}")
