"""Faults of a disk, for the process that calls: from here on its syncs fail, its disk is full, its
files may not grow.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import resource
import signal
import struct
import sys

from backstop.journal import Journal

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
#: Numbers of the system calls, by machine.
_CALLS = {
    "x86_64": {"fsync": 74, "fdatasync": 75, "pwrite64": 18, "write": 1},
    "aarch64": {"fsync": 82, "fdatasync": 83, "pwrite64": 68, "write": 64},
}


def strike(fault: str, journal: Journal) -> None:
    """Let a fault begin: ``sync`` and ``write`` fail as a device does, ``size`` and ``pages`` leave
    no room.
    """
    if fault == "sync":
        _refuse(("fsync", "fdatasync"), errno.EIO)
    elif fault == "write":
        _refuse(("pwrite64",), errno.ENOSPC)
    elif fault == "size":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
    else:
        connection = journal._connection
        assert connection is not None
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")


def _refuse(calls: tuple[str, ...], code: int) -> None:
    """Let system calls of this process fail: a seccomp filter,
    <https://docs.kernel.org/userspace-api/seccomp_filter.html>.
    """
    known = _CALLS.get(platform.machine())
    if known is None:
        _give_up(f"system calls of {platform.machine()} are not known")
    assert known is not None
    steps = [(0x20, 0, 0, 0)]  # load the number of the call
    # A call that is equal jumps to the refusal.
    steps += [(0x15, len(calls) - place, 0, known[name]) for place, name in enumerate(calls)]
    steps += [(0x06, 0, 0, _ALLOW), (0x06, 0, 0, _ERRNO | code)]
    _install(steps)


def _install(steps: list[tuple[int, int, int, int]]) -> None:
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    whole = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_PR_SET_SECCOMP, _FILTER, whole, 0, 0):
        _give_up("this system takes no seccomp filter")


def fill_disk() -> None:
    """Let every write to a file of this thread fail as on a full disk; what it says to its parent
    still gets through.
    """
    known = _CALLS.get(platform.machine())
    if known is None:
        _give_up(f"system calls of {platform.machine()} are not known")
    assert known is not None
    _install(
        [
            (0x20, 0, 0, 0),  # load the number of the call
            (0x15, 1, 0, known["write"]),
            (0x15, 0, 3, known["pwrite64"]),
            (0x20, 0, 0, 16),  # load the handle that it writes to
            (0x25, 0, 1, 2),  # above those of standard input, output and errors
            (0x06, 0, 0, _ERRNO | errno.ENOSPC),
            (0x06, 0, 0, _ALLOW),
        ]
    )


def _give_up(reason: str) -> None:
    sys.stderr.write(reason + "\n")
    sys.exit(77)
