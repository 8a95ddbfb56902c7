"""Target configs as pure data: normalise, merge with a template, compare, show.

Never reads a file or the store; a config here is what ``schemas/api.v1.json`` lets through.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from string import Template
from typing import TYPE_CHECKING, Any

from reconciler.service.problems import Fault, invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Config = dict[str, Any]

STIM, ROLLOUT = "stim", "rollout"
MAX_TEMPLATE_BYTES = 1_000_000
DEFAULTS: Config = {"num_traj_per_stimulus": 1, "temperature": 1.0, "max_concurrency": 10}
FIELDS = (
    "teacher_prompt",
    "student_prompt",
    "generators",
    "model_name",
    "num_traj_per_stimulus",
    "temperature",
    "max_tokens",
    "max_concurrency",
    "extra_kwargs",
)
STAGE_FIELDS = {
    STIM: ("teacher_prompt", "student_prompt", "generators"),
    ROLLOUT: FIELDS[3:],
}
_TWINS = {"u": "teacher_prompt", "v": "student_prompt"}
_FLOATS = {"temperature"}
_PLACEHOLDERS = ("numq", "prompt_u")


def default_template(base_model: str) -> Config:
    """Return the config that the template ``default`` stands for in a repository."""
    return {"model_name": base_model, **DEFAULTS}


def normalise(overrides: Mapping[str, Any] | None) -> Config:
    """Return a config without unset fields, deprecated names and loose numbers.

    ``u`` and ``v`` give way to ``teacher_prompt`` and ``student_prompt`` when both are there.
    Raises a 422 for a generator's template that cannot work.
    """
    given = _set_fields(overrides or {})
    for old, new in _TWINS.items():
        if old in given:
            given.setdefault(new, given[old])
    config = {field: given[field] for field in FIELDS if field in given}
    if "generators" in config:
        numbered = enumerate(config["generators"])
        config["generators"] = [_generator(position, each) for position, each in numbered]
    return config


def merge(template: Config, overrides: Config) -> Config:
    """Return the template with the overrides' fields in place of its own, field by field."""
    merged = {**template, **overrides}
    return {field: merged[field] for field in FIELDS if field in merged}


def public(config: Config) -> Config:
    """Return the config as the API shows it: templates stay inside, only their paths come back."""
    if "generators" not in config:
        return config
    shown = [_without(generator, "template_content") for generator in config["generators"]]
    return {**config, "generators": shown}


def parameters(config: Config, stage: str) -> Config:
    """Return the settings that a job status shows: those of its stage, without long lists."""
    shown = {field: config[field] for field in STAGE_FIELDS[stage] if field in config}
    if "generators" in shown:
        generators = shown["generators"]
        shown["generators"] = [
            _without(each, "questions", "template_content") for each in generators
        ]
    return shown


def differences(live: Config, wanted: Config) -> list[str]:
    """Return a phrase for each field that differs, ``temperature is 1.0, not 0.7``; [] if none."""
    return list(_differences(live, wanted))


def canonical(value: Any) -> str:
    """Return one text for one meaning: key order and 1 against 1.0 make no difference."""
    return json.dumps(_plain(value), sort_keys=True)


def _differences(live: Config, wanted: Config) -> Iterator[str]:
    for field in FIELDS:
        old, new = live.get(field), wanted.get(field)
        if canonical(_comparable(field, old)) == canonical(_comparable(field, new)):
            continue
        if isinstance(old, list | dict) or isinstance(new, list | dict):
            yield f"{field} differ"
        else:
            yield f"{field} is {_shown(old)}, not {_shown(new)}"


def _shown(value: Any) -> str:
    return "unset" if value is None else repr(value)


def _comparable(field: str, value: Any) -> Any:
    if field != "generators" or value is None:
        return value
    return [{"rollout_with_conditioned": False, **generator} for generator in value]


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _set_fields(given: Mapping[str, Any]) -> Config:
    return {key: _number(key, value) for key, value in given.items() if value is not None}


def _number(field: str, value: Any) -> Any:
    if field in _FLOATS:
        return float(value)
    if isinstance(value, float):
        return int(value)
    return value


def _generator(position: int, given: Mapping[str, Any]) -> Config:
    generator = _set_fields(given)
    if "template_path" in generator:
        generator["template_path"] = _template_path(position, generator["template_path"])
    if "template_content" in generator:
        fault = _template_fault(generator["template_content"])
        if fault is not None:
            raise invalid([_generator_fault(position, "template_content", fault)])
    return generator


def _template_path(position: int, path: str) -> str:
    file = PurePosixPath(path).name
    if not file:
        raise invalid([_generator_fault(position, "template_path", "template_path names no file")])
    return f"templates/{file}"


def _generator_fault(position: int, field: str, message: str) -> Fault:
    return Fault(("body", "overrides", "generators", position, field), message, "value_error")


def _template_fault(content: str) -> str | None:
    if len(content.encode()) > MAX_TEMPLATE_BYTES:
        return "Template is larger than 1 MB"
    template = Template(content)
    if not template.is_valid():
        return "Template has a stray '$': write '$$' for a dollar sign"
    absent = [name for name in _PLACEHOLDERS if name not in template.get_identifiers()]
    return f"Template must contain ${{{absent[0]}}}" if absent else None


def _without(generator: Config, *fields: str) -> Config:
    return {key: value for key, value in generator.items() if key not in fields}
