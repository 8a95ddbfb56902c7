"""Where a project lies: its manifests, its lockfile, its machine-local state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
    """Return the place of a project, with the lockfile next to its manifests if not told."""
    found = Place(manifests, lockfile or Path())
    return Place(manifests, lockfile or found.root / LOCKFILE)
