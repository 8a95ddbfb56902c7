"""What every command on a project is told, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.workflow.place import Place


@dataclass(frozen=True, slots=True)
class Common:
    """The options every command on a project takes."""

    path: Path
    lockfile: Path | None
    format: str
    verbose: bool
    quiet: bool
    no_color: bool

    @property
    def place(self) -> Place:
        """Where the project lies."""
        from reconciler.workflow.place import place

        return place(self.path, self.lockfile)
