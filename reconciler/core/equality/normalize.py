"""What the API treats as the same thing, brought to one form: one table of rules for both sides.

The rules come from the API reference: null means absent, ``u`` and ``v`` are old names of
``teacher_prompt`` and ``student_prompt``, a ``template_path`` comes back as ``templates/<file>``,
and the service fills in documented defaults. Nothing here compares or decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.model.manifest import JsonObject, JsonValue

#: Deprecated field names of a target config, and what they are called now.
RENAMED = {"u": "teacher_prompt", "v": "student_prompt"}
#: Fields that hold the name of a prompt.
PROMPT_FIELDS = tuple(RENAMED.values())
#: What the service fills in when a field is absent.
TARGET_DEFAULTS: Mapping[str, JsonValue] = {
    "temperature": 1.0,
    "num_traj_per_stimulus": 1,
    "max_concurrency": 10,
}
GENERATOR_DEFAULTS: Mapping[str, JsonValue] = {"rollout_with_conditioned": False}
DEFAULT_TEMPLATE = "default"


def target_config(config: JsonObject) -> dict[str, Any]:
    """Return a target config without nulls, under today's names, its generators normalised."""
    known = without_nulls(config)
    for old, new in RENAMED.items():
        value = known.pop(old, None)
        if value is not None:
            known.setdefault(new, value)
    if "generators" in known:
        known["generators"] = [generator(item) for item in known["generators"]]
    return known


def generator(config: JsonObject) -> dict[str, Any]:
    """Return a generator without nulls, its template path in the form in which the API keeps it."""
    known = without_nulls(config)
    path = known.get("template_path")
    if isinstance(path, str):
        known["template_path"] = "templates/" + path.rsplit("/", 1)[-1]
    return known


def prompt_content(content: JsonObject) -> dict[str, Any]:
    """Return the messages, and the tools if there are any, without nulls."""
    known: dict[str, Any] = {
        "messages": [without_nulls(message) for message in content.get("messages") or ()]
    }
    if content.get("tools"):
        known["tools"] = content["tools"]
    return known


def without_target_defaults(config: JsonObject) -> dict[str, Any]:
    """Return a normalised config without the fields that say what the service would fill in."""
    known = _without(config, TARGET_DEFAULTS)
    if "generators" in known:
        known["generators"] = [_without(item, GENERATOR_DEFAULTS) for item in known["generators"]]
    return known


def without_nulls(value: JsonObject) -> dict[str, Any]:
    """Return a copy of a mapping without the keys whose value is null (one level deep)."""
    return {key: item for key, item in value.items() if item is not None}


def _without(config: JsonObject, defaults: JsonObject) -> dict[str, Any]:
    return {k: v for k, v in config.items() if not (k in defaults and defaults[k] == v)}
