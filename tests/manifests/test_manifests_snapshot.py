"""What makes the files of a project look different, and what does not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from reconciler.manifests.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.yaml", "below/questions.txt", ".hidden/b.yaml", "reconciler.lock"):
        file = tmp_path / "project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("first")
    return tmp_path / "project"


def look(root: Path) -> object:
    return snapshot(root, {str(root / "reconciler.lock")})


def touched(file: Path) -> None:
    seen = file.stat()
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1))


CHANGES: list[Callable[[Path], object]] = [
    lambda root: touched(root / "a.yaml"),
    lambda root: (root / "below/questions.txt").write_text("another length"),
    lambda root: (root / "a.yaml").unlink(),
    lambda root: (root / "a.yaml").rename(root / "b.yaml"),
    lambda root: (root / "below" / "new.yaml").touch(),
    lambda root: (root / ".reconcilerignore").touch(),
]


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_file_shows(root: Path, change: Callable[[Path], object]) -> None:
    before = look(root)
    change(root)
    assert look(root) != before


def test_what_no_manifest_is_made_of_does_not_count(root: Path) -> None:
    before = look(root)
    (root / "reconciler.lock").write_text("another length")
    (root / ".hidden" / "b.yaml").write_text("another length")
    (root / ".swap").touch()
    (root / "nowhere").symlink_to(root / "missing")
    (root / "round").symlink_to(root)
    assert look(root) == before
    assert look(root / "..") != before
