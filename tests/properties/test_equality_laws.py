"""Laws of sameness: what means the same has the same digest and is no difference; all else is."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from builders import digests, planned, read, settled
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import manifests

from reconciler.core.equality import canonical, diff

if TYPE_CHECKING:
    from random import Random

    from builders import Manifest

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=3)
json_values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
randoms = st.randoms(use_true_random=False)

TARGET_DEFAULTS = {"temperature": 1.0, "num_traj_per_stimulus": 1, "max_concurrency": 10}
GENERATOR_DEFAULTS = {"rollout_with_conditioned": False}
OLD_NAMES = {"teacher_prompt": "u", "student_prompt": "v"}


@given(manifests(), randoms)
def test_spelling_changes_no_digest(declared: list[Manifest], random: Random) -> None:
    one, other = (read(said)[0] for said in (declared, respelled(declared, random)))
    assert digests(other) == digests(one)


@given(manifests(), randoms)
def test_spelling_is_no_difference(declared: list[Manifest], random: Random) -> None:
    one, other = (read(said)[0] for said in (declared, respelled(declared, random)))
    assert planned(other, settled(one, {})).pending == ()


@given(json_values, json_values)
@example({"__private": 1}, {"__private": 2})
@example(2**53, 2**53 + 1)
@example(10**400, 10**400 + 1)
@example(0.1, 0.1 + 1e-15)
@example(True, 1)
def test_a_diff_is_empty_only_between_equals(declared: Any, live: Any) -> None:
    found = diff.target_diff({"extra_kwargs": {"x": declared}}, {"extra_kwargs": {"x": live}})
    assert (not found) == (canonical.dumps(declared) == canonical.dumps(live))
    assert all(item.path.startswith("extra_kwargs") for item in found)


@given(json_values)
def test_a_digest_is_that_of_the_meaning(value: Any) -> None:
    same = as_floats(value)
    assert canonical.digest(same) == canonical.digest(value)
    assert canonical.digest([value]) != canonical.digest(value)


def as_floats(value: Any) -> Any:
    """Return the same value with its keys turned around, and 1 as 1.0 wherever that is the same."""
    if isinstance(value, dict):
        return {key: as_floats(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [as_floats(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    return value


def respelled(declared: list[Manifest], random: Random) -> list[Manifest]:
    """Return a project that means the same in other words."""
    found = [as_floats(copy.deepcopy(manifest)) for manifest in declared]
    for manifest in found:
        if manifest["kind"] == "Target":
            _respell(manifest["spec"], random)
    return found


def _respell(spec: Manifest, random: Random) -> None:
    if "template" not in spec:
        _fill_in(spec, TARGET_DEFAULTS, random)
    for generator in spec.get("generators", ()):
        _fill_in(generator, GENERATOR_DEFAULTS | {"seed": None}, random)
        if "template_path" in generator:
            generator["template_path"] = "somewhere/" + generator["template_path"]
    for new, old in OLD_NAMES.items():
        if new in spec and random.random() < 0.5:
            spec[old] = spec.pop(new)
    _fill_in(spec, dict.fromkeys(["model_name", "max_tokens", "u", "v"]), random)


def _fill_in(holder: Manifest, values: Manifest, random: Random) -> None:
    for key, value in values.items():
        if random.random() < 0.5:
            holder.setdefault(key, value)
