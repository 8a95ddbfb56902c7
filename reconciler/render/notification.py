"""What has changed since people were told, as the body of one message to a webhook.

Holds what the reconciler and the API said of resources, on one line each and cut short; never a
prompt, a question or an answer.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from reconciler.core.watching.standing import WHOLE_RUN, Change
from reconciler.render.style import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.core.watching.standing import Transition

FORMAT = "reconciler/notification/v1"
#: How many resources one message names; of the rest it tells the number.
MOST = 20
_LONGEST = 300
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
    named = worst_first(transitions)[:MOST]
    more = len(transitions) - len(named)
    lines = [f"*{_escaped(project or 'reconciler')}*: {summary(transitions)}"]
    lines += [f"• {_escaped(line(it))}" for it in named]
    lines += [f"• and {more} more"] if more else []
    return {"text": "\n".join(lines)}


def summary(transitions: Sequence[Transition]) -> str:
    """Return how many changed in which way: ``2 failed, 1 recovered``."""
    counts = Counter(it.change for it in transitions)
    return ", ".join(f"{counts[kind]:,} {word}" for kind, word in _WORDS.items() if counts[kind])


def line(value: Transition) -> str:
    """Return a change on one line: ``target coding/one rollout failed: …``."""
    now, id_ = value.now, value.resource
    name = "the run" if id_ == WHOLE_RUN else f"{id_.kind.lower()} {id_}"
    stage = f" {now.stage}" if now.stage else ""
    why = f": {now.message}" if now.message else ""
    return shorten(f"{name}{stage} {_WORDS[value.change]}{why}", _LONGEST)


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
