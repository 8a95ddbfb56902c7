"""The run lock: one run at a time per directory, released by the kernel when its process ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from reconciler.core.errors import LockHeldError, ReconcilerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STATE = ".reconciler"


def state_directory(root: Path) -> Path:
    """Return the directory for machine-local state, made if need be and ignored by git."""
    directory = root / _STATE
    try:
        directory.mkdir(exist_ok=True)
        ignore = directory / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
    except OSError as error:
        raise ReconcilerError(f"cannot write to {directory}: {error.strerror}") from error
    return directory


@contextmanager
def hold(root: Path) -> Iterator[None]:
    """Hold the run lock of a directory; raises LockHeldError, naming the holder."""
    path = state_directory(root) / "run.lock"
    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise _held(file.read()) from None
        file.truncate(0)
        file.write(json.dumps(_owner()))
        file.flush()
        yield
        file.truncate(0)


def _opened(path: Path) -> TextIO:
    try:
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise ReconcilerError(f"cannot write to {path}: {error.strerror}") from error


def _owner() -> dict[str, object]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}


def _held(owner: str) -> LockHeldError:
    try:
        known = json.loads(owner)
        who = f"process {known['pid']} on {known['host']}, since {known['since']}"
    except (ValueError, KeyError, TypeError):
        who = "its owner left no name"
    return LockHeldError(
        f"another run holds the lock ({who})",
        hint="Wait for it to end; the lock goes away with its process.",
    )
