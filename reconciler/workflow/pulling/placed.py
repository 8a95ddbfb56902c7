"""What ``pull`` put in place on this machine: ``.reconciler/pulled``, one line for each file.

The lockfile forgets the digest of an output whose target is made anew; by this, the file that is
still there is known as what was pulled. Only digests of files and of their places stand in it. It
may be lost at any time, and fails no run: then a file that the lockfile does not know is foreign.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.lockfile import UnfitFileError, replace_file, state_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

_NAME = "pulled"
_LINE = re.compile(r"([0-9a-f]{64}) ([0-9a-f]{64})")
#: How many files are remembered from one run to the next, and the most bytes that are read.
_MOST, _LARGEST = 100_000, 64_000_000
#: So many lines that no longer hold may stand there beside those that do, and as many again.
_SLACK = 1_000
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Placed:
    """The files that were put in place, by where they are; to be used under the run lock.

    A line is added for each, so that a run writes no more than it did; the last one of a file
    holds. Lines that make no sense, as a killed run may leave one, are passed over.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._path = state_directory(root) / _NAME
        self._known: dict[str, str] = {}
        with contextlib.suppress(OSError, UnfitFileError):
            self._begin()

    def digest(self, path: Path) -> str | None:
        """Return the digest of what was put in this place last."""
        found = self._known.get(self._key(path))
        return f"sha256:{found}" if found else None

    def add(self, path: Path, digest: str) -> None:
        """Remember what is in a place now, as far as it can be written."""
        if self.digest(path) == digest:
            return
        key, known = self._key(path), digest.removeprefix("sha256:")
        self._known[key] = known
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with contextlib.suppress(OSError, UnfitFileError), _opened(self._path, flags) as file:
            file.write(_line(key, known).encode())

    def _key(self, path: Path) -> str:
        """Return what stands for a place; seen from the project, which may be moved."""
        real = Path(os.path.realpath(path.parent), path.name)
        return hashlib.sha256(os.fsencode(os.path.relpath(real, self._root))).hexdigest()

    def _begin(self) -> None:
        """Read what is known, and write it anew where it has grown, was cut off or is nonsense."""
        with _opened(self._path, os.O_RDONLY) as file:
            file.seek(-min(_LARGEST, os.fstat(file.fileno()).st_size), os.SEEK_END)
            content = file.read(_LARGEST)
        lines = content.decode("ascii", "replace").splitlines()
        found = (_LINE.fullmatch(line) for line in lines)
        for key, known in (match.groups() for match in found if match):
            self._known.pop(key, None)  # so that those put in place last come last
            self._known[key] = known
        self._known = dict(list(self._known.items())[-_MOST:])
        is_torn = not content.endswith(b"\n")
        if content and (is_torn or len(lines) > 2 * len(self._known) + _SLACK):
            replace_file(self._path, "".join(_line(*item) for item in self._known.items()))


def _line(key: str, known: str) -> str:
    return f"{key} {known}\n"


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[FileIO]:
    """Open a regular file, through no link; raises OSError or UnfitFileError."""
    descriptor = os.open(path, flags | _FLAGS, 0o666)
    with os.fdopen(descriptor, "ab" if flags & os.O_APPEND else "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnfitFileError("is not a regular file")
        yield file
