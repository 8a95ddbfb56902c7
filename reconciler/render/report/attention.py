"""What a person should know of a plan first: what is unreadable, blocked or failing, and why.

The same trouble of many resources is told once. Decides nothing: the plan did.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.core.explain import advice, reason_sentence
from reconciler.core.model.plan import Reason, Verb
from reconciler.render.plan import shown_value
from reconciler.render.style import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.plan import Action, Plan

#: What is no obstacle, but worth a look.
_NOTABLE = frozenset({Reason.FAILED, Reason.UNKNOWN_STATUS})
_LONGEST_MESSAGE = 400
_LONGEST_VALUE = 120
_MOST_FIELDS = 20
_AGAIN = (
    "Nothing is planned for what cannot be read. Look again; if that does not help, mend access."
)
_ORPHANED = "Declare it again, or delete it with `reconciler apply --prune --allow-destroy`."
_RETRIED = "`reconciler apply` runs it again."


@dataclass(frozen=True, slots=True)
class Trouble:
    """One cause, and what to do about it.

    ``word`` names its gravity; a consequence goes away when another trouble does.
    """

    word: str
    why: str
    message: str = ""
    diff: tuple[tuple[str, str, str], ...] = ()
    todo: str = ""
    is_consequence: bool = False


@dataclass(slots=True)
class Concerned:
    """Whom a trouble befalls, each with its stage or an empty word."""

    trouble: Trouble
    whom: list[tuple[ResourceId, str]] = field(default_factory=list)


#: The words of troubles, the worst first.
WORDS = UNREADABLE, BLOCKED, FAILED, NOTE = "unreadable", "blocked", "failed", "note"


def troubles(plan: Plan) -> list[Concerned]:
    """Return every trouble with those it befalls, the worst first, else as the plan has them."""
    found: dict[Trouble, Concerned] = {}
    for trouble, resource, stage in _all(plan):
        found.setdefault(trouble, Concerned(trouble)).whom.append((resource, stage))
    return sorted(found.values(), key=lambda it: _gravity(it.trouble))


def _gravity(trouble: Trouble) -> tuple[int, bool]:
    return WORDS.index(trouble.word), trouble.is_consequence


def _all(plan: Plan) -> Iterator[tuple[Trouble, ResourceId, str]]:
    for unknown in plan.unknown:
        why = "live state could not be read"
        message = shorten(unknown.why, _LONGEST_MESSAGE)
        yield Trouble(UNREADABLE, why, message, todo=_AGAIN), unknown.resource, ""
    notable = (a for a in plan.actions if a.verb is Verb.BLOCKED or a.reason in _NOTABLE)
    for action in (*notable, *plan.accepted_shortfalls):
        yield _trouble(action), action.resource, str(action.stage or "")
    planned = {action.resource for action in plan.changes}
    for id_ in plan.orphans:
        if id_ not in planned:
            yield Trouble(NOTE, "no manifest declares it any more", todo=_ORPHANED), id_, ""


def _trouble(action: Action) -> Trouble:
    message = shorten(action.message, _LONGEST_MESSAGE)
    diff = tuple(
        (shorten(one.path, _LONGEST_VALUE), _value(one.old), _value(one.new))
        for one in action.diff[:_MOST_FIELDS]
    )
    if len(action.diff) > _MOST_FIELDS:
        diff += (("…", f"and {len(action.diff) - _MOST_FIELDS} more fields", ""),)
    todo = advice(action) or (_RETRIED if action.reason is Reason.FAILED else "")
    is_consequence = action.reason is Reason.DEPENDENCY_BLOCKED
    why = reason_sentence(action)
    return Trouble(_word(action), why, message, diff, todo, is_consequence)


def _word(action: Action) -> str:
    if action.verb is Verb.BLOCKED:
        return BLOCKED
    return FAILED if action.reason is Reason.FAILED else NOTE


def _value(value: object) -> str:
    return shorten(shown_value(value), _LONGEST_VALUE)
