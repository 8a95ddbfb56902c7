"""Read a lockfile that stands exactly as ``render`` writes it, without a YAML parser.

Gives up at the first character that it does not expect, and never says what is wrong: that is for
the reader of any YAML, which finds the same in whatever is read here. The patterns let nothing pass
that the JSON Schema, or a limit of that reader, would refuse.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import yaml

from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import Lock, LockedPrompt, LockedRepo, LockedStage, LockedTarget
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.lockfile.scalars import KEY, VALUE, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from re import Match, Pattern

_Entry = TypeVar("_Entry", LockedPrompt, LockedRepo, LockedTarget)

_DIGEST = r"sha256:[0-9a-f]{64}"
_COUNT = r"0|[1-9][0-9]{,17}"
_SECTIONS = {
    name: re.compile(rf"{name}:(?P<empty> {{}})?\n") for name in ("prompts", "repos", "targets")
}
_API_URL = re.compile(rf"api_url: ({VALUE})\n")
_REPO = re.compile(rf"  ({KEY}):(?: \{{\}}|\n    base_model: ({VALUE}))\n")
#: A prompt or a target; its stages are looked at afterwards, each different one once.
_NAMED = re.compile(
    rf"  ({KEY}):\n    digest: ({_DIGEST})\n    live_name: ({VALUE})\n"
    r"(    prevent_destroy: false\n)?"
    r"(?:    rollout:\n((?:      .+\n)+))?"
    r"(?:    stim:\n((?:      .+\n)+))?"
)
_STAGE = re.compile(
    r"(?:      attempts: ([1-9][0-9]{,17})\n)?"
    rf"(?:      error: ({VALUE})\n)?"
    rf"(?:      expected: ({_COUNT})\n)?"
    rf"      lines: ({_COUNT})\n"
    rf"(?:      output: ({_DIGEST})\n)?"
    rf"      status: ({VALUE})\n"
)


def parse(text: str, header: str, most_values: int) -> Lock | None:
    """Return what a text in our own form holds; None if any of it is in another form."""
    if not text.startswith(header) or _at_most_values(text) > most_values:
        return None
    reader = _Reader(text, len(header))
    try:
        return reader.lock()
    except (_OtherFormError, yaml.YAMLError):
        return None


def _at_most_values(text: str) -> int:
    """Return a number that a YAML parser's count of events in a text of our form stays below."""
    return 2 * text.count("\n") + text.count(":\n") + text.count("{}\n") + 8


class _OtherFormError(Exception):
    """The text goes on in another way than ours."""


class _Reader:
    """Goes through a text from a place on, section by section."""

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self._at = at

    def lock(self) -> Lock:
        api_url = self._next(_API_URL)
        lock = Lock(
            read(api_url[1]),
            prompts=self._section("prompts", _NAMED, _prompt),
            repos=self._section("repos", _REPO, _repo),
            targets=self._section("targets", _NAMED, _target),
        )
        if self._at != len(self._text):
            raise _OtherFormError
        return lock

    def _section(
        self, name: str, pattern: Pattern[str], build: Callable[..., tuple[ResourceId, _Entry]]
    ) -> dict[ResourceId, _Entry]:
        if self._next(_SECTIONS[name])["empty"]:
            return {}
        entry: Match[str] | None = self._next(pattern)
        match, text, found = pattern.match, self._text, {}
        while entry:
            id_, value = build(*entry.groups())
            if id_ in found:
                raise _OtherFormError
            found[id_] = value
            self._at = entry.end()
            entry = match(text, self._at)
        return found

    def _next(self, pattern: Pattern[str]) -> Match[str]:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise _OtherFormError
        self._at = match.end()
        return match


def _prompt(
    key: str, digest: str, live_name: str, *of_targets: str | None
) -> tuple[ResourceId, LockedPrompt]:
    if any(of_targets):
        raise _OtherFormError
    return _id(Kind.PROMPT, key), LockedPrompt(digest, read(live_name))


def _repo(key: str, base_model: str | None) -> tuple[ResourceId, LockedRepo]:
    model = None if base_model is None else read(base_model)
    return ResourceId(Kind.REPO, read(key)), LockedRepo(model)


def _target(
    key: str,
    digest: str,
    live_name: str,
    unprotected: str | None,
    rollout: str | None,
    stim: str | None,
) -> tuple[ResourceId, LockedTarget]:
    stages = {}
    if stim:
        stages[Stage.STIM] = _stage(stim)
    if rollout:
        stages[Stage.ROLLOUT] = _stage(rollout)
    entry = LockedTarget(digest, read(live_name), unprotected is None, stages)
    return _id(Kind.TARGET, key), entry


@lru_cache(maxsize=4096)
def _stage(text: str) -> LockedStage:
    match = _STAGE.fullmatch(text)
    if match is None:
        raise _OtherFormError
    attempts, error, expected, lines, output, status = match.groups()
    return LockedStage(
        read(status),
        int(lines),
        None if expected is None else int(expected),
        int(attempts or 0),
        None if error is None else read(error),
        output,
    )


def _id(kind: Kind, key: str) -> ResourceId:
    repo, _, name = read(key).partition("/")
    if not repo or not name or "/" in name:
        raise _OtherFormError
    return ResourceId(kind, repo, name)
