"""Lock ↔ YAML text: sorted, no timestamps, the same bytes for the same value.

The writer is our own because the form is part of the contract (one block per resource, plain
scalars where YAML allows) and because a run writes it often. Reading goes through the YAML library
and the JSON Schema. Never touches a file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from reconciler import schema_files
from reconciler.core.errors import InvalidLockfileError
from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import Lock, LockedPrompt, LockedRepo, LockedStage, LockedTarget
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.schema import Checker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

VERSION = 1
HEADER = (
    "# Written by reconciler; commit it, don't edit it. `reconciler refresh` rebuilds it.\n"
    f"version: {VERSION}\n"
)
_SECTIONS = ("prompts", "repos", "targets")
_CONFLICT = re.compile(r"^(<<<<<<<|=======|>>>>>>>)( |$)", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./:@+-]*(?<!:)")
_DEEPEST = 10
#: Each takes hundreds of bytes to read; a target has some 25 of them.
_MOST_VALUES = 1_000_000
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Words that YAML 1.1 reads as something other than a string.
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])


def render(lock: Lock, block: Callable[[ResourceId, Any], str] | None = None) -> str:
    """Return the text of a lockfile; ``block`` may serve the text of an entry from a cache."""
    block = block or render_entry
    parts = [HEADER, f"api_url: {_scalar(lock.api_url)}\n"]
    for section in _SECTIONS:
        entries: Mapping[ResourceId, Any] = getattr(lock, section)
        parts.append(f"{section}:\n" if entries else f"{section}: {{}}\n")
        parts.extend(block(id_, entries[id_]) for id_ in sorted(entries))
    return "".join(parts)


def render_entry(id_: ResourceId, entry: LockedRepo | LockedPrompt | LockedTarget) -> str:
    """Return the block of one resource, indented as it stands in the file."""
    return "".join([f"  {_scalar(str(id_))}:", *_lines(_entry(entry), "\n    ")]) + "\n"


def parse(text: str, where: str) -> Lock:
    """Read a lockfile; raises InvalidLockfileError, whose hint says how to recover."""
    if _CONFLICT.search(text):
        line = text.count("\n", 0, _CONFLICT.search(text).start()) + 1  # type: ignore[union-attr]
        raise ConflictMarkersError(f"{where}:{line}:1: the lockfile holds conflict markers")
    try:
        _refuse_what_we_never_write(text)
        value = yaml.load(text, Loader=_LOADER)  # noqa: S506
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that is none
        raise InvalidLockfileError(f"{where}: no YAML: {error}", hint=REBUILD) from error
    return _lock(_checked(value, where))


def _refuse_what_we_never_write(text: str) -> None:
    """Raise ValueError for what would exhaust whoever builds the value: aliases, depth, masses."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if count > _MOST_VALUES:
            raise ValueError(f"it holds more than {_MOST_VALUES:,} values")
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it holds an alias")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class ConflictMarkersError(InvalidLockfileError):
    """A merge left its markers in the lockfile; ``refresh`` may write it anew."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            hint="Run `reconciler refresh`: it rebuilds the lockfile from live state.",
        )


REBUILD = "Delete the file and run `reconciler refresh`: it rebuilds it from live state."


def _checked(value: Any, where: str) -> dict[str, Any]:
    version = value.get("version") if isinstance(value, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise InvalidLockfileError(
            f"{where}: written by a newer reconciler (lockfile version {version})",
            hint="Upgrade reconciler; this version reads lockfiles up to version 1.",
        )
    if not _keys_are_text(value):
        raise InvalidLockfileError(f"{where}: a key is no text", hint=REBUILD)
    problems = Checker(schema_files.load("lockfile")).problems(value)
    if problems:
        first = problems[0]
        path = ".".join(str(key) for key in first.path)
        place = f"{where}: {path}: " if path else f"{where}: "
        raise InvalidLockfileError(place + first.message, hint=REBUILD)
    return dict(value)


def _keys_are_text(value: Any) -> bool:
    if not isinstance(value, dict):
        return True
    return all(isinstance(key, str) and _keys_are_text(item) for key, item in value.items())


def _lock(value: Mapping[str, Any]) -> Lock:
    return Lock(
        api_url=value["api_url"],
        repos={
            ResourceId(Kind.REPO, name): LockedRepo((entry or {}).get("base_model"))
            for name, entry in value["repos"].items()
        },
        prompts={
            _id(Kind.PROMPT, name): LockedPrompt(entry["digest"], entry["live_name"])
            for name, entry in value["prompts"].items()
        },
        targets={
            _id(Kind.TARGET, name): LockedTarget(
                digest=entry["digest"],
                live_name=entry["live_name"],
                prevent_destroy=entry.get("prevent_destroy", True),
                stages={stage: LockedStage(**entry[stage]) for stage in Stage if stage in entry},
            )
            for name, entry in value["targets"].items()
        },
    )


def _id(kind: Kind, text: str) -> ResourceId:
    repo, _, name = text.partition("/")
    return ResourceId(kind, repo, name)


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
