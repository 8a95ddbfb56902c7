"""The disk of one machine: real files, with a boundary before and after every step of a write.

The functions that the product really calls are intercepted, for as long as a process is current. A
power cut takes back what had not been synchronised: renames, or the end of what was written.
"""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from .process import CURRENT, CrashError, Loss

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import pytest

    from .process import Process

_WRITING = frozenset("wax+")


@dataclass(slots=True)
class Disk:
    """What a power cut would take back, and what the lockfile must be one of."""

    lockfile: Path
    #: What the last write that returned has written, and what is being written now.
    promised: str | None = None
    offered: str | None = None
    _handles: dict[int, Path] = field(default_factory=dict)
    _torn: dict[Path, str] = field(default_factory=dict)
    _renamed: list[tuple[Path, str | None]] = field(default_factory=list)

    def lose(self, loss: Loss) -> None:
        """Take back what was not synchronised when the power went."""
        process = CURRENT.set(None)
        if loss is Loss.NAMES:
            for path, before in reversed(self._renamed):
                _put_back(path, before)
        elif loss is Loss.CONTENT:
            for path, text in self._torn.items():
                if path.exists():
                    path.write_text(text[: len(text) // 2])
        self._torn.clear()
        self._renamed.clear()
        CURRENT.reset(process)

    def text(self) -> str | None:
        """Return what the lockfile holds."""
        return self.lockfile.read_text() if self.lockfile.exists() else None

    def unsound(self) -> str:
        """Return what is wrong with the lockfile, given what was written to it."""
        text = self.text()
        if text in {self.promised, self.offered}:
            return ""
        return "the lockfile on disk is neither the last one written nor the one being written"

    def note_written(self) -> None:
        """Note that a write has returned, which is a promise."""
        self.promised = self.offered = self.text()

    @property
    def at_risk(self) -> bool:
        """Whether a power cut would take something of the lockfile back."""
        return bool(self._renamed) or any(kind(path) == kind(self.lockfile) for path in self._torn)

    # What happens to files.

    def opened(self, handle: int, path: Path) -> None:
        self._handles[handle] = path

    def path(self, handle: int) -> Path:
        return self._handles[handle]

    def wrote(self, path: Path, text: str) -> None:
        self._torn[path] = text

    def about_to_rename(self, source: Path, target: Path) -> None:
        before = target.read_text() if target.exists() else None
        self._renamed.append((target, before))
        if source in self._torn:
            self._torn[target] = self._torn.pop(source)
        if target == self.lockfile:
            self.offered = source.read_text()

    def synced(self, handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            self._renamed.clear()
        else:
            self._torn.pop(self._handles.get(handle, Path()), None)


class _File:
    """A file open for writing; what was written reaches the disk when it is flushed."""

    def __init__(self, process: Process, path: Path, real: TextIO) -> None:
        self._process = process
        self._path = path
        self._real = real
        self._kind = kind(path)
        self._unwritten = ""
        process.disk.opened(real.fileno(), path)

    def write(self, text: str) -> int:
        self._unwritten += text
        return len(text)

    def flush(self) -> None:
        text, self._unwritten = self._unwritten, ""
        if not text:
            return
        self._process.reach(f"{self._kind}: before writing")
        half = len(text) // 2
        self._put(text[:half])
        self._process.reach(f"{self._kind}: half written")
        self._put(text[half:])
        self._process.disk.wrote(self._path, text)
        self._process.reach(f"{self._kind}: written")

    def _put(self, text: str) -> None:
        self._real.write(text)
        self._real.flush()

    def truncate(self, size: int) -> int:
        self._process.reach(f"{self._kind}: before emptying")
        done = self._real.truncate(size)
        self._process.reach(f"{self._kind}: emptied")
        return done

    def read(self) -> str:
        return self._real.read()

    def seek(self, position: int) -> int:
        return self._real.seek(position)

    def fileno(self) -> int:
        return self._real.fileno()

    def close(self) -> None:
        """Close the file, as the kernel does where a process ends."""
        try:
            if not self._process.dead:
                self.flush()
        finally:
            self._real.close()

    def __enter__(self) -> _File:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _put_back(path: Path, before: str | None) -> None:
    if before is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(before)


@lru_cache(maxsize=1000)
def kind(path: Path | str) -> str:
    """Return what a boundary calls a file: temporary ones are called after what they become."""
    name = str(path).rpartition("/")[2]
    return name[1:].rsplit(".", 2)[0] if name.startswith(".reconciler.lock.") else name


def intercept(patch: pytest.MonkeyPatch) -> None:
    """Put the steps that lead to the disk under the control of the current process."""
    patch.setattr(os, "fsync", partial(_sync, os.fsync))
    patch.setattr(os, "replace", partial(_replace, os.replace))
    patch.setattr(os, "open", partial(_os_open, os.open))
    patch.setattr(os, "fdopen", partial(_fdopen, os.fdopen))
    patch.setattr(os, "ftruncate", partial(_ftruncate, os.ftruncate))
    patch.setattr(os, "pwrite", partial(_pwrite, os.pwrite))
    patch.setattr(tempfile, "mkstemp", partial(_mkstemp, tempfile.mkstemp))
    for name, done in (("unlink", "removed"), ("mkdir", "made"), ("fchmod", "mode set")):
        patch.setattr(os, name, partial(_step, getattr(os, name), done))
    real = Path.open
    patch.setattr(Path, "open", lambda self, *args, **more: _open(real, self, *args, **more))


def _step(real: Callable[..., Any], done: str, subject: Any, *args: Any, **more: Any) -> Any:
    process = CURRENT.get()
    if process is None:
        return real(subject, *args, **more)
    what = kind(process.disk.path(subject) if isinstance(subject, int) else subject)
    process.reach(f"{what}: not yet {done}")
    result = real(subject, *args, **more)
    process.reach(f"{what}: {done}")
    return result


def _sync(real: Callable[[int], None], handle: int) -> None:
    process = CURRENT.get()
    if process is None:
        real(handle)
        return
    directory = stat.S_ISDIR(os.fstat(handle).st_mode)
    what = "directory" if directory else kind(process.disk.path(handle))
    process.reach(f"{what}: not yet synced")
    process.disk.synced(handle)
    process.reach(f"{what}: synced")


def _replace(real: Callable[..., None], source: Path, target: Path) -> None:
    process = CURRENT.get()
    if process is None:
        real(source, target)
        return
    process.reach(f"{kind(target)}: not yet renamed")
    process.disk.about_to_rename(Path(source), Path(target))
    real(source, target)
    process.reach(f"{kind(target)}: renamed")


def _mkstemp(real: Callable[..., tuple[int, str]], **how: Any) -> tuple[int, str]:
    process = CURRENT.get()
    if process is None:
        return real(**how)
    what = str(how["prefix"]).strip(".")
    process.reach(f"{what}: no temporary file yet")
    itself = CURRENT.set(None)
    handle, name = real(**how)
    CURRENT.reset(itself)
    process.disk.opened(handle, Path(name))
    try:
        process.reach(f"{what}: temporary file made")
    except CrashError:
        os.close(handle)
        raise
    return handle, name


def _fdopen(
    real: Callable[..., TextIO], handle: int, mode: str = "r", *args: Any, **how: Any
) -> Any:
    process = CURRENT.get()
    file = real(handle, mode, *args, **how)
    if process is None or not _WRITING & set(mode):
        return file
    return _File(process, process.disk.path(handle), file)


def _os_open(real: Callable[..., int], path: Path, flags: int, *args: Any, **how: Any) -> int:
    process = CURRENT.get()
    if process is None or not flags & (os.O_WRONLY | os.O_RDWR):
        return real(path, flags, *args, **how)
    process.reach(f"{kind(path)}: not yet opened")
    handle = real(path, flags, *args, **how)
    process.disk.opened(handle, Path(path))
    try:
        process.reach(f"{kind(path)}: opened")
    except CrashError:
        os.close(handle)
        raise
    return handle


def _ftruncate(real: Callable[[int, int], None], handle: int, size: int) -> None:
    process = CURRENT.get()
    if process is None:
        real(handle, size)
        return
    what = kind(process.disk.path(handle))
    process.reach(f"{what}: before emptying")
    real(handle, size)
    process.reach(f"{what}: emptied")


def _pwrite(real: Callable[[int, bytes, int], int], handle: int, data: bytes, at: int) -> int:
    process = CURRENT.get()
    if process is None:
        return real(handle, data, at)
    path, half = process.disk.path(handle), len(data) // 2
    process.reach(f"{kind(path)}: before writing")
    real(handle, data[:half], at)
    process.reach(f"{kind(path)}: half written")
    real(handle, data[half:], at + half)
    process.disk.wrote(path, data.decode())
    process.reach(f"{kind(path)}: written")
    return len(data)


def _open(real: Callable[..., Any], path: Path, mode: str = "r", *args: Any, **how: Any) -> Any:
    process = CURRENT.get()
    if process is None or not _WRITING & set(mode):
        return real(path, mode, *args, **how)
    process.reach(f"{kind(path)}: not yet opened")
    file = _File(process, path, real(path, mode, *args, **how))
    try:
        process.reach(f"{kind(path)}: opened")
    except CrashError:
        file.close()
        raise
    return file
