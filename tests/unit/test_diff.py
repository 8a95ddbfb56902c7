from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.equality import diff

Difference = tuple[str, Any, Any]


def target_diff(declared: Any, live: Any) -> list[Difference]:
    return [(item.path, item.old, item.new) for item in diff.target_diff(declared, live)]


@pytest.mark.parametrize(
    ("declared", "live", "differences"),
    [
        ({"temperature": 0.7}, {"temperature": 1.0}, [("temperature", 1.0, 0.7)]),
        ({"temperature": 0.7}, {}, [("temperature", 1.0, 0.7)]),
        ({"max_tokens": 100}, {}, [("max_tokens", None, 100)]),
        ({"teacher_prompt": "new"}, {"u": "old"}, [("teacher_prompt", "old", "new")]),
        (
            {"extra_kwargs": {"stop": ["a", "b"]}},
            {"extra_kwargs": {"stop": ["a", "c"], "seed": 1}},
            [("extra_kwargs.seed", 1, None), ("extra_kwargs.stop[1]", "c", "b")],
        ),
        (
            {"max_tokens": 1, "model_name": "a"},
            {"max_tokens": 2, "model_name": "a"},
            [("max_tokens", 2, 1)],
        ),
    ],
)
def test_each_difference_is_told_by_its_path(
    declared: Any, live: Any, differences: list[Difference]
) -> None:
    assert target_diff(declared, live) == differences


@pytest.mark.parametrize(
    ("declared", "live", "path"),
    [
        ([{"type": "a", "numq": 1}], [{"type": "a", "numq": 2}], "generators[0].numq"),
        ([{"type": "a"}], [{"type": "b"}], "generators[0].type"),
        ([{"type": "a"}], [], "generators[0]"),
        ([], [{"type": "a"}], "generators[0]"),
        (
            [{"type": "a", "questions": ["x", "y"]}],
            [{"type": "a", "questions": ["x", "z"]}],
            "generators[0].questions[1]",
        ),
    ],
)
def test_generators_are_compared_one_by_one(declared: Any, live: Any, path: str) -> None:
    found = target_diff({"generators": declared}, {"generators": live})
    assert [where for where, _, _ in found] == [path]


def test_differences_are_sorted_by_path() -> None:
    declared = {"temperature": 0.1, "max_tokens": 1, "extra_kwargs": {"x": 1}}
    live = {"temperature": 0.2, "max_tokens": 2, "extra_kwargs": {"x": 2}}
    paths = [where for where, _, _ in target_diff(declared, live)]
    assert paths == ["extra_kwargs.x", "max_tokens", "temperature"]


@pytest.mark.parametrize(
    ("declared", "live", "paths"),
    [
        (
            [{"role": "user", "content": "a"}],
            [{"role": "user", "content": "b"}],
            ["messages[0].content"],
        ),
        ([], [{"role": "user", "content": "b"}], ["messages[0]"]),
        ([{"role": "user", "content": "a", "name": None}], [{"role": "user", "content": "a"}], []),
        ([{"role": "user", "content": ""}], [{"role": "user", "content": ""}], []),
        (
            [{"role": "user", "content": ""}],
            [{"role": "user", "content": None}],
            ["messages[0].content"],
        ),
    ],
)
def test_prompts_are_compared_message_by_message(
    declared: Any, live: Any, paths: list[str]
) -> None:
    found = diff.prompt_diff({"messages": declared}, {"messages": live})
    assert [item.path for item in found] == paths


def test_tools_that_are_not_declared_are_nobodys_business() -> None:
    assert (
        diff.prompt_diff({"messages": []}, {"messages": [], "tools": [{"type": "function"}]}) == ()
    )
