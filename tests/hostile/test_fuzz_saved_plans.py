"""Saved plans that somebody touched: applied exactly, or refused before anything is asked for."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from cli.project import PROMPTS, target
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.core.errors import ExitCode

from . import damage
from .honest import Honest
from .support import assert_calm, command

MANY = 2 * settings().max_examples
MANIFESTS = "---\n".join([PROMPTS, target("one")])
#: What a saved plan may end with: it is good, out of date, matches nothing, or is none at all.
ENDINGS = {ExitCode.OK, ExitCode.BLOCKED, ExitCode.USAGE, ExitCode.INVALID}


@pytest.fixture(scope="module")
def good(surroundings: pytest.MonkeyPatch) -> Any:
    with tempfile.TemporaryDirectory() as folder, Honest().answering(surroundings):
        Path(folder, "a.yaml").write_text(MANIFESTS)
        file = Path(folder, "plan.json")
        options = ("--out", file, "--target", "coding/*", "--max-trajectories", "1000")
        assert command("plan", folder, *options).code == ExitCode.OK
        return json.loads(file.read_bytes())


def judged(content: bytes, surroundings: pytest.MonkeyPatch) -> ExitCode:
    """Apply a saved plan; what is refused may not have changed a thing."""
    api = Honest()
    with tempfile.TemporaryDirectory() as folder, api.answering(surroundings):
        Path(folder, "a.yaml").write_text(MANIFESTS)
        file = Path(folder, "plan.json")
        file.write_bytes(content)
        ended = command("apply", "--plan", file, folder)
        assert_calm(ended)
        assert ended.code in ENDINGS
        if ended.code != ExitCode.OK:
            assert api.writes == []
            assert not Path(folder, "reconciler.lock").exists()
        if ended.code == ExitCode.INVALID:
            assert api.requests == []
            assert "plan.json" in ended.err
            assert "reconciler plan --out" in ended.err
    return ExitCode(ended.code)


def test_what_is_damaged_here_is_good_to_begin_with(
    good: Any, surroundings: pytest.MonkeyPatch
) -> None:
    assert judged(damage.as_json(good), surroundings) == ExitCode.OK


@settings(max_examples=MANY)
@given(data=st.data())
def test_a_plan_with_wrong_values_changes_nothing_that_was_not_reviewed(
    good: Any, surroundings: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    judged(damage.as_json(data.draw(damage.damaged(good))), surroundings)


@settings(max_examples=MANY)
@given(data=st.data())
def test_a_plan_with_damaged_text_changes_nothing_that_was_not_reviewed(
    good: Any, surroundings: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    text = json.dumps(good, indent=2).encode()
    judged(data.draw(damage.damaged_bytes(text)), surroundings)


@pytest.mark.parametrize("depth", [100, 900, 100_000])
@pytest.mark.parametrize("where", ["old", "digest"])
def test_a_bottomless_plan_is_none(
    good: Any, surroundings: pytest.MonkeyPatch, depth: int, where: str
) -> None:
    bottomless = "[" * depth + "]" * depth
    action = {**good["actions"][0], "diff": [{"path": "p", "old": "HERE", "new": None}]}
    value = {**good, "actions": [action]} if where == "old" else {**good, "digest": "HERE"}
    text = json.dumps(value).replace('"HERE"', bottomless)
    assert judged(text.encode(), surroundings) in {ExitCode.BLOCKED, ExitCode.INVALID}


@given(st.sampled_from(damage.EVIL), st.sampled_from(["labels", "target", "exclude"]))
@example("=", "labels")
@example("[", "target")
def test_the_scope_of_a_plan_is_taken_as_text(
    good: Any, surroundings: pytest.MonkeyPatch, text: str, option: str
) -> None:
    options = {**good["options"], option: [f"{text}=" if option == "labels" else text]}
    judged(damage.as_json({**good, "options": options}), surroundings)
