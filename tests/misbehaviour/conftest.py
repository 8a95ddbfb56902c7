"""The real service behind a meddling proxy, and a project of two targets that speaks to it."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING

import pytest
from cli.project import PROMPTS, Project, target

from reconciler.service import Running, Settings, embedded
from reconciler.workflow.connection import SystemClock

from .meddler import Meddler, meddling_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "master-key-of-the-tests"
_numbers = itertools.count()
#: What any sleep is cut down to, in seconds.
NAP = 0.01


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("service") / "data"
    with embedded(Settings(data, key="some-key", master_key=KEY)) as running:
        yield running


@pytest.fixture(scope="session")
def shared_meddler(service: Running) -> Iterator[Meddler]:
    with meddling_with(service.url) as meddler:
        yield meddler


@pytest.fixture
def meddler(shared_meddler: Meddler) -> Iterator[Meddler]:
    yield shared_meddler
    shared_meddler.behave()


@pytest.fixture
def project(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    meddler: Meddler,
) -> Project:
    for name in ("BREAD_BASE_URL", "BREAD_MASTER_KEY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BREAD_API_KEY", KEY)
    access = ("--api-url", meddler.url, "--user-id", f"user-{next(_numbers)}")
    made = Project(tmp_path / "project", capsys, access)
    made.write("prompts.yaml", PROMPTS)
    made.targets(target("one"), target("two", questions=2))
    return made


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time fly while the reconciler sleeps: minutes of patience take moments."""
    flown = 0.0

    async def sleep(_: SystemClock, seconds: float) -> None:
        nonlocal flown
        flown += max(0.0, seconds - NAP)
        await asyncio.sleep(min(seconds, NAP))

    monkeypatch.setattr(SystemClock, "sleep", sleep)
    monkeypatch.setattr(SystemClock, "now", lambda _: time.monotonic() + flown)
