"""The data directory: who may open it, who runs its jobs, and what its files are called.

Any number of processes may share one directory. Locks belong to open files, so the kernel gives
them up with a process however it ends. Never looks into the database.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.service.settings import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATABASE = "service.db"
_HINT = "Choose another data directory, or make this one readable and writable for you."


def prepare(data: Path) -> None:
    """Create the directory, open to its owner only; raises ServiceError when it cannot be used."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(data, error.strerror or str(error)) from error
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        raise unusable(data, "Permission denied")


def unusable(data: Path, reason: str) -> ServiceError:
    """Return the error for a data directory that cannot be used."""
    return ServiceError(f"Cannot use the data directory {data}: {reason}", hint=_HINT)


class FileLock:
    """A lock on a data directory that only one open instance of its name can hold."""

    def __init__(self, data: Path, name: str) -> None:
        self._data = data
        self._file = _open(data / name)

    def acquire(self) -> bool:
        """Take the lock if it is free, and say whether this instance holds it now."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock and hold it for the duration; raises ServiceError where none can be."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            raise unusable(self._data, error.strerror or str(error)) from error
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the lock up for good."""
        os.close(self._file)


def runner_lock(data: Path) -> FileLock:
    """Return the lock whose holder runs the jobs."""
    return FileLock(data, "runner.lock")


def opening_lock(data: Path) -> FileLock:
    """Return the lock to hold while the database is opened or closed.

    SQLite refuses connections, instead of letting them wait, in a few moments: while the journal
    mode changes, while the last connection tidies up and while a crash is recovered from.
    """
    return FileLock(data, "open.lock")


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise unusable(path.parent, error.strerror or str(error)) from error
