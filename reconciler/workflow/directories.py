"""Directories that are reached from one that was chosen, and new files in them.

Only the directory that was chosen may be, or lie behind, a link: below it nothing is opened or
written through one. Never writes over a file.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from reconciler.manifests import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def opened(base: Path, parts: Sequence[str], *, make: bool) -> int:
    """Open a directory below another one through real directories only; perhaps ``make`` it.

    Raises OSError, as for a directory that is a link.
    """
    descriptor = os.open(base, _DIRECTORY)
    for part in parts:
        try:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
            flags = _DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
            below = os.open(part, flags, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def link_on_the_way(base: Path, names: Iterable[str]) -> Path | None:
    """Return a link, be it to a directory inside, that some files would be written through."""
    return next((way for way in _ways(base, names) if files.is_link(str(way))), None)


def file_on_the_way(base: Path, names: Iterable[str]) -> Path | None:
    """Return something that is no directory, where some files need one."""
    found = (way for way in _ways(base, names) if not files.is_directory(str(way)))
    return next((way for way in found if os.path.lexists(way)), None)


def _ways(base: Path, names: Iterable[str]) -> list[Path]:
    """Return the directories below another one that some files lie in, from the top down."""
    ways = {parent for name in names for parent in (base / name).parents}
    return sorted(way for way in ways if base in way.parents)


def take_back(written: Sequence[Path], error: OSError) -> None:
    """Remove files that were created, the last of which met an error.

    It stays if that says that it is somebody else's.
    """
    for path in written[:-1] if isinstance(error, FileExistsError) else written:
        with contextlib.suppress(OSError):
            path.unlink()


def create(base: Path, file: str, text: str) -> None:
    """Write a file that is not there yet, below a directory that is made if need be.

    Raises OSError, which names the file, also where a link has come in between.
    """
    *parts, name = file.split("/")
    try:
        base.mkdir(parents=True, exist_ok=True)
        directory = opened(base, parts, make=True)
        try:
            descriptor = os.open(name, _NEW_FILE, 0o666, dir_fd=directory)
        finally:
            os.close(directory)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(base / file)) from error
