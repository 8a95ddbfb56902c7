"""What a project's files look like from outside, to tell whether reading them again is worth it.

Opens nothing and follows no link to a directory. Notices every file that appears, goes or has
another size or time; hidden ones do not count, but for the list of what is no manifest.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from reconciler.manifests.discovery import IGNORE_FILE

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path

#: So many files are looked at: seconds, were somebody's whole disk the project.
_MOST = 100_000
Snapshot: TypeAlias = "frozenset[tuple[str, int, int, int]]"


def snapshot(root: Path, leaving_out: Container[str] = ()) -> Snapshot:
    """Return what the files below a directory look like; equal to another one if none changed.

    ``leaving_out`` are the resolved paths of files that do not count.
    """
    return frozenset(islice(_seen(os.path.realpath(root), leaving_out), _MOST))


def _seen(root: str, leaving_out: Container[str]) -> Iterator[tuple[str, int, int, int]]:
    for directory, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in names:
            path = os.path.join(directory, name)  # noqa: PTH118 - Path would cost more than looking
            if (name.startswith(".") and name != IGNORE_FILE) or path in leaving_out:
                continue
            try:
                seen = os.stat(path)  # noqa: PTH116
            except OSError:  # gone since, or a link to nowhere
                continue
            yield path, seen.st_ino, seen.st_size, seen.st_mtime_ns
