"""Lock ↔ YAML text: sorted, no timestamps, the same bytes for the same value.

The writer is our own because the form is part of the contract (one block per resource, plain
scalars where YAML allows) and because a run writes it often. What stands in that form is read
without a parser; anything else goes through the YAML library and the JSON Schema, which alone say
what is wrong. Never touches a file.
"""

from __future__ import annotations

import re
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import yaml

from reconciler import schema_files
from reconciler.core.errors import InvalidLockfileError
from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import Lock, LockedPrompt, LockedRepo, LockedStage, LockedTarget
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.schema.checking import Checker
from reconciler.lockfile.scalars import LOADER, written

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VERSION = 1
HEADER = (
    "# Written by reconciler; commit it, don't edit it. `reconciler refresh` rebuilds it.\n"
    f"version: {VERSION}\n"
)
_SECTIONS = ("prompts", "repos", "targets")
_STAGE_HEADS = tuple((stage, f"    {stage}:\n") for stage in sorted(Stage))
_CONFLICT = re.compile(r"^(<<<<<<<|=======|>>>>>>>)( |\r?$)", re.MULTILINE)
_MARKER_LINE = re.compile(r"^([<|=>])\1{6}( .*)?\r?\n", re.MULTILINE)
#: What a lockfile begins with, perhaps after remarks; an empty file is a lost one. A version alone
#: says little, and so does one of our sections: many formats have one.
_BEGINNING = re.compile(
    r"\ufeff?(# Written by reconciler|(#.*\n|\s)*(api_url:|\Z|"
    r"version:\s+\d+\b(#.*\n|\s|version:\s+\d+\b)*((api_url|prompts|repos|targets):|\Z)))"
)
#: The order of addresses; comparing them as they are takes twice as long.
_ORDER = attrgetter("kind", "repo", "name")
_DEEPEST = 10
#: How deep the keys of blocks lie: within a section.
_BLOCKS = 1
#: Each takes hundreds of bytes to read; a target has some 25 of them.
_MOST_VALUES = 1_000_000


def render(lock: Lock, block: Callable[[ResourceId, Any], str] | None = None) -> str:
    """Return the text of a lockfile; ``block`` may serve the text of an entry from a cache."""
    block = block or render_entry
    parts = [HEADER, f"api_url: {written(lock.api_url)}\n"]
    for section in _SECTIONS:
        entries: Mapping[ResourceId, Any] = getattr(lock, section)
        parts.append(f"{section}:\n" if entries else f"{section}: {{}}\n")
        parts.extend([block(id_, entries[id_]) for id_ in sorted(entries, key=_ORDER)])
    return "".join(parts)


def render_entry(id_: ResourceId, entry: LockedRepo | LockedPrompt | LockedTarget) -> str:
    """Return the block of one resource, indented as it stands in the file."""
    head = f"  {written(str(id_))}:"
    if isinstance(entry, LockedRepo):
        model = entry.base_model
        return f"{head} {{}}\n" if model is None else f"{head}\n    base_model: {written(model)}\n"
    head += f"\n    digest: {written(entry.digest)}\n    live_name: {written(entry.live_name)}\n"
    return head + _rest(entry) if isinstance(entry, LockedTarget) else head


def _rest(target: LockedTarget) -> str:
    text = "" if target.prevent_destroy else "    prevent_destroy: false\n"
    for stage, head in _STAGE_HEADS:
        if stage in target.stages:
            text += head + _stage(target.stages[stage])
    return text


def _stage(seen: LockedStage) -> str:
    attempts = f"      attempts: {seen.attempts}\n" if seen.attempts else ""
    error = "" if seen.error is None else f"      error: {written(seen.error)}\n"
    expected = "" if seen.expected is None else f"      expected: {seen.expected}\n"
    output = "" if seen.output is None else f"      output: {written(seen.output)}\n"
    status = f"      status: {written(seen.status)}\n"
    return f"{attempts}{error}{expected}      lines: {seen.lines}\n{output}{status}"


def parse(text: str, where: str) -> Lock:
    """Read a lockfile; raises InvalidLockfileError, whose hint says how to recover."""
    from reconciler.lockfile import own_form  # its patterns take milliseconds to compile

    return own_form.parse(text, HEADER, _MOST_VALUES) or parse_any(text, where)


def parse_any(text: str, where: str) -> Lock:
    """Read a lockfile in whatever YAML it is written; raises as ``parse`` does."""
    is_ours = _begins_as_ours(text)
    if is_ours and (conflict := _CONFLICT.search(text)):
        line = text.count("\n", 0, conflict.start()) + 1
        place = f"{where}:{line}:1"
        raise ConflictMarkersError(f"{place}: the lockfile holds conflict markers", text)
    try:
        _refuse_what_we_never_write(text)
        value = _loaded(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that is none
        if is_ours and isinstance(error, _DoubledBlockError):
            message = f"{where}: {error.key} stands in the lockfile twice"
            raise ConflictMarkersError(message, text) from error
        place, why = _place_and_why(error)
        raise InvalidLockfileError(f"{where}{place}: no YAML: {why}", hint=way_out(text)) from error
    return _lock(_checked(value, where, way_out(text)))


def _loaded(text: str) -> Any:
    """Return what a text says; raises YAMLError, also for a mapping that has a key twice."""
    loader = LOADER(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_doubles(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _refuse_doubles(node: yaml.Node, depth: int = 0) -> None:
    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key, value in node.value:
        if (key.tag, str(key.value)) in seen:
            raise (_DoubledBlockError if depth == _BLOCKS else _DoubledKeyError)(key)
        seen.add((key.tag, str(key.value)))
        _refuse_doubles(value, depth + 1)


class _DoubledKeyError(yaml.MarkedYAMLError):
    """A mapping has a key twice."""

    def __init__(self, key: yaml.Node) -> None:
        super().__init__(problem=f"{key.value} stands here twice", problem_mark=key.start_mark)
        self.key = key.value


class _DoubledBlockError(_DoubledKeyError):
    """A section has two blocks of one key, as after a merge by lines."""


def _place_and_why(error: yaml.YAMLError | ValueError) -> tuple[str, str]:
    """Return what is wrong on one line, and where: the library knows no file and calls it odd."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        why = ", ".join(filter(None, (error.context, error.problem)))
        return f":{mark.line + 1}:{mark.column + 1}", why
    return "", str(getattr(error, "reason", error))


def way_out(text: str) -> str:
    """Return how to recover; nobody shall delete a file that is something else."""
    return REBUILD if _begins_as_ours(text) else f"It does not begin like a lockfile. {ELSEWHERE}"


def _begins_as_ours(text: str) -> bool:
    return _BEGINNING.match(_MARKER_LINE.sub("", text)) is not None


def _refuse_what_we_never_write(text: str) -> None:
    """Raise ValueError for what would exhaust whoever builds the value: aliases, depth, masses."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=LOADER)):
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
    """A merge left markers in the lockfile, in ``text``, or a block twice; ``refresh`` mends it."""

    def __init__(self, message: str, text: str) -> None:
        super().__init__(
            message,
            hint="Run `reconciler refresh`: it rebuilds the lockfile from live state, and keeps "
            "what only its two sides know.",
        )
        self.text = text


REBUILD = "Delete the file and run `reconciler refresh`: it rebuilds it from live state."
ELSEWHERE = (
    "Name the right one with --lockfile, or a new file and run `reconciler refresh`: it writes it "
    "from live state."
)


def _checked(value: Any, where: str, hint: str) -> dict[str, Any]:
    version = value.get("version") if isinstance(value, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise InvalidLockfileError(
            f"{where}: written by a newer reconciler (lockfile version {version})",
            hint=f"Upgrade reconciler; this version reads lockfiles up to version {VERSION}.",
        )
    if not _keys_are_text(value):
        raise InvalidLockfileError(f"{where}: a key is no text", hint=hint)
    problems = _checker().problems(value)
    if problems:
        first = problems[0]
        path = ".".join(str(key) for key in first.path)
        place = f"{where}: {path}: " if path else f"{where}: "
        raise InvalidLockfileError(place + first.message, hint=hint)
    return dict(value)


@cache
def _checker() -> Checker:
    return Checker(schema_files.load("lockfile"))


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
