"""Merging lockfiles on behalf of git, which hands over three temporary files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.errors import ReconcilerError
from reconciler.lockfile import UnfitFileError, read_file
from reconciler.lockfile.merge import merge_texts
from reconciler.lockfile.store import LARGEST

if TYPE_CHECKING:
    from pathlib import Path


def merge_files(base: Path, ours: Path, theirs: Path) -> str:
    """Write the lockfile of both sides over ``ours``; return why it has conflict markers, if so.

    Raises ReconcilerError, and leaves ``ours`` alone, for what is no readable text at all.
    """
    merged = merge_texts(_read(base), _read(ours), _read(theirs))
    try:
        ours.write_text(merged.text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ReconcilerError(f"cannot write {ours}: {error.strerror}") from error
    return merged.conflict


def _read(path: Path) -> str:
    try:
        return read_file(path, LARGEST).decode()
    except OSError as error:
        raise ReconcilerError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ReconcilerError(f"{path} is not UTF-8: {error}") from error
    except UnfitFileError as error:
        raise ReconcilerError(f"{path} {error}") from error
