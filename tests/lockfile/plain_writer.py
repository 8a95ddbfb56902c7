"""The form of a lockfile, written down once more: from mappings to lines, without regard to speed.

Every mapping is sorted, every scalar is PyYAML's, unless it is plain ASCII that YAML takes as text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from reconciler.core.model.lock import Lock, LockedRepo, LockedStage, LockedTarget

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.core.model.lock import LockedPrompt

_HEADER = "# Written by reconciler; commit it, don't edit it. `reconciler refresh` rebuilds it."
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./:@+-]*(?<!:)")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])


def render(lock: Lock) -> str:
    """Return the text of a lockfile."""
    lines = [_HEADER, "\nversion: 1", f"\napi_url: {_scalar(lock.api_url)}"]
    for name, entries in (
        ("prompts", lock.prompts),
        ("repos", lock.repos),
        ("targets", lock.targets),
    ):
        lines.append(f"\n{name}:" if entries else f"\n{name}: {{}}")
        for id_ in sorted(entries):
            lines.append(f"\n  {_scalar(str(id_))}:")
            lines.extend(_lines(_entry(entries[id_]), "\n    "))
    return "".join(lines) + "\n"


def _entry(entry: LockedRepo | LockedPrompt | LockedTarget) -> dict[str, Any]:
    if isinstance(entry, LockedRepo):
        return {} if entry.base_model is None else {"base_model": entry.base_model}
    fields: dict[str, Any] = {"digest": entry.digest, "live_name": entry.live_name}
    if isinstance(entry, LockedTarget):
        if not entry.prevent_destroy:
            fields["prevent_destroy"] = False
        fields |= {str(stage): _stage(seen) for stage, seen in entry.stages.items()}
    return fields


def _stage(stage: LockedStage) -> dict[str, Any]:
    fields = {name: getattr(stage, name) for name in stage.__dataclass_fields__}
    return {
        name: value for name, value in fields.items() if value is not None and name != "attempts"
    } | ({"attempts": stage.attempts} if stage.attempts else {})


def _lines(fields: Mapping[str, Any], indent: str) -> Iterator[str]:
    if not fields:
        yield " {}"
    for name in sorted(fields):
        value = fields[name]
        yield f"{indent}{name}:"
        if isinstance(value, dict):
            yield from _lines(value, indent + "  ")
        else:
            yield f" {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return str(value)
    value = value.encode(errors="replace").decode()  # half a character is no UTF-8
    return yaml.safe_dump(value, default_style='"', width=float("inf")).rstrip("\n")
