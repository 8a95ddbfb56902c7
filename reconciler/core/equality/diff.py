"""Field-by-field differences between what is declared and what is live.

Only declared fields count. Equality is decided first and cheaply; only what differs is explained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.core.equality import normalize
from reconciler.core.model.plan import FieldDiff

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.model.manifest import JsonObject, JsonValue


def target_diff(declared: JsonObject, live: JsonObject) -> tuple[FieldDiff, ...]:
    """Return what differs between a declared config (normalised) and a live one (as it came)."""
    seen = normalize.target_config(live)
    return _compare(_as_declared(seen, declared), dict(declared))


def prompt_diff(declared: JsonObject, live: JsonObject) -> tuple[FieldDiff, ...]:
    """Return what differs between the declared content of a prompt and the live one."""
    wanted = normalize.prompt_content(declared)
    seen = normalize.prompt_content(live)
    return _compare({key: seen[key] for key in wanted if key in seen}, wanted)


def _as_declared(live: JsonObject, declared: JsonObject) -> dict[str, Any]:
    """Return the live config reduced to declared fields, with the service's defaults filled in."""
    reduced = _reduce(live, declared, normalize.TARGET_DEFAULTS)
    generators, wanted = reduced.get("generators"), declared.get("generators")
    if isinstance(generators, list) and isinstance(wanted, list):
        reduced["generators"] = [
            _reduce_generator(item, wanted[i]) if i < len(wanted) else item
            for i, item in enumerate(generators)
        ]
    return reduced


def _reduce_generator(live: JsonObject, declared: JsonObject) -> dict[str, Any]:
    reduced = _reduce(live, declared, normalize.GENERATOR_DEFAULTS)
    # The API may keep a template to itself: its content is then no difference.
    if "template_content" in declared and "template_content" not in live:
        reduced["template_content"] = declared["template_content"]
    return reduced


def _reduce(
    live: JsonObject, declared: JsonObject, defaults: Mapping[str, JsonValue]
) -> dict[str, Any]:
    filled = {**defaults, **live}
    return {key: filled[key] for key in declared if key in filled}


def _compare(live: dict[str, Any], declared: dict[str, Any]) -> tuple[FieldDiff, ...]:
    if same(live, declared):
        return ()
    try:
        found = _explain(live, declared)
    except OverflowError:  # numbers beyond those that the library can compare
        found = []
    found = found or _differing_keys(live, declared)
    return tuple(sorted(found, key=lambda diff: diff.path))


def same(one: JsonValue, other: JsonValue) -> bool:
    """Return whether two values mean the same JSON: 1 is 1.0, but not true."""
    kind = type(one)
    if kind is dict and type(other) is dict:
        return one.keys() == other.keys() and all(map(same, one.values(), map(other.get, one)))
    if kind is list and type(other) is list:
        return len(one) == len(other) and all(map(same, one, other))
    return (kind is bool) is (type(other) is bool) and bool(one == other)


def _differing_keys(live: dict[str, Any], declared: dict[str, Any]) -> list[FieldDiff]:
    """Return the fields that differ as wholes, for what the explanation does not reach."""
    return [
        FieldDiff(key, live.get(key), declared.get(key))
        for key in {**live, **declared}
        if not same(live.get(key), declared.get(key))
    ]


def _explain(live: dict[str, Any], declared: dict[str, Any]) -> list[FieldDiff]:
    from deepdiff import DeepDiff
    from deepdiff.helper import notpresent

    tree = DeepDiff(
        live,
        declared,
        view="tree",
        ignore_numeric_type_changes=True,
        ignore_private_variables=False,
        threshold_to_diff_deeper=0,
    )
    return [
        FieldDiff(
            _path(item.path(output_format="list")),
            *(None if side is notpresent else side for side in (item.t1, item.t2)),
        )
        for group in tree.values()
        for item in group
    ]


def _path(keys: list[str | int]) -> str:
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return text.removeprefix(".")
