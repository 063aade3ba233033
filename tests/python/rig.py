"""What the tests of the Python module share.

The working directory has the mount file `mounts`. Environment: KINDS, the paths below which files
of each kind are; PATIENCE, the seconds to wait for what should happen at once.
"""

import contextlib
import functools
import os
import signal
import time
import traceback

import smclient

KINDS = os.environ["KINDS"].split()
PATIENCE = int(os.environ["PATIENCE"])


def each_kind(test):
    """A test(self, path) that runs with a path of its own below each kind's."""

    @functools.wraps(test)
    def run(self):
        for place in KINDS:
            with self.subTest(place):
                test(self, f"{place}/{test.__name__}")

    return run


@contextlib.contextmanager
def counter(path):
    """An open memory file with one number: (file, counter)."""
    with smclient.Mounts("mounts") as mounts, mounts.open(path) as file:
        with file.map(8) as memory, memory.cast("Q") as numbers:
            yield file, numbers


def count(file, numbers, times):
    for _ in range(times):
        with file.lock():
            numbers[0] += 1


def fork(body):
    """Runs body() in a child; returns its process. The child exits with 0 unless body() raises."""
    child = os.fork()
    if child != 0:
        return child
    status = 1
    try:
        body()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def end(child):
    """Waits for a child. Returns its status: of exit, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextlib.contextmanager
def other_process(body):
    """Runs body(told) in a child that is stopped when it calls told(), and is killed at the end."""
    came, tell = os.pipe()

    def run():
        def told():
            os.write(tell, b".")
            signal.pause()

        body(told)

    child = fork(run)
    os.close(tell)
    try:
        if os.read(came, 1) != b".":
            raise RuntimeError("the other process failed")
        yield child
    finally:
        os.close(came)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def await_until(what, is_so):
    """Looks again and again until is_so() is true."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: it did not come to that in {PATIENCE} s")
        time.sleep(0.01)
