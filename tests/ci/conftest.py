"""A forge and a stim & rollout service for every test."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from reconciler.service import Running, Settings, embedded

from .forge import Forge, forge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "key-of-the-recipes"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with embedded(Settings(tmp_path / "service", key=KEY)) as running:
        yield running


@pytest.fixture
def hub(tmp_path: Path) -> Forge:
    """Give a repository with one target on main."""
    needed = {"bash", "git", "jq", "curl"}
    missing = sorted(program for program in needed if not shutil.which(program))
    if missing:
        pytest.skip(f"the recipes cannot run here: no {', '.join(missing)}")
    return forge(tmp_path)
