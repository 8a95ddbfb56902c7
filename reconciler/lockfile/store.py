"""The lockfile on disk: read whole, replaced atomically, left alone when nothing changed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.core.errors import InvalidLockfileError, ReconcilerError
from reconciler.lockfile import text

if TYPE_CHECKING:
    from reconciler.core.model.lock import Lock, LockedPrompt, LockedRepo, LockedTarget
    from reconciler.core.model.manifest import ResourceId


#: The most bytes that a lockfile may have: tens of thousands of targets.
LARGEST = 20_000_000
#: So many bytes tell whether a file is a lockfile.
_BEGINNING = 4_000


class Store:
    """One lockfile. Not for use by two threads; across processes the run lock guards it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: str | None = None
        self._tidied = False
        self._blocks: dict[ResourceId, tuple[object, str]] = {}

    def read(self) -> Lock | None:
        """Return the lock, or None if there is no file yet; raises InvalidLockfileError."""
        try:
            content = read_file(self.path, LARGEST).decode()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise InvalidLockfileError(
                f"{self.path}: not UTF-8: {error}", hint=_way_out(error.object)
            ) from error
        except UnfitFileError as error:
            raise InvalidLockfileError(
                f"{self.path} {error}", hint=_way_out(error.beginning)
            ) from error
        except OSError as error:
            raise InvalidLockfileError(f"{self.path} cannot be read: {error.strerror}") from error
        # A checkout of git on Windows ends lines otherwise: that alone is no change.
        self._written = content.replace("\r\n", "\n")
        return text.parse(content, str(self.path))

    def require_writable(self) -> None:
        """Raise ReconcilerError where it is known beforehand that writing will fail.

        What stands in the place of the file is the matter of reading it.
        """
        why, hint = _hindrance(self.path.parent)
        if why:
            raise ReconcilerError(f"cannot write {self.path}: {why}", hint=hint)

    def write(self, lock: Lock) -> bool:
        """Replace the file by this lock, atomically; return whether its bytes changed.

        The first time it also removes what killed writes left: whoever writes holds the run lock.
        """
        content = text.render(lock, self._block)
        if content == self._written:
            return False
        if not self._tidied:
            _tidy_up(self.path)
            self._tidied = True
        try:
            replace_file(self.path, content)
        except OSError as error:
            raise ReconcilerError(f"cannot write {self.path}: {error.strerror}") from error
        self._written = content
        return True

    def _block(self, id_: ResourceId, entry: LockedRepo | LockedPrompt | LockedTarget) -> str:
        known = self._blocks.get(id_)
        if known and known[0] is entry:
            return known[1]
        block = text.render_entry(id_, entry)
        self._blocks[id_] = (entry, block)
        return block


def _way_out(content: bytes) -> str:
    """Return how to recover from what a file holds; from what is no file where that is nothing."""
    beginning = content[:_BEGINNING].decode(errors="replace")
    return text.way_out(beginning) if beginning else text.ELSEWHERE


def _hindrance(directory: Path) -> tuple[str, str]:
    """Return why no file can be made in a directory, and what to do about it; or nothing."""
    if not os.path.isdir(directory):  # noqa: PTH112 - says no where pathlib raises
        return f"there is no directory {directory}", "Create it, or name another file: --lockfile."
    if not os.access(directory, os.W_OK | os.X_OK):
        return (
            f"{directory} may not be written to",
            "Allow it, or name a file elsewhere: --lockfile.",
        )
    return "", ""


class UnfitFileError(Exception):
    """A file is not read; the message completes a sentence that names it.

    ``beginning`` is what a file that is too large begins with.
    """

    def __init__(self, message: str, beginning: bytes = b"") -> None:
        super().__init__(message)
        self.beginning = beginning


def read_file(path: Path, largest: int) -> bytes:
    """Return what a regular file of bounded size holds; raises UnfitFileError for any other.

    Never blocks, whatever stands in the place of the file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnfitFileError("is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(largest + 1)
    finally:
        os.close(descriptor)
    if len(content) > largest:
        raise UnfitFileError(f"is larger than {largest // 1_000_000} MB", content[:_BEGINNING])
    return content


def replace_file(path: Path, content: str) -> None:
    """Write a file so that a reader finds the old or the new one whole, whenever it crashes.

    Raises OSError, also where that would put a file in the place of a device or a pipe.
    """
    import tempfile  # only writing needs it

    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), _mode(path))
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _tidy_up(path: Path) -> None:
    """Remove the temporary files of writes of this file that were killed, as far as possible."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}\.tmp")
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        left = [e for e in entries if ours.fullmatch(e.name) and e.is_file(follow_symlinks=False)]
        for entry in left:
            os.unlink(entry.path)  # noqa: PTH108 - the entry of a scan


def _mode(path: Path) -> int:
    """Return the mode of the file to be replaced; that of any new file where there is none."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a directory, replacing it complains
        raise OSError(errno.EINVAL, "not a regular file")
    return mode & 0o7777


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
