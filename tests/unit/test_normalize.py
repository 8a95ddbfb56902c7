from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from strategies import generators, settings_of_a_target

from reconciler.core.equality import normalize


@pytest.mark.parametrize(
    ("config", "known"),
    [
        ({}, {}),
        ({"max_tokens": None, "temperature": 0.5}, {"temperature": 0.5}),
        ({"u": "a", "v": "b"}, {"teacher_prompt": "a", "student_prompt": "b"}),
        ({"u": "old", "teacher_prompt": "new"}, {"teacher_prompt": "new"}),
        ({"u": "a", "teacher_prompt": None}, {"teacher_prompt": "a"}),
        ({"u": None}, {}),
        ({"v": ""}, {"student_prompt": ""}),
        ({"extra_kwargs": {"stop": None}}, {"extra_kwargs": {"stop": None}}),
    ],
)
def test_a_target_config_is_brought_to_one_form(config: Any, known: Any) -> None:
    assert normalize.target_config(config) == known


@pytest.mark.parametrize("path", ["harder.txt", "templates/harder.txt", "/a/b/harder.txt"])
def test_a_template_path_is_as_the_api_keeps_it(path: str) -> None:
    config = {"type": "custom", "template_path": path, "seed": None}
    assert normalize.generator(config) == {
        "type": "custom",
        "template_path": "templates/harder.txt",
    }


@pytest.mark.parametrize(
    ("content", "known"),
    [
        ({"messages": []}, {"messages": []}),
        ({"messages": None}, {"messages": []}),
        ({"messages": [], "tools": []}, {"messages": []}),
        ({"messages": [], "tools": None}, {"messages": []}),
        ({"messages": [], "tools": [{"type": "function"}]},) * 2,
        (
            {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]},
            {"messages": [{"role": "assistant", "tool_calls": []}]},
        ),
        ({"messages": [{"role": "user", "content": ""}]},) * 2,
    ],
)
def test_a_prompt_is_brought_to_one_form(content: Any, known: Any) -> None:
    assert normalize.prompt_content(content) == known


def test_what_the_service_assumes_is_left_out() -> None:
    config = {
        "temperature": 1,
        "num_traj_per_stimulus": 2,
        "max_concurrency": 10,
        "generators": [{"type": "persona", "rollout_with_conditioned": False, "temperature": 1.0}],
    }
    assert normalize.without_target_defaults(config) == {
        "num_traj_per_stimulus": 2,
        "generators": [{"type": "persona", "temperature": 1.0}],
    }


@given(settings_of_a_target, generators)
def test_one_form_is_final(config: dict[str, Any], generator: dict[str, Any]) -> None:
    once = normalize.target_config({**config, "generators": [generator]})
    assert normalize.target_config(once) == once
