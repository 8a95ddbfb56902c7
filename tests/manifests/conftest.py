"""What the tests of manifests share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from pathlib import Path


class WriteFiles(Protocol):
    """Writes files below a fresh directory and returns that directory."""

    def __call__(self, files: dict[str, str | bytes], /) -> Path: ...


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteFiles:
    """Make the current directory one that holds ``project/`` with the files asked for."""
    monkeypatch.chdir(tmp_path)

    def write(files: dict[str, str | bytes], /) -> Path:
        for name, content in files.items():
            path = tmp_path / "project" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return (tmp_path / "project").relative_to(tmp_path)

    return write
