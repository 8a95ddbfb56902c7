"""The run lock: one run at a time per directory, released by the kernel when its process ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from reconciler.core.errors import LockHeldError, ReconcilerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_STATE = ".reconciler"
_LOOK_SECONDS = 0.2


def state_directory(root: Path) -> Path:
    """Return the directory for machine-local state, made if need be and ignored by git."""
    directory = root / _STATE
    try:
        directory.mkdir(exist_ok=True)
        if directory.is_symlink():
            raise ReconcilerError(f"{directory} is a link, and nothing is written behind links")
        _keep_out_of_git(directory / ".gitignore")
    except OSError as error:
        raise ReconcilerError(f"cannot write to {directory}: {error.strerror}") from error
    return directory


def _keep_out_of_git(ignore: Path) -> None:
    """Write the file unless it says something already; an empty one is left by a killed run."""
    if os.path.lexists(ignore) and (ignore.is_symlink() or ignore.stat().st_size):
        return
    mode = "w" if ignore.exists() else "x"
    with contextlib.suppress(FileExistsError), ignore.open(mode) as file:
        file.write("*\n")


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds to wait for a lock that another run holds, and whom to tell who that is."""

    seconds: float = 0.0
    tell: Callable[[str], object] = lambda _: None


@contextmanager
def hold(root: Path, patience: Patience | None = None) -> Iterator[None]:
    """Hold the run lock of a directory; raises LockHeldError, naming the holder."""
    path = state_directory(root) / "run.lock"
    with _opened(path) as file:
        try:
            _acquire(file, patience or Patience())
        except OSError as error:
            raise ReconcilerError(
                f"cannot lock {path}: {error.strerror}",
                hint="Keep the project on a file system that has locks.",
            ) from error
        _sign(file)
        yield
        file.truncate(0)


def _sign(file: TextIO) -> None:
    """Write down who holds the lock, as far as there is room: it is held all the same."""
    with contextlib.suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        os.pwrite(file.fileno(), json.dumps(_owner()).encode(), 0)


def _acquire(file: TextIO, patience: Patience) -> None:
    deadline = time.monotonic() + patience.seconds
    told = False
    while not _takes(file):
        if time.monotonic() >= deadline:
            raise LockHeldError(
                f"another run holds the lock ({_holder(file)})",
                hint="Wait for it to end, or say --lock-timeout; the lock goes away with its "
                "process.",
            )
        if not told:
            patience.tell(f"Waiting for another run to end ({_holder(file)}).")
            told = True
        time.sleep(min(_LOOK_SECONDS, patience.seconds))


def _takes(file: TextIO) -> bool:
    """Take the lock if it is free; return whether this run holds it now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _opened(path: Path) -> TextIO:
    try:
        # What a link points at is not ours, and a pipe would never answer.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o666)
        return os.fdopen(descriptor, "r+", encoding="utf-8")
    except OSError as error:
        raise ReconcilerError(f"cannot write to {path}: {error.strerror or error}") from error


def _owner() -> dict[str, object]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}


def _holder(file: TextIO) -> str:
    file.seek(0)
    try:
        known = json.load(file)
        return f"process {known['pid']} on {known['host']}, since {known['since']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "its owner left no name"
