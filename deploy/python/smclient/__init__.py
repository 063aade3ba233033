"""smclient: shared memory and locks for processes that have private memory only.

A *memory file* is a lock, or a lock with a shared segment. Each process works on its own replica of
the segment: acquiring the lock brings the replica up to date, releasing it publishes the changes,
and a process that dies in between publishes nothing. With a mount file app.conf of the line
`MOUNT unix:/run/smdish.sock /shared smdish`, this counts:

    import smclient

    with smclient.Mounts("app.conf") as mounts, mounts.open("/shared/counter") as file:
        with file.map(8) as memory, memory.cast("Q") as counter:
            with file.lock():
                counter[0] += 1

Read and write a segment only inside a critical section. smclient(3) has the rules, the mount files,
and for each error its remedy. A call that fails raises an Error, which is an OSError: errno, and in
strerror the sentence of sm_error(3). A call on something that was closed raises a ValueError.

Sizes and offsets are bytes, times are seconds. While a call waits, other threads run; a signal whose
handler raises, such as that of Ctrl-C, ends the wait for a lock. After os.fork() parent and child
both go on with all that was open; locks stay with the parent.

It needs libsmclient.so.1 where the loader finds it, and CPython from 3.10 on, which counts
references, and runs the handlers of signals at calls and loops only.
"""

from .library import (
    DeadlockError,
    DeniedError,
    Error,
    ExistsError,
    IntegrityError,
    NotFoundError,
    ServerError,
    StaleError,
    TimedOutError,
    WouldBlockError,
)
from .memory import File, Grant, Held, Holder, Mode, Mounts, Segment, Stat, Type, version

__all__ = [
    "DeadlockError",
    "DeniedError",
    "Error",
    "ExistsError",
    "File",
    "Grant",
    "Held",
    "Holder",
    "IntegrityError",
    "Mode",
    "Mounts",
    "NotFoundError",
    "Segment",
    "ServerError",
    "StaleError",
    "Stat",
    "TimedOutError",
    "Type",
    "version",
    "WouldBlockError",
]
