"""What has changed since people were told, as the body of one message to a webhook.

Holds what the reconciler and the API said of resources, on one line each and cut short; never a
prompt, a question or an answer.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from reconciler.core.model.manifest import Kind
from reconciler.core.schema.wording import counted
from reconciler.core.watching.standing import WHOLE_RUN, Change
from reconciler.render import causes
from reconciler.render.style import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.core.watching.standing import Transition

FORMAT = "reconciler/notification/v1"
#: How many resources one message names; of the rest it tells the number.
MOST = 20
_LONGEST, _LONGEST_NAMES = 300, 150
_WORDS = {
    Change.FAILED: "failed",
    Change.BLOCKED: "blocked",
    Change.DIVERGED: "no longer converged",
    Change.RECOVERED: "recovered",
    Change.CONVERGED: "converged",
}
_WORST_FIRST = list(_WORDS)


def as_json(transitions: Sequence[Transition], project: str | None, api_url: str) -> dict[str, Any]:
    """Return a message for programs, as docs/operations.md describes it."""
    named = worst_first(transitions)[:MOST]
    return {
        "format": FORMAT,
        "project": project,
        "api_url": api_url,
        "summary": summary(transitions),
        "transitions": [transition(it) for it in named],
        "more": len(transitions) - len(named),
    }


def as_slack(
    transitions: Sequence[Transition], project: str | None, api_url: str
) -> dict[str, Any]:
    """Return a message for people, in the form of an incoming webhook of Slack."""
    del api_url
    told = [f"*{_escaped(project or 'reconciler')}*: {summary(transitions)}"]
    told += [f"• {_escaped(text)}" for text in lines(transitions, MOST)]
    return {"text": "\n".join(told)}


def summary(transitions: Sequence[Transition]) -> str:
    """Return how many changed in which way: ``2 failed, 1 recovered``."""
    counts = Counter(it.change for it in transitions)
    return ", ".join(f"{counts[kind]:,} {word}" for kind, word in _WORDS.items() if counts[kind])


def lines(transitions: Sequence[Transition], most: int) -> list[str]:
    """Return so many lines about changes, the worst first, and one that counts the others.

    What befell more than a few for the same reason is one line.
    """
    found = [told for group in _alike(transitions) for told in _told(group)]
    more = sum(count for _, count in found[most:])
    return [text for text, _ in found[:most]] + ([f"and {more:,} more"] if more else [])


def _alike(transitions: Sequence[Transition]) -> Iterable[list[Transition]]:
    """Return changes together that have the same reason, or that need none to be told at once."""
    groups: dict[object, list[Transition]] = {}
    for it in worst_first(transitions):
        is_told_apart = not it.now.message and it.change is not Change.RECOVERED
        key = it.resource if is_told_apart else (it.change, it.now.is_unread, _cause(it))
        groups.setdefault(key, []).append(it)
    return groups.values()


def _told(group: list[Transition]) -> list[tuple[str, int]]:
    """Return lines about changes that are alike, and how many changes each is about."""
    if len(group) <= causes.FEW:
        return [(line(it), 1) for it in group]
    ids, why = [it.resource for it in group], causes.common(it.now.message for it in group)
    only_targets = all(id_.kind is Kind.TARGET for id_ in ids)
    count = counted(len(ids), "target" if only_targets else "resource")
    named = shorten(causes.names(ids), _LONGEST_NAMES)
    names = "" if group[0].now.is_unread else f" ({named})"
    text = f"{count} {_words(group[0])}{f': {why}' if why else ''}"
    return [(shorten(text, _LONGEST - len(names)) + names, len(ids))]


def _cause(value: Transition) -> str:
    return causes.cause(value.now.message)


def _words(value: Transition) -> str:
    return "could not be read" if value.now.is_unread else _WORDS[value.change]


def line(value: Transition) -> str:
    """Return a change on one line: ``target coding/one rollout failed: …``."""
    now, id_ = value.now, value.resource
    name = "the run" if id_ == WHOLE_RUN else f"{id_.kind.lower()} {id_}"
    stage = f" {now.stage}" if now.stage else ""
    why = f": {now.message}" if now.message else ""
    return shorten(f"{name}{stage} {_words(value)}{why}", _LONGEST)


def transition(value: Transition) -> dict[str, Any]:
    """Return a change as one JSON object."""
    fields = {
        "stage": str(value.now.stage) if value.now.stage else None,
        "message": shorten(value.now.message, _LONGEST) or None,
    }
    return {
        "kind": str(value.resource.kind),
        "resource": str(value.resource),
        "change": str(value.change),
        "was": str(value.was),
        "now": str(value.now.state),
        **{key: item for key, item in fields.items() if item is not None},
    }


def worst_first(transitions: Sequence[Transition]) -> list[Transition]:
    """Return what needs attention before what does not."""
    return sorted(transitions, key=lambda it: (_WORST_FIRST.index(it.change), it.resource))


def _escaped(text: str) -> str:
    """Return text in which Slack sees no link, mention or markup of its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
