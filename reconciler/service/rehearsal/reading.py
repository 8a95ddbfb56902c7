"""Reads a rehearsal file: YAML, checked against ``schemas/rehearsal.v1.json``.

Either the whole file is right, or everything wrong with it is said at once, with line and column.
Takes plain YAML only: no aliases, no tags. Never writes, and never reads anything but this file.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import yaml
from jsonschema import Draft202012Validator

from reconciler.service import schema
from reconciler.service.rehearsal.script import ANYTHING, Amount, JobRule, RequestRule, Script, When
from reconciler.service.settings import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from jsonschema.exceptions import ValidationError

LARGEST = 100_000
"""The most bytes a rehearsal file may have."""
DEEPEST = 8
"""The deepest nesting of mappings and lists in a rehearsal file."""

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_LONGEST_SHOWN = 60
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str")}
_Path = tuple[str | int, ...]


class _Mark(Protocol):
    line: int
    column: int


class Problem(NamedTuple):
    """Something wrong with a file, and where; sorts by place."""

    line: int
    column: int
    message: str


class _WrongError(Exception):
    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__()
        self.problems = sorted(set(problems))


def load(path: Path) -> Script:
    """Return the rehearsal that a file describes; raises ServiceError with all that is wrong."""
    try:
        return parse(_text(path))
    except _WrongError as wrong:
        lines = [f"{path}:{line}:{column}: {said}" for line, column, said in wrong.problems]
        hint = "Correct the file; `reconciler schema rehearsal` prints what it may hold."
        raise ServiceError("\n".join(lines), hint=hint) from None


def parse(text: str) -> Script:
    """Return the rehearsal that a YAML text describes."""
    try:
        _refuse(_foreign(text))
        document = _Document(yaml.compose(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        raise _WrongError([_syntax(error)]) from None
    except yaml.YAMLError:
        raise _WrongError([Problem(1, 1, "this file holds characters that YAML forbids")]) from None
    _refuse([*document.problems, *_misfits(document)])
    return _script(document.value)


def _refuse(problems: Iterable[Problem]) -> None:
    found = list(problems)
    if found:
        raise _WrongError(found)


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise _WrongError([Problem(1, 1, "this is not a file")])
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise _WrongError([Problem(1, 1, f"this file is larger than {LARGEST // 1000} kB")])
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _WrongError([Problem(1, 1, "this file is not in UTF-8")]) from None
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        hint = "--rehearse takes the path of a YAML file."
        raise ServiceError(f"Cannot read {path}: {reason}", hint=hint) from error


def _foreign(text: str) -> Iterator[Problem]:
    """Yield what this file may not use though YAML has it; stops where it is too deep."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if depth > DEEPEST:
            yield _at(event.start_mark, "this is nested too deeply")
            return
        if documents > 1:
            yield _at(event.start_mark, "a rehearsal is one document; this begins another")
            return
        if isinstance(event, yaml.AliasEvent):
            yield _at(event.start_mark, "aliases cannot be used here; write it out")
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            yield _at(event.start_mark, f"tags such as {_shown(event.tag)} cannot be used here")


class _Document:
    """A YAML tree as a plain value, with the place of every value and key."""

    def __init__(self, root: yaml.Node | None) -> None:
        self.problems: list[Problem] = []
        self.places: dict[_Path, _Mark] = {}
        self.keys: dict[_Path, _Mark] = {}
        self.value = None if root is None else self._value(root, ())

    def _value(self, node: yaml.Node, path: _Path) -> object:
        self.places[path] = node.start_mark
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: _Path) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.problems.append(_at(key.start_mark, "a key must be a word"))
                continue
            if key.value in found:
                message = f"key {_shown(key.value)} stands here twice"
                self.problems.append(_at(key.start_mark, message))
            self.keys[*path, key.value] = key.start_mark
            found[key.value] = self._value(value, (*path, key.value))
        return found


def _scalar(node: yaml.Node) -> object:
    """Return the value of a scalar; what JSON cannot say stays the text it was written as."""
    text: str = node.value
    if node.tag not in _PLAIN_TAGS:
        return text
    try:
        value: object = yaml.constructor.SafeConstructor().construct_object(node)
    except ValueError:
        return text
    return text if isinstance(value, float) and not math.isfinite(value) else value


def _misfits(document: _Document) -> Iterator[Problem]:
    """Yield what does not fit the schema; a misspelt key is not missed as well."""
    errors = list(_validator().iter_errors(document.value))
    misspelt = {_path(error) for error in errors if error.validator == "additionalProperties"}
    for error in errors:
        path = _path(error)
        rule: Any = error.schema
        if error.validator == "additionalProperties":
            yield from _unknown_keys(error, document)
        elif "title" in rule:
            message = f"{_subject(path)} should be {rule['title']}"
            mark = document.places.get(path)
            yield _at(mark, f"{message}, not {_shown(error.instance)}")
        elif error.validator == "not" or path not in misspelt:
            yield _at(document.places.get(path), rule["description"])


def _unknown_keys(error: ValidationError, document: _Document) -> Iterator[Problem]:
    rule: Any = error.schema
    given: Any = error.instance
    known: dict[str, Any] = rule["properties"]
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key[:_LONGEST_SHOWN], known, n=1)
            end = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
            mark = document.keys[*_path(error), key]
            yield _at(mark, f"unknown key {_shown(key)} ({end})")


def _path(error: ValidationError) -> _Path:
    return tuple(error.absolute_path)


def _subject(path: _Path) -> str:
    if not path:
        return "a rehearsal"
    return "this" if isinstance(path[-1], int) else str(path[-1])


def _syntax(error: yaml.MarkedYAMLError) -> Problem:
    return _at(error.problem_mark or error.context_mark, str(error.problem or "not valid YAML"))


def _at(mark: _Mark | None, message: str) -> Problem:
    return Problem(mark.line + 1, mark.column + 1, message) if mark else Problem(1, 1, message)


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    text = text if text.isprintable() else json.dumps(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema.load("rehearsal.v1.json"))


def _script(value: Any) -> Script:
    requests = tuple(map(_request_rule, value.get("requests", ())))
    jobs = tuple(map(_job_rule, value.get("jobs", ())))
    return Script(requests, jobs, int(value.get("seed", 0)))


def _request_rule(said: dict[str, Any]) -> RequestRule:
    return RequestRule(
        when=_when(said),
        method=said.get("method"),
        path=said.get("path", ANYTHING),
        delay=_seconds(said.get("delay", "0s")),
        status=_whole(said.get("status")),
        message=said.get("message"),
        retry_after=_whole(said.get("retry_after")),
        lose=said.get("lose"),
    )


def _job_rule(said: dict[str, Any]) -> JobRule:
    stall = said.get("stall", "0s")
    return JobRule(
        when=_when(said),
        target=said.get("target", ANYTHING),
        stage=said.get("stage"),
        delay=_seconds(said.get("delay", "0s")),
        fail=said.get("fail"),
        stall=math.inf if stall is True else _seconds(stall),
        at=_amount(said.get("at", 0)),
        lines=_amount(said["lines"]) if "lines" in said else None,
    )


def _when(said: dict[str, Any]) -> When:
    return When(int(said.get("skip", 0)), _whole(said.get("times")), said.get("probability", 1.0))


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _seconds(duration: str) -> float:
    number, unit = re.split(r"(?=[mhs])", duration, maxsplit=1)
    return float(number) * _SECONDS[unit]


def _amount(said: int | str) -> Amount:
    if isinstance(said, str):
        return Amount(Fraction(said.removesuffix("%")) / 100, is_share=True)
    return Amount(Fraction(said))
