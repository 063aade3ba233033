"""The functions of libsmclient, as smclient.h declares them, and its errors as exceptions.

ctypes gives the interpreter to other threads while a call waits. Nothing here checks whether a
pointer is still valid: the classes of memory.py do.
"""

import ctypes
import errno
from typing import Any, Final, Optional

SONAME: Final = "libsmclient.so.1"

OPEN_CREATE: Final = 1
OPEN_EXCLUSIVE: Final = 2
OPEN_OWNER: Final = 4

WRITE: Final = 1
READ: Final = 2
TRY: Final = 4
INTERRUPTIBLE: Final = 8


class Timespec(ctypes.Structure):
    """struct timespec: a time of CLOCK_MONOTONIC, seconds and nanoseconds."""

    _fields_ = [("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long)]


class CStat(ctypes.Structure):
    """struct sm_stat."""

    _fields_ = [
        ("life", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("committed", ctypes.c_uint64),
        ("type", ctypes.c_uint32),
        ("open_count", ctypes.c_uint32),
        ("waiters", ctypes.c_uint32),
        ("version", ctypes.c_uint64),
        ("grants", ctypes.c_uint64),
        ("instance", ctypes.c_uint8 * 16),
    ]


class CHolder(ctypes.Structure):
    """struct sm_holder."""

    _fields_ = [("mode", ctypes.c_uint32), ("pid", ctypes.c_int64)]


_SM = ctypes.c_void_p
_FILE = ctypes.c_void_p
_U64 = ctypes.POINTER(ctypes.c_uint64)

# Of each function the type of its result and those of its arguments.
PROTOTYPES: Final[dict[str, tuple[Any, list[Any]]]] = {
    "sm_new": (_SM, []),
    "sm_free": (None, [_SM]),
    "sm_load": (ctypes.c_int, [_SM, ctypes.c_char_p]),
    "sm_mount": (ctypes.c_int, [_SM] + 4 * [ctypes.c_char_p]),
    "sm_open": (_FILE, [_SM, ctypes.c_char_p]),
    "sm_open_flags": (_FILE, [_SM, ctypes.c_char_p, ctypes.c_int]),
    "sm_close": (ctypes.c_int, [_FILE]),
    "sm_map": (ctypes.c_void_p, [_FILE, ctypes.c_void_p, ctypes.c_size_t]),
    "sm_unmap": (ctypes.c_int, [_SM, ctypes.c_void_p]),
    "sm_lock": (ctypes.c_int, [_FILE]),
    "sm_trylock": (ctypes.c_int, [_FILE]),
    "sm_timedlock": (ctypes.c_int, [_FILE, ctypes.POINTER(Timespec)]),
    "sm_rdlock": (ctypes.c_int, [_FILE]),
    "sm_acquire": (ctypes.c_int, [_FILE, ctypes.c_int, ctypes.POINTER(Timespec)]),
    "sm_unlock": (ctypes.c_int, [_FILE]),
    "sm_downgrade": (ctypes.c_int, [_FILE]),
    "sm_dirty": (ctypes.c_int, [_FILE, ctypes.c_size_t, ctypes.c_size_t]),
    "sm_grant": (ctypes.c_int, [_FILE, _U64, _U64]),
    "sm_stat": (ctypes.c_int, [_FILE, ctypes.POINTER(CStat)]),
    "sm_holder": (ctypes.c_int, [_FILE, ctypes.POINTER(CHolder)]),
    "sm_error": (ctypes.c_char_p, [_SM]),
    "sm_version": (ctypes.c_char_p, []),
}


class Error(OSError):
    """A call of the library failed: errno, and in strerror the sentence of sm_error(3)."""


class StaleError(Error):
    """ESTALE: nothing was published, do the work again; or the file is to be opened again."""


class DeadlockError(Error):
    """EDEADLK: the caller would wait for itself, or for another reader that waits for it."""


class IntegrityError(Error):
    """EBADMSG: bytes of the host or the network are not those that the library wrote."""


class ServerError(Error, ConnectionError):
    """ENOTCONN, ECONNRESET, ECONNREFUSED, EPIPE: the server is gone, or was never there."""


class WouldBlockError(Error, BlockingIOError):
    """EAGAIN: another holder has the lock, and the caller does not wait."""


class TimedOutError(Error, TimeoutError):
    """ETIMEDOUT: the time is over, or the server is silent."""


class NotFoundError(Error, FileNotFoundError):
    """ENOENT: no mount covers the path, no process has the file open, or a file is missing."""


class ExistsError(Error, FileExistsError):
    """EEXIST: a process has the memory file open, or the mount point is taken."""


class DeniedError(Error, PermissionError):
    """EACCES, EPERM: the host, the key or the server does not let the caller."""


_CLASSES: Final[dict[int, type[Error]]] = {
    errno.ESTALE: StaleError,
    errno.EDEADLK: DeadlockError,
    errno.EBADMSG: IntegrityError,
    errno.ENOTCONN: ServerError,
    errno.ECONNRESET: ServerError,
    errno.ECONNREFUSED: ServerError,
    errno.EPIPE: ServerError,
    errno.EAGAIN: WouldBlockError,
    errno.ETIMEDOUT: TimedOutError,
    errno.ENOENT: NotFoundError,
    errno.EEXIST: ExistsError,
    errno.EACCES: DeniedError,
    errno.EPERM: DeniedError,
}


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(SONAME, use_errno=True)
    except OSError as error:
        raise ImportError(f"{error}: install the library and run ldconfig") from error
    for name, (result, arguments) in PROTOTYPES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


c: Final = _load()


def failure() -> Error:
    """The exception for this thread's last call, which has failed."""
    number = ctypes.get_errno()
    words = c.sm_error(None).decode(errors="replace")
    return _CLASSES.get(number, Error)(number, words)


def check(result: int) -> None:
    """Raises the failure that a result of -1 says."""
    if result == -1:
        raise failure()


def check_pointer(pointer: Optional[int]) -> int:
    """Returns a pointer that is not NULL; raises the failure that NULL says."""
    if pointer is None:
        raise failure()
    return pointer
