"""What is remembered from one run to the next comes back whole, or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from builders import prompt_id, repo_id, target_id
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.watching.rounds import Ending, Totals
from reconciler.core.watching.standing import WHOLE_RUN, State, Told
from reconciler.workflow.watching.memory import Memory, read, write

if TYPE_CHECKING:
    from pathlib import Path

MEMORY = Memory(
    {
        target_id(): Told(State.FAILED, 12.5),
        prompt_id(): Told(State.BLOCKED, 1.0),
        repo_id(): Told(State.BLOCKED, 2.0),
        WHOLE_RUN: Told(State.FAILED, 3.0),
    },
    Totals().plus(Ending.BLOCKED, 3.5, 99.0).asked({"ok": 3}).plus(Ending.FAILED, 1e9, 100.0),
)


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, MEMORY)
    assert read(tmp_path) == MEMORY


def test_without_a_file_nothing_is_remembered(tmp_path: Path) -> None:
    assert read(tmp_path) == Memory()


def spoilt(change: Any) -> str:
    value = {"format": "reconciler/rounds/v1", "told": {}, "totals": {}}
    return json.dumps(value | change)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        spoilt({"format": "reconciler/rounds/v2"}),
        spoilt({"told": []}),
        spoilt({"told": {"Target a/b": "failed"}}),
        spoilt({"told": {"Target a/b": ["well", 1]}}),
        spoilt({"told": {"Thing a/b": ["failed", 1]}}),
        spoilt({"told": {"Target a/b": ["failed", 10**400]}}),
        spoilt({"totals": {"seconds": "long"}}),
        spoilt({"totals": {"rounds": []}}),
        spoilt({"totals": {"rounds": {"failed": -1}}}),
        spoilt({"totals": {"durations": [1]}}),
        spoilt({"totals": {"surprise": 1}}),
    ],
)
def test_what_makes_no_sense_is_forgotten(tmp_path: Path, text: str) -> None:
    write(tmp_path, MEMORY)
    (tmp_path / ".reconciler" / "rounds.json").write_text(text)
    assert read(tmp_path) == Memory()


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    root = tmp_path_factory.mktemp("any")
    write(root, MEMORY)
    (root / ".reconciler" / "rounds.json").write_bytes(raw)
    read(root)


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text("mine")
    root = tmp_path / "project"
    (root / ".reconciler").mkdir(parents=True)
    (root / ".reconciler" / "rounds.json").symlink_to(elsewhere)
    write(root, MEMORY)
    assert elsewhere.read_text() == "mine"
    assert read(root) == MEMORY
