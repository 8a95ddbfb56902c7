"""The lines of outputs: one form for every shape, and the same bytes for the same record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.jsonl import KEYS, line
from reconciler.core.model.desired import Stage

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTED = sorted({key for keys in KEYS.values() for key in keys})
RECORDS = st.dictionaries(st.sampled_from(DOCUMENTED) | st.text(), VALUES, max_size=6)
STAGES = st.sampled_from(Stage)


@pytest.mark.parametrize(
    ("stage", "record", "text"),
    [
        (Stage.STIM, "Why?", '{"stimulus_id":7,"question":"Why?"}'),
        (Stage.STIM, {"question": "Why?"}, '{"stimulus_id":7,"question":"Why?"}'),
        (
            Stage.STIM,
            {"b": {"y": 1, "x": 2}, "question": "é", "a": None, "stimulus_id": 3},
            '{"stimulus_id":3,"question":"é","a":null,"b":{"x":2,"y":1}}',
        ),
        (
            Stage.ROLLOUT,
            {"tokens": 4, "response": "So.", "stimulus": "Why?", "stimulus_id": 0, "seed": 1.0},
            '{"stimulus_id":0,"stimulus":"Why?","response":"So.","tokens":4,"seed":1.0}',
        ),
        (Stage.ROLLOUT, {"response": "a\u2028b\x85\ud800"}, r'{"response":"a\u2028b\u0085\ud800"}'),
        (Stage.ROLLOUT, {}, "{}"),
    ],
)
def test_a_record_has_one_form(stage: Stage, record: Any, text: str) -> None:
    assert line(stage, 7, record) == text.encode() + b"\n"


@pytest.mark.parametrize("record", [None, 7, ["Why?"]])
@pytest.mark.parametrize("stage", Stage)
def test_what_is_no_record_is_refused(stage: Stage, record: Any) -> None:
    with pytest.raises(ValueError, match="record 7 is no object"):
        line(stage, 7, record)


def test_a_trajectory_is_no_bare_string() -> None:
    with pytest.raises(ValueError, match="no object"):
        line(Stage.ROLLOUT, 7, "So.")


def test_bottomless_nesting_is_refused() -> None:
    record: Any = {}
    for _ in range(100_000):
        record = {"a": record}
    with pytest.raises(ValueError, match="nested too deeply"):
        line(Stage.ROLLOUT, 7, record)


@given(STAGES, RECORDS)
def test_nothing_of_a_record_is_lost_or_altered(stage: Stage, record: dict[str, Any]) -> None:
    read = json.loads(line(stage, 7, record))
    expected = {"stimulus_id": 7, **record} if stage is Stage.STIM else record
    assert read == expected


@given(STAGES, RECORDS)
def test_a_line_is_one_line_for_every_reader(stage: Stage, record: dict[str, Any]) -> None:
    content = line(stage, 7, record)
    assert content.decode().splitlines(keepends=True) == [content.decode()]


@given(STAGES, RECORDS, st.randoms())
def test_the_order_of_keys_makes_no_difference(
    stage: Stage, record: dict[str, Any], random: Any
) -> None:
    keys = list(record)
    random.shuffle(keys)
    assert line(stage, 7, {key: record[key] for key in keys}) == line(stage, 7, record)
