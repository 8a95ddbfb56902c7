"""The files that outputs are downloaded to: scanned, continued, and put in place whole.

Follows no link below the directory that was chosen, never blocks on what is no file, and holds no
file in memory. A download lies beside its place as ``NAME.part`` until it is whole.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import stat
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from reconciler.core.errors import ReconcilerError
from reconciler.core.model.outputs import PAGE
from reconciler.engine.downloading import Slice, digest_of
from reconciler.workflow.directories import opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from reconciler.core.model.desired import Stage

_CHUNK = 1_000_000
#: What is read of the end of a file at first, and the longest line that is looked for there.
_GLANCE, _LONGEST_LINE = 8_192, 64_000_000
_NEWLINE = re.compile(b"\n")
_NO_LINKS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FULL = {errno.ENOSPC, errno.EDQUOT}
_IN_THE_WAY = {
    errno.ELOOP: "a link is in the way, and nothing is read or written behind links",
    errno.ENOTDIR: "a file or a link is in the way of a directory",
}
_PART = ".part"


class UnfitPlaceError(ReconcilerError):
    """Something stands in the way of one output; others may do better."""


class DiskFullError(ReconcilerError):
    """No output can be written any more."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What is in a file: whole ``lines``, ``size`` bytes, their ``digest``, and known slices."""

    lines: int
    size: int
    digest: str
    #: The first and the last page.
    ends: tuple[Slice, ...]
    first: Slice | None


@dataclass(frozen=True, slots=True)
class Tail:
    """The last line of a file of ``size`` bytes, known by its ``digest``."""

    digest: str
    size: int


class Folder:
    """The directory of the outputs of one target, open; use it as a context manager.

    Unless it is to be made if need be, raises UnfitPlaceError where there is none.
    """

    def __init__(self, base: Path, parts: Sequence[str], *, make: bool = True) -> None:
        self.path = base.joinpath(*parts)
        with _calm(self.path):
            if make:
                base.mkdir(parents=True, exist_ok=True)
            self._descriptor = opened(base, parts, make=make)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def scan(self, name: str) -> Scan | None:
        """Return what a file holds, None if there is none; raises UnfitPlaceError."""
        with self._readable(name) as file:
            return scan(file) if file else None

    def tail(self, name: str) -> Tail | None:
        """Return the last line of a file; None if there is no file or no line with an end.

        Reads no more than that takes. Raises UnfitPlaceError.
        """
        with self._readable(name) as file:
            return _tail(file) if file else None

    def digest(self, name: str, size: int) -> str | None:
        """Return the digest of a file if it has that size; raises UnfitPlaceError."""
        with self._readable(name) as file:
            if file is None or file.seek(0, os.SEEK_END) != size:
                return None
            return f"sha256:{_hash(file, 0, size).hexdigest()}"

    def part(self, name: str) -> Part:
        """Return the download of a file, as far as it has got; raises UnfitPlaceError."""
        path = self.path / f"{name}{_PART}"
        with _calm(path):
            file = os.fdopen(self._open(path.name, os.O_RDWR | os.O_CREAT), "r+b")
            try:
                _claim(file)
                _trim(file)
                return Part(path, file)
            except BaseException:
                file.close()
                raise

    def publish(self, part: Part, name: str) -> None:
        """Put a download in its place, whole at any moment."""
        with _calm(self.path / name):
            part.sync()
            self._move(part.path.name, name)

    def drop_part(self, name: str) -> None:
        """Remove a download that is of no use any more, if there is one."""
        with _calm(self.path / name), contextlib.suppress(FileNotFoundError):
            os.unlink(f"{name}{_PART}", dir_fd=self._descriptor)

    def ending(self, name: str, size: int) -> bytes | None:
        """Return the last bytes of a file, None if there is none; raises UnfitPlaceError."""
        with self._readable(name) as file:
            if file is None:
                return None
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read(size)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Open what becomes a file if it can be written to its end."""
        made = f"{name}{_PART}"
        flags = os.O_RDWR | os.O_CREAT
        with _calm(self.path / name), os.fdopen(self._open(made, flags), "w+b") as file:
            _claim(file)
            file.truncate(0)
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                os.unlink(made, dir_fd=self._descriptor)
                raise
            self._move(made, name)

    @contextlib.contextmanager
    def _readable(self, name: str) -> Iterator[BinaryIO | None]:
        """Open a file to be read, if there is one."""
        with _calm(self.path / name):
            try:
                descriptor = self._open(name, os.O_RDONLY)
            except FileNotFoundError:
                yield None
                return
            with os.fdopen(descriptor, "rb") as file:
                yield file

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """Open a file to be read."""
        with _calm(self.path / name), os.fdopen(self._open(name, os.O_RDONLY), "rb") as file:
            yield file

    def _move(self, name: str, to: str) -> None:
        os.rename(name, to, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        os.fsync(self._descriptor)

    def _open(self, name: str, flags: int) -> int:
        descriptor = os.open(name, flags | _NO_LINKS, 0o666, dir_fd=self._descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UnfitPlaceError(f"{self.path / name} is not a regular file")
        return descriptor


class Part:
    """A download under way: whole lines, and their digest; use it as a context manager."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.lines = self.size = 0
        self.first: Slice | None = None
        self.ends: tuple[Slice, ...] = ()
        self._file = file
        self._hash = hashlib.sha256()
        self._start_at(scan(file))

    def __enter__(self) -> Part:
        return self

    def __exit__(self, *_: object) -> None:
        # What could not be written was told already, and is not written by closing either.
        with contextlib.suppress(OSError):
            self._file.close()

    @property
    def digest(self) -> str:
        """The digest of what is there, as the lockfile writes it."""
        return f"sha256:{self._hash.hexdigest()}"

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines."""
        content = b"".join(lines)
        with _calm(self.path):
            self._file.write(content)
            self._file.flush()
        if self.first is None and lines:
            self.first = Slice(0, 1, digest_of(lines[:1]))
        self._hash.update(content)
        self.size += len(content)
        self.lines += len(lines)

    def restart(self) -> None:
        """Forget what is there."""
        with _calm(self.path):
            self._file.truncate(0)
            self._start_at(scan(self._file))

    def sync(self) -> None:
        """Bring everything to the disk."""
        os.fsync(self._file.fileno())

    def _start_at(self, there: Scan) -> None:
        self.lines, self.size = there.lines, there.size
        self.first, self.ends = there.first, there.ends
        self._hash = _hash(self._file, 0, there.size)
        self._file.seek(there.size)


def file_name(stage: Stage) -> str:
    """Return what the file of a stage is called."""
    return f"{stage}.jsonl"


def scan(file: BinaryIO) -> Scan:
    """Read a file from its beginning, in bounded memory."""
    count, at = 0, 0
    head: list[int] = []  # where the first line and the first page end
    tail: deque[int] = deque([0], maxlen=PAGE + 1)  # where the last lines begin and end
    file.seek(0)
    while chunk := file.read(_CHUNK):
        for newline in _NEWLINE.finditer(chunk):
            count += 1
            tail.append(at + newline.end())
            if count in {1, PAGE}:
                head.append(at + newline.end())
        at += len(chunk)
    ends = _ends(file, count, head, tail)
    first = Slice(0, 1, _hash(file, 0, head[0]).hexdigest()) if head else None
    return Scan(count, at, f"sha256:{_hash(file, 0, at).hexdigest()}", ends, first)


def _ends(
    file: BinaryIO, count: int, head: Sequence[int], tail: Sequence[int]
) -> tuple[Slice, ...]:
    if not count:
        return ()
    start = count - len(tail) + 1
    last = Slice(start, count, _hash(file, tail[0], tail[-1]).hexdigest())
    if count <= PAGE:
        return (last,)
    return (Slice(0, PAGE, _hash(file, 0, head[1]).hexdigest()), last)


def _hash(file: BinaryIO, start: int, stop: int) -> hashlib._Hash:
    made = hashlib.sha256()
    file.seek(start)
    while start < stop and (chunk := file.read(min(_CHUNK, stop - start))):
        made.update(chunk)
        start += len(chunk)
    return made


def _tail(file: BinaryIO) -> Tail | None:
    size, length = file.seek(0, os.SEEK_END), _GLANCE
    while True:
        start = file.seek(max(0, size - length))
        found = file.read(size - start)
        if not found.endswith(b"\n"):
            return None
        before = found.rfind(b"\n", 0, -1)
        if before >= 0 or start == 0:
            return Tail(digest_of([found[before + 1 :]]), size)
        if length >= _LONGEST_LINE:
            return None
        length = min(8 * length, _LONGEST_LINE)


def _trim(file: BinaryIO) -> None:
    """Cut off a last line that was not written to its end."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - _CHUNK)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        end = start + found + 1
        if found >= 0:
            break
    file.truncate(end)


def _claim(file: BinaryIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UnfitPlaceError("another run is downloading to the same file") from None


@contextlib.contextmanager
def _calm(path: Path) -> Iterator[None]:
    """Turn what the system says into a sentence about a path; raises UnfitPlaceError."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError(
                f"cannot write {path}: {error.strerror}",
                hint="What was downloaded so far stays: make room and run `reconciler pull` again.",
            ) from error
        why = _IN_THE_WAY.get(error.errno or 0, error.strerror)
        raise UnfitPlaceError(f"{path}: {why}") from error
