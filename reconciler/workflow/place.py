"""Where a project lies: its manifests, its lockfile, its machine-local state."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.errors import InvalidLockfileError
from reconciler.manifests import files

LOCKFILE = "reconciler.lock"


@dataclass(frozen=True, slots=True)
class Place:
    """A project on disk. ``manifests`` is a directory or a file; ``root`` is the directory."""

    manifests: Path
    lockfile: Path

    @property
    def root(self) -> Path:
        """The directory of the manifests: nothing outside of it is touched."""
        is_directory = files.is_directory(str(self.manifests))
        return self.manifests if is_directory else self.manifests.parent


def place(manifests: Path, lockfile: Path | None = None) -> Place:
    """Return the place of a project, with the lockfile next to its manifests if not told.

    Raises InvalidLockfileError where that is a link that leads out of the project.
    """
    found = Place(manifests, lockfile or Path())
    if lockfile:
        return found
    own = found.root / LOCKFILE
    _require_inside(own, found.root)
    return Place(manifests, own)


def _require_inside(lockfile: Path, root: Path) -> None:
    if not files.is_link(str(lockfile)):
        return
    true_root = os.path.realpath(root)
    if os.path.commonpath([os.path.realpath(lockfile), true_root]) != true_root:
        raise InvalidLockfileError(
            f"{lockfile}: a link that leads out of {root}",
            hint="Nothing outside of the project is read unless it is named: say --lockfile FILE.",
        )
