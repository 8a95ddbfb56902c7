"""Sets as nobody would write them: refused with a place and within bounds, or taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cli.project import PROMPTS
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.errors import ExitCode

from . import damage
from .support import measured
from .test_fuzz_manifests import MANY, judged

if TYPE_CHECKING:
    from pathlib import Path

SET = """\
apiVersion: reconciler/v1
kind: TargetSet
metadata: {repo: coding, name: "t-${{ matrix.a }}-${{ matrix.topic }}"}
matrix:
  a: [1, true, x]
  topic: {files: "*.txt"}
  exclude: [{a: 1}]
  include: [{a: x, temperature: 0.5}, {a: y, topic: questions, temperature: 1}]
template:
  labels: {a: "${{ matrix.a }}"}
  spec:
    teacher_prompt: expert
    temperature: "${{ matrix.temperature }}"
    generators:
      - {type: hardcoded, questions_file: "${{ matrix.topic }}.txt"}
    extra_kwargs: {a: ["${{ matrix.a }}", "a is ${{matrix.a}}"]}
  desired: {stim: {min_lines: 1, timeout: 1h}, rollout: none}
  policy: {on_change: revise, retries: 1}
"""
SOUND = SET.replace("[{a: x, temperature: 0.5}", "[{temperature: 0.5}")
VALUE = yaml.safe_load(SOUND)


def test_undamaged_it_is_taken(tmp_path: Path) -> None:
    (tmp_path / "questions.txt").write_text("One?\n")
    (tmp_path / "a.yaml").write_text(f"{PROMPTS}---\n{SOUND}")
    assert measured("validate", tmp_path).code == ExitCode.OK


@settings(max_examples=MANY)
@given(st.data())
def test_damaged_sets_are_refused_with_their_place(data: st.DataObject) -> None:
    damaged = data.draw(damage.damaged(VALUE))
    judged(a_yaml=PROMPTS.encode() + b"\n---\n" + data.draw(damage.written(damaged)))


@settings(max_examples=MANY)
@given(damage.damaged_bytes(SOUND.encode()))
def test_damaged_text_of_a_set_is_refused_with_its_place(text: bytes) -> None:
    judged(a_yaml=text)


AXES: dict[str, Any] = {name: [*range(10)] for name in "abcd"}
NAME = "t-" + "-".join(f"${{{{ matrix.{name} }}}}" for name in AXES)


def spec(**fields: Any) -> dict[str, Any]:
    return {"matrix": AXES, "template": {"spec": fields}}


#: What a set may not be, each in a few bytes or with 10,000 cells.
GIANTS: dict[str, dict[str, Any]] = {
    "axes": {"matrix": {**AXES, "e": [1, 2]}},
    "inclusions": {"matrix": {**AXES, "include": [{"x": n} for n in range(9_999)]}},
    "text": spec(model_name="x" * 5_000_000 + "${{ matrix.a }}"),
    "values": spec(extra_kwargs={"a": [0] * 99_999}),
    "unknown": spec(extra_kwargs={"a": ["${{ matrix.e }}"] * 80}),
    "wrong": spec(temperature="${{ matrix.a }}", model_name="${{ matrix.b }}"),
    "pattern": {"matrix": {"a": {"files": "**/" * 200 + "*a" * 100 + "x"}}},
    "turns": {"matrix": {"a": {"files": "**/d/" * 100 + "*x"}}},
}


@pytest.mark.parametrize("giant", GIANTS)
def test_what_would_grow_without_measure_is_refused(giant: str, tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(30):
        folder /= "d"
        folder.mkdir()
        (folder / ("a" * 200)).write_text("")
    head = {"apiVersion": "reconciler/v1", "kind": "TargetSet"}
    metadata = {"repo": "coding", "name": NAME}
    whole = {**head, "metadata": metadata, "template": {}, **GIANTS[giant]}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(whole))
    ended = measured("validate", tmp_path, seconds=30)
    assert ended.code == ExitCode.INVALID, ended
    assert "internal error" not in ended.err
    assert len(ended.err) < 100_000
    assert ended.megabytes < 400
