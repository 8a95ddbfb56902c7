"""From a dataset's name to its file, or to a sentence that helps to find the right name.

Names are names: a path is refused, and so is a link that leads out of the directory.
"""

from __future__ import annotations

from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from reconciler.service.work.generators import SourceError

SUFFIXES = (".jsonl", ".csv", ".parquet")
_MOST_NAMED = 10


def find(folder: Path | None, name: str) -> Path:
    """Return the file of a dataset; raises SourceError and OSError."""
    if folder is None:
        raise SourceError(f"Dataset '{name}' not found: the service has no datasets directory")
    if Path(name).name != name or "\0" in name or name.startswith("."):
        raise SourceError(f"Dataset '{name}' not found: the name may not be a path")
    root = folder.resolve()
    present = [path for suffix in SUFFIXES if _is_in(root, path := root / f"{name}{suffix}")]
    if not present:
        raise SourceError(f"Dataset '{name}' not found: {_instead(root, name)}")
    if len(present) > 1:
        files = " and ".join(path.name for path in present)
        raise SourceError(f"Dataset '{name}' is ambiguous: there are {files}; keep one of them")
    return present[0]


def listed(names: list[str]) -> str:
    """Return names as a phrase, without those that would make it endless."""
    rest = len(names) - _MOST_NAMED
    return ", ".join(islice(names, _MOST_NAMED)) + (f" and {rest} more" if rest > 0 else "")


def nearest(name: str, names: list[str]) -> str:
    """Return ``did you mean 'this' or 'that'?``, or nothing when no name is near."""
    near = " or ".join(f"'{each}'" for each in get_close_matches(name, names))
    return f"did you mean {near}?" if near else ""


def _is_in(root: Path, path: Path) -> bool:
    return path.is_file() and path.resolve().is_relative_to(root)


def _instead(root: Path, name: str) -> str:
    names = sorted(
        {
            path.stem
            for path in root.iterdir()
            if path.suffix in SUFFIXES and not path.name.startswith(".") and _is_in(root, path)
        }
    )
    if not names:
        return "the datasets directory is empty"
    hint = nearest(name, names) or f"there are {listed(names)}"
    return f"no {name}.jsonl, .csv or .parquet in the datasets directory; {hint}"
