"""One service for the whole suite; every test is a user of its own, so none sees another's work."""

from __future__ import annotations

import itertools
import json
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
    records: list[object] = [f"question {number}" for number in range(50)]
    write(folder / "fifty.jsonl", records)
    write(
        folder / "fields.jsonl",
        [{"question": "q"}, {"prompt": "p"}, {"text": "t"}, {"input": "i"}, "s"],
    )
    write(folder / "mixed.jsonl", [{"answer": "no question", "question": None, "text": "found"}])
    write(folder / "silent.jsonl", ["fine", {"title": "no question here"}])
    write(folder / "surrogate.jsonl", ["\ud800"])
    (folder / "broken.jsonl").write_text('"fine"\n{nonsense\n')
    (folder / "latin.jsonl").write_bytes('"caf\u00e9"\n'.encode("latin-1"))
    (folder / "empty.jsonl").write_text("\n\n")
    (folder / "folder.jsonl").mkdir()
    outside = tmp_path_factory.mktemp("outside") / "secret.jsonl"
    write(outside, ["a secret"])
    (folder / "link.jsonl").symlink_to(outside)
    return folder


def write(path: Path, records: list[object]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


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
