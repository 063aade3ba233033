"""Sets of mounts, memory files and their segments as objects that close what they have.

Each object has its pointer until it is closed, and refuses calls from then on. A segment's memory
ends only when nothing can see it any more: every memoryview of it, and every view of such a view,
refers to one ctypes array, and unmapping counts the references to that. A weak reference would not
do: the collector clears it before the finalizers of what it collects, which may still use a view.

Threads may map and unmap at the same time, and a signal's handler may raise between any two steps.
So unmapping first takes the view away, then counts, then takes the segment out of the set's table,
and only then ends the memory. Both come back if the memory stays.
"""

import ctypes
import enum
import errno
import os
import sys
import threading
import time
import warnings
import weakref
from itertools import starmap
from typing import Final, NamedTuple, Optional, Union

from . import library
from .library import c, check, check_pointer, failure

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]

# For results that nothing reads, of any thread.
_unread: Final = ctypes.byref(ctypes.c_uint64())

# Thirty years: a longer time is as good as none, and the end of it is still a time.
_TIMEOUT_MOST: Final = 1e9


class Type(enum.IntEnum):
    """What a memory file is."""

    PURE = 0  # a lock without a segment
    SEGMENT = 1  # a lock with a segment
    UNPUBLISHED = 2  # a segment that no process has published to


class Mode(enum.IntEnum):
    """How a lock is held."""

    FREE = 0
    WRITE = library.WRITE
    READ = library.READ


class Stat(NamedTuple):
    """The state of a memory file, as sm_stat(3) has it."""

    life: int  # random, drawn when the file was created: identifies it
    size: int  # bytes of the segment; 0 for a pure lock
    committed: int  # bytes of the segment that have memory or storage
    type: Type
    open_count: int  # one a process, forked children included
    waiters: int  # requests that wait for the lock
    version: int  # the grant that published last; 0: none did
    grants: int  # of the lock, since the file was created; smc: turns of the lock
    instance: bytes  # 16, random, drawn when the server started; smc: zeros


class Holder(NamedTuple):
    """How a lock is held, as sm_holder(3) has it."""

    mode: Mode
    pid: int  # of the holder, or of one of the readers, as it says; -1: not known


class Grant(NamedTuple):
    """A fencing token, as sm_grant(3) has it."""

    life: int
    grant: int  # rises within a life


def version() -> str:
    """The version of the library."""
    text: bytes = c.sm_version()
    return text.decode()


def _encode(text: Path) -> bytes:
    encoded = os.fsencode(text)
    if b"\0" in encoded:
        raise ValueError(f"a zero byte is in {text!r}")
    return encoded


def _deadline(timeout: float) -> library.Timespec:
    if not timeout >= 0:
        raise ValueError(f"a timeout is at least 0 seconds, and not {timeout}")
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    seconds, nanoseconds = divmod(now + int(min(timeout, _TIMEOUT_MOST) * 1e9), 10**9)
    return library.Timespec(seconds, nanoseconds)


_sets: Final["weakref.WeakSet[Mounts]"] = weakref.WeakSet()


def _renew_locks() -> None:
    """In a fork's child: a thread of the parent may have had a lock."""
    for mounts in _sets:
        mounts._unmapping = threading.RLock()


os.register_at_fork(after_in_child=_renew_locks)


class Mounts:
    """A set of mounts, and all that is opened through it. Leaving its `with` closes it."""

    def __init__(self, conf: Optional[Path] = None) -> None:
        """Makes a set without mounts, or with those of the mount file conf."""
        self._sm: Optional[int] = None
        self._segments: dict[int, Segment] = {}  # by address
        # The thread that ends a mapping has the lock, and counts it. Finalizers and the handlers of
        # signals run in the midst of that, and may do the same: the lock is a recursive one.
        self._unmapping = threading.RLock()
        self._unmaps = 0
        _sets.add(self)
        self._sm = check_pointer(c.sm_new())
        try:
            if conf is not None:
                self.load(conf)
        except BaseException:
            self.close()
            raise

    def _pointer(self) -> int:
        if self._sm is None:
            raise ValueError("the set of mounts is closed")
        return self._sm

    def load(self, conf: Path) -> None:
        """Adds the mounts of a mount file; after a failure the set is unchanged."""
        check(c.sm_load(self._pointer(), _encode(conf)))

    def mount(self, uri: str, path: str, type: str, options: Optional[str] = None) -> None:
        """Adds a mount; the words are those of a line of a mount file."""
        words = [_encode(word) for word in (uri, path, type)]
        last = None if options is None else _encode(options)
        check(c.sm_mount(self._pointer(), *words, last))

    def open(
        self, path: Path, *, create: bool = True, exclusive: bool = False, owner: bool = False
    ) -> "File":
        """Opens the memory file at path, and creates it if no process has it open.

        create=False: that is a NotFoundError instead. exclusive: an ExistsError if a process has it
        open. owner: locks belong to the File, and any thread may release them.
        """
        flags = (
            create * library.OPEN_CREATE
            + exclusive * library.OPEN_EXCLUSIVE
            + owner * library.OPEN_OWNER
        )
        text = _encode(path)
        file = check_pointer(c.sm_open_flags(self._pointer(), text, flags))
        return File(self, file, os.fsdecode(text), owner)

    def close(self) -> None:
        """Closes and unmaps all that was opened through the set, and publishes nothing.

        BufferError: a view of a segment is in use; then nothing is closed. No other thread may be
        using any of it. Again it does nothing.
        """
        with self._unmapping:
            if self._sm is None:
                return
            segments = list(self._segments.values())
            try:
                for segment in segments:
                    segment._hide()
            except BaseException:
                for segment in segments:
                    segment._show()
                raise
            self._unmaps += 1
            self._segments.clear()
            sm, self._sm = self._sm, None
            c.sm_free(sm)

    def __enter__(self) -> "Mounts":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_sm", None) is None:
            return
        warnings.warn("a set of mounts was not closed", ResourceWarning, source=self)
        try:
            self.close()
        except BufferError:
            pass  # The views outlive the set: so does the memory.


class File:
    """An open memory file; Mounts.open() makes it. Leaving its `with` closes it.

    Threads may use it at a time, but for close(). A lock belongs to the thread that acquired it.
    """

    def __init__(self, mounts: Mounts, pointer: int, path: str, is_owner: bool) -> None:
        self._mounts = mounts
        self._file: Optional[int] = pointer
        self._is_owner: Final = is_owner
        self._is_read = False  # by a thread, of an owner
        self.path: Final = path

    def _pointer(self) -> int:
        if self._file is None or self._mounts._sm is None:
            raise ValueError(f"{self.path}: the memory file is closed")
        return self._file

    def map(self, size: int = 0) -> "Segment":
        """Maps the segment, size bytes, and creates it if the file has none; 0: the size it has.

        A path has one Segment in a process: mapping again returns the same.
        """
        if not 0 <= size <= sys.maxsize:
            raise ValueError(f"a size is from 0 to {sys.maxsize} bytes, and not {size}")
        size = size or self.stat().size
        mounts = self._mounts
        while True:
            with mounts._unmapping:
                unmaps = mounts._unmaps
            address = check_pointer(c.sm_map(self._pointer(), None, size))
            segment = Segment(mounts, address, size, self.path)
            with mounts._unmapping:
                # Otherwise the memory at the address may have ended meanwhile: map again.
                if mounts._unmaps == unmaps:
                    return mounts._segments.setdefault(address, segment)

    def lock(self, timeout: Optional[float] = None) -> "Held":
        """Acquires the lock exclusively and brings the segment up to date.

        Waits timeout seconds, then raises a TimedOutError; None: as long as it takes; 0: does not
        wait for other holders, but raises a WouldBlockError. A thread that holds the lock for
        reading writes once the other readers have left; after a failure it reads on.
        """
        return self._acquire(library.WRITE, timeout)

    def rdlock(self, timeout: Optional[float] = None) -> "Held":
        """Acquires the lock for reading, otherwise like lock(). Readers share the lock."""
        return self._acquire(library.READ, timeout)

    def _acquire(self, mode: int, timeout: Optional[float]) -> "Held":
        deadline = None if timeout is None else _deadline(timeout)
        how = mode + library.INTERRUPTIBLE + (library.TRY if timeout == 0 else 0)
        # A reader that comes to write keeps the lock, whatever happens.
        is_reader = mode == library.WRITE and (self._is_read if self._is_owner else self._is_held())
        result = -1
        try:
            while True:
                # After a plain call a signal's handler may raise before the result is assigned.
                (result,) = starmap(c.sm_acquire, ((self._pointer(), how, deadline),))
                if result == 0:
                    self._is_read = mode == library.READ
                    return Held(self)
                # Python has run the signal's handler, which did not raise.
                if ctypes.get_errno() != errno.EINTR:
                    break
        except BaseException:
            # The handler of a signal has raised; the lock may have been acquired before.
            if result == 0 and not is_reader:
                self.unlock()
            raise
        raise failure()

    def _is_held(self) -> bool:
        """True when this thread holds the lock."""
        return c.sm_grant(self._pointer(), _unread, _unread) == 0

    def unlock(self) -> None:
        """Releases the lock, and publishes the changes if it was exclusive.

        StaleError: the server has taken the lock away, and nothing was published.
        """
        self._is_read = False
        if c.sm_unlock(self._pointer()) == -1:
            raise failure()

    def downgrade(self) -> None:
        """Publishes the changes, and goes on to hold the lock for reading."""
        check(c.sm_downgrade(self._pointer()))
        self._is_read = True

    def dirty(self, offset: int, length: int) -> None:
        """Names length bytes at offset that this critical section writes: for track=hint."""
        if not (0 <= offset <= sys.maxsize and 0 <= length <= sys.maxsize):
            raise ValueError(f"an offset and a length are from 0 to {sys.maxsize} bytes")
        check(c.sm_dirty(self._pointer(), offset, length))

    def grant(self) -> Grant:
        """The fencing token of the lock that this thread holds."""
        life, grant = ctypes.c_uint64(), ctypes.c_uint64()
        check(c.sm_grant(self._pointer(), ctypes.byref(life), ctypes.byref(grant)))
        return Grant(life.value, grant.value)

    def stat(self) -> Stat:
        """Asks the server about the file, or reads its lock file (smc)."""
        s = library.CStat()
        check(c.sm_stat(self._pointer(), ctypes.byref(s)))
        return Stat(
            life=s.life,
            size=s.size,
            committed=s.committed,
            type=Type(s.type),
            open_count=s.open_count,
            waiters=s.waiters,
            version=s.version,
            grants=s.grants,
            instance=bytes(s.instance),
        )

    def holder(self) -> Holder:
        """How the lock is held; the holder may have changed when the call returns."""
        h = library.CHolder()
        check(c.sm_holder(self._pointer(), ctypes.byref(h)))
        return Holder(Mode(h.mode), h.pid)

    def close(self) -> None:
        """Closes the handle. If it holds the lock, releases that and publishes nothing.

        A mapped segment stays until unmap(). An Error is the failure of an earlier unlock(); the
        handle is closed all the same. Again it does nothing.
        """
        if self._file is None or self._mounts._sm is None:
            return
        file, self._file = self._file, None
        check(c.sm_close(file))

    def __enter__(self) -> "File":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Held:
    """A lock that File.lock() or rdlock() has acquired. Leaving its `with` releases it.

    That also holds when an exception leaves it: the changes until then are published. To publish
    nothing, close the file.
    """

    __slots__ = ("_file",)

    def __init__(self, file: File) -> None:
        self._file = file

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_: object) -> None:
        file = self._file
        # Closing the file inside released the lock.
        if file._file is not None and file._mounts._sm is not None:
            file.unlock()


class Segment:
    """A mapped segment; File.map() makes it. Its `with` gives the view, and leaving it unmaps."""

    def __init__(self, mounts: Mounts, address: int, size: int, path: str) -> None:
        self._mounts = mounts
        self._address: Final = address
        self._array: Final = (ctypes.c_ubyte * size).from_address(address)
        # The references to it that are not of views, as this Python counts them.
        self._references: Final = sys.getrefcount(self._array)
        self._view: Optional[memoryview] = None
        self._show()
        self.size: Final = size
        self.path: Final = path

    @property
    def view(self) -> memoryview:
        """The bytes of the segment, writable; cast() makes numbers of them.

        ValueError: the segment is unmapped, or another thread is about to.
        """
        view = self._view
        if view is None:
            raise ValueError(f"{self.path}: the segment is unmapped")
        return view

    def _show(self) -> None:
        if self._view is None:
            self._view = memoryview(self._array).cast("B")

    def _hide(self) -> None:
        """Releases the view. BufferError: something else still sees the memory."""
        view, self._view = self._view, None
        try:
            if view is not None:
                view.release()
        except BufferError:
            self._view = view
            raise
        if sys.getrefcount(self._array) > self._references:
            raise BufferError(f"{self.path}: a view of the segment is in use: release it first")

    def unmap(self) -> None:
        """Wipes and ends the mapping, for all who have mapped the path.

        BufferError: views other than `view` are in use: release them. EBUSY: this process holds the
        lock or waits for it. Then the mapping stays, and `view` is a new one; after another Error
        it is gone. Again it does nothing.
        """
        mounts = self._mounts
        with mounts._unmapping:
            if mounts._segments.get(self._address) is not self:
                return
            try:
                self._hide()
            except BaseException:
                self._show()
                raise
            mounts._unmaps += 1
            # No handler of a signal, which might map again, runs between these two.
            del mounts._segments[self._address]
            if c.sm_unmap(mounts._sm, self._address) == -1:
                error = failure()
                if error.errno == errno.EBUSY:
                    mounts._segments.setdefault(self._address, self)._show()
                raise error

    def __enter__(self) -> memoryview:
        return self.view

    def __exit__(self, *_: object) -> None:
        self.unmap()
