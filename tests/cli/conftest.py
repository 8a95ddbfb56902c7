"""One service for all tests of the command line; every project is a user of its own there."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from reconciler.service import Running, Settings, embedded

from .project import PROMPTS, Project, target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "master-key-of-the-tests"
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BREAD_API_KEY", "BREAD_BASE_URL", "BREAD_MASTER_KEY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("service") / "data"
    with embedded(Settings(data, key="some-key", master_key=KEY)) as service:
        yield service


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a service that takes a tenth of a second for every line."""
    data = tmp_path_factory.mktemp("slow") / "data"
    with embedded(Settings(data, key="some-key", master_key=KEY, pace=0.1)) as service:
        yield service


@pytest.fixture
def project(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    running: Running,
) -> Project:
    """Give a project of two targets, and the service as its API."""
    return _project(tmp_path, capsys, monkeypatch, running)


@pytest.fixture
def slow_project(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    slow: Running,
) -> Project:
    """Give a project whose single target takes some 60 s for its rollout."""
    made = _project(tmp_path, capsys, monkeypatch, slow)
    made.targets(target("slow", questions=2, trajectories=300, spec={"max_concurrency": 1}))
    return made


def _project(
    root: Path,
    capture: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    service: Running,
) -> Project:
    monkeypatch.setenv("BREAD_API_KEY", KEY)
    access = ("--api-url", service.url, "--user-id", f"user-{next(_numbers)}")
    made = Project(root / "project", capture, access, {"BREAD_API_KEY": KEY})
    made.write("prompts.yaml", PROMPTS)
    made.targets(target("one"), target("two", questions=2))
    return made
