"""One service for the whole suite; every test is a user of its own, so none sees another's work."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from reconciler.service import Running, Settings, embedded

from .support import KEY, MASTER_KEY, Api, client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_numbers = itertools.count()


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("datasets")
    lines = (f'"question {number}"\n' for number in range(50))
    (folder / "fifty.jsonl").write_text("".join(lines))
    (folder / "table.csv").write_text("title,question\nt1,q1\nt2,q2\n")
    (folder / "empty.jsonl").write_text("\n\n")
    return folder


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, datasets: Path) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("service") / "data"
    settings = Settings(data, key=KEY, master_key=MASTER_KEY, datasets=datasets)
    with embedded(settings) as service:
        yield service


@pytest.fixture
def user() -> str:
    return f"user-{next(_numbers)}"


@pytest.fixture
def api(running: Running, user: str) -> Iterator[Api]:
    with client(running.url, key=MASTER_KEY, user=user) as connected:
        yield connected
