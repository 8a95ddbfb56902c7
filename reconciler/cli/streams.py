"""The three standard streams, such that writing to them ends in the result or in one calm line.

A stream that is closed stays useless, but its number is taken, so that no file opened later (the
lockfile, a socket) gets it and is written to by mistake. What cannot be told on stderr is not told,
and changes nothing else. Whoever stops reading stdout has read enough, as ``head`` has: the rest
goes nowhere, and how a command ends does not depend on that. Never looks at what is written.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_OUT = 1
_ERR = 2


def secure() -> None:
    """See that all three streams are there; to be called before anything else is opened."""
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY), closefd=False)
    if sys.stdout is None:
        # Open for reading only, so that writing to it fails as it does for a closed one.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", closefd=False)
    sys.stdout = _leavable()
    if sys.stderr is None:
        os.open(os.devnull, os.O_WRONLY)
    sys.stderr = _forgiving()


def is_stdout_closed(error: OSError) -> bool:
    """Return whether an error comes from writing to a stdout that was closed from the start."""
    if error.errno != errno.EBADF:
        return False
    import fcntl

    return fcntl.fcntl(_OUT, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY


def is_stdout_deserted() -> bool:
    """Return whether what reads stdout was found to have gone."""
    return _Leavable.is_left


def give_up_stdout() -> None:
    """Let what is still to be written to stdout go nowhere: the interpreter would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), _OUT)


class _Leavable(io.FileIO):
    """A file whose reader may go at any time."""

    is_left = False

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            type(self).is_left = True
            give_up_stdout()
            return super().write(data)


class _Forgiving(io.FileIO):
    """A file to which everything can be written, though it may be lost."""

    def write(self, data: ReadableBuffer) -> int:
        size = memoryview(data).nbytes
        try:
            return super().write(data) or size  # None where the other end takes nothing now
        except OSError:
            return size


def _leavable() -> io.TextIOWrapper:
    old, raw = sys.stdout, io.BufferedWriter(_Leavable(_OUT, "w", closefd=False))
    return io.TextIOWrapper(raw, old.encoding, old.errors, line_buffering=old.isatty())


def _forgiving() -> io.TextIOWrapper:
    encoding = sys.stderr.encoding if sys.stderr else None
    raw = io.BufferedWriter(_Forgiving(_ERR, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding, "backslashreplace", line_buffering=True)
