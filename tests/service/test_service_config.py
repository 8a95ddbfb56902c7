"""How a target's config comes about: defaults, templates, deprecated names, normal forms."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.service.resources import config

from .support import TEMPLATE, Api, hardcoded


def created(api: Api, name: str = "t", template: str = "default", **overrides: Any) -> Any:
    """Create a target and return its config."""
    api.ok("POST", "/v1/repo", {"repo_name": "r"})
    body = {"target_name": name, "template": template, "overrides": overrides}
    answer = api.ok("POST", "/v1/repo/r/targets", body)
    assert answer == api.ok("GET", f"/v1/repo/r/targets/{name}")
    return answer["config"]


def test_defaults_are_filled_in(api: Api) -> None:
    assert created(api) == {
        "model_name": "Qwen/Qwen3-32B",
        "num_traj_per_stimulus": 1,
        "temperature": 1.0,
        "max_concurrency": 10,
    }


def test_the_default_template_supplies_the_base_model(api: Api) -> None:
    api.ok("POST", "/v1/repo", {"repo_name": "s", "base_model": "mine"})
    body = {"target_name": "t", "template": "default"}
    answer = api.ok("POST", "/v1/repo/s/targets", body)
    assert answer["config"]["model_name"] == "mine"


def test_a_target_as_template_gives_way_field_by_field(api: Api) -> None:
    created(api, "base", teacher_prompt="a", max_tokens=5, extra_kwargs={"x": 1, "y": 2})
    heir = created(api, "heir", "base", extra_kwargs={"x": 3}, max_tokens=None, temperature=0)
    assert (heir["teacher_prompt"], heir["max_tokens"]) == ("a", 5)
    assert heir["extra_kwargs"] == {"x": 3}
    assert heir["temperature"] == 0.0


def test_the_deprecated_names(api: Api) -> None:
    old = created(api, "old", u="teacher", v="")
    assert (old["teacher_prompt"], old["student_prompt"]) == ("teacher", "")
    assert not {"u", "v"} & old.keys()
    both = created(api, "both", u="a", teacher_prompt="b", v="c", student_prompt=None)
    assert (both["teacher_prompt"], both["student_prompt"]) == ("b", "c")
    heir = created(api, "heir", "old", u="other")
    assert heir["teacher_prompt"] == "other"


@pytest.mark.parametrize("path", ["mine.txt", "templates/mine.txt", "../../etc/mine.txt"])
def test_templates_stay_inside_and_their_paths_become_normal(api: Api, path: str) -> None:
    generator = {"type": "custom", "template_path": path, "template_content": TEMPLATE}
    shown = created(api, generators=[generator])["generators"]
    assert shown == [{"type": "custom", "template_path": "templates/mine.txt"}]
    repeated = {"generators": [{**generator, "template_content": TEMPLATE + "!"}]}
    body = {"target_name": "t", "template": "default", "overrides": repeated}
    assert api.post("/v1/repo/r/targets", body).status_code == 409


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"temperature": 1}, {"temperature": 1.0}),
        ({}, {"temperature": 1.0, "num_traj_per_stimulus": 1, "max_concurrency": 10}),
        ({"max_tokens": 5.0}, {"max_tokens": 5}),
        ({"u": "a"}, {"teacher_prompt": "a", "u": None}),
        ({"extra_kwargs": {"a": 1, "b": 2}}, {"extra_kwargs": {"b": 2.0, "a": 1}}),
        (
            {"generators": [{"type": "persona", "numq": None}]},
            {"generators": [{"type": "persona", "rollout_with_conditioned": False}]},
        ),
    ],
)
def test_two_ways_to_say_the_same(api: Api, first: Any, second: Any) -> None:
    created(api, **first)
    body = {"target_name": "t", "template": "default", "overrides": second}
    assert api.post("/v1/repo/r/targets", body).status_code == 200


def test_true_is_not_one(api: Api) -> None:
    created(api, extra_kwargs={"a": True})
    body = {"target_name": "t", "template": "default", "overrides": {"extra_kwargs": {"a": 1}}}
    assert api.post("/v1/repo/r/targets", body).status_code == 409


def test_parameters_leave_out_what_is_long(api: Api) -> None:
    target = api.target(generators=hardcoded(*("question " * 5000).split(), numq=3))
    status = api.ok("GET", f"{target}/stim")
    assert status["config"] == status["parameters"]
    assert status["config"]["generators"] == [{"type": "hardcoded", "numq": 3}]
    assert len(json.dumps(status)) < 1000


NUMBERS = st.integers(1, 100)
GENERATORS = st.fixed_dictionaries(
    {"type": st.sampled_from(["persona", "hardcoded"])},
    optional={"numq": NUMBERS | st.none(), "questions": st.lists(st.text()) | st.none()},
)
OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "teacher_prompt": st.text() | st.none(),
        "student_prompt": st.text() | st.none(),
        "u": st.text() | st.none(),
        "v": st.text() | st.none(),
        "generators": st.lists(GENERATORS, max_size=3) | st.none(),
        "model_name": st.text() | st.none(),
        "num_traj_per_stimulus": NUMBERS | st.none(),
        "temperature": st.floats(0, 2) | st.integers(0, 2) | st.none(),
        "max_tokens": NUMBERS | st.none(),
        "extra_kwargs": st.dictionaries(st.text(), NUMBERS, max_size=3) | st.none(),
    },
)


@given(OVERRIDES)
def test_what_is_normal_stays_as_it_is(overrides: config.Config) -> None:
    normal = config.normalise(overrides)
    assert config.normalise(normal) == normal
    assert None not in normal.values()


@given(OVERRIDES, OVERRIDES, OVERRIDES)
def test_templates_of_templates(first: Any, second: Any, third: Any) -> None:
    a, b, c = (config.normalise(each) for each in (first, second, third))
    assert config.merge(config.merge(a, b), c) == config.merge(a, config.merge(b, c))
    assert config.merge(a, {}) == a == config.merge({}, a)


@given(OVERRIDES, OVERRIDES)
def test_differences_are_mutual_and_none_to_oneself(first: Any, second: Any) -> None:
    a, b = config.normalise(first), config.normalise(second)
    assert config.differences(a, a) == []
    assert len(config.differences(a, b)) == len(config.differences(b, a))
    assert (config.differences(a, b) == []) == (config.canonical(a) == config.canonical(b))
