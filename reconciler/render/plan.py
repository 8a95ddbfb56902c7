"""A plan as text that a reviewer understands without the manual."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

from reconciler.core.explain import advice, reason_sentence
from reconciler.core.model.plan import Reason, Verb
from reconciler.core.schema.wording import counted
from reconciler.render import causes
from reconciler.render.style import Style, safe, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.plan import Action, Estimate, FieldDiff, Plan, Unknown

_SYMBOLS = {
    Verb.CREATE: "+",
    Verb.ADOPT: "=",
    Verb.REVISE: "~",
    Verb.REPLACE: "±",
    Verb.DELETE: "-",
    Verb.RUN: ">",
    Verb.WAIT: "…",
    Verb.BLOCKED: "!",
    Verb.UNCHANGED: " ",
}
_TO = {
    Verb.CREATE: "to create",
    Verb.REVISE: "to revise",
    Verb.REPLACE: "to replace",
    Verb.DELETE: "to delete",
    Verb.RUN: "to run",
    Verb.WAIT: "to wait for",
    Verb.BLOCKED: "blocked",
    Verb.ADOPT: "to adopt",
    Verb.UNCHANGED: "unchanged",
}
_SELF_EVIDENT = frozenset({Reason.NOT_STARTED, Reason.MISSING, Reason.CONVERGED})
_KIND_WIDTH = len("rollout")
#: What stands for a verb that would widen the column.
_WORDS = {Verb.UNCHANGED: "as is"}
_VERB_WIDTH = max(len(_WORDS.get(verb, verb)) for verb in _SYMBOLS)
_DETAIL_INDENT = " " * (4 + _VERB_WIDTH + 1)
_NAMES_UP_TO = 40
#: Characters shown before the place where two long values begin to differ.
_CONTEXT = 16


def text(plan: Plan, style: Style, *, width: int = 80, verbose: bool = False) -> str:
    """Return the whole plan, its problems and its totals; ``verbose`` shows the no-ops as well."""
    lines: list[str] = []
    shown = plan.actions if verbose else plan.changes
    longest = max((len(str(a.resource)) for a in shown), default=0)
    names = min(longest, _NAMES_UP_TO)
    for action in shown:
        needed = action.resource in plan.drawn_in
        lines.extend(_action(action, style, width, names, needed=needed))
    for group in _by_cause(plan.unknown, apart=verbose):
        lines.extend(_unread(group, style, width))
    told = {action.resource for action in shown if action.reason is Reason.SHORTFALL_ACCEPTED}
    short = [action for action in plan.accepted_shortfalls if action.resource not in told]
    lines.extend(_accepted(short, style, width))
    planned = {action.resource for action in plan.changes}
    for id_ in plan.orphans:
        if id_ not in planned:
            lines.extend(_orphan(id_, style, width))
    if lines:
        lines.append("")
    lines.extend(_totals(plan, style, width))
    return "\n".join(lines) + "\n"


def _by_cause(unknown: Iterable[Unknown], *, apart: bool) -> Iterable[list[Unknown]]:
    """Return what could not be read, together where it is for the same reason."""
    groups: dict[object, list[Unknown]] = {}
    for each in unknown:
        groups.setdefault(each.resource if apart else causes.cause(each.why), []).append(each)
    return groups.values()


def _unread(group: list[Unknown], style: Style, width: int) -> Iterator[str]:
    label = style.bad(f"  ? {'unknown':<{_VERB_WIDTH}}")
    ids = [each.resource for each in group]
    if len(ids) > 1:
        yield f"{label} {_resources(len(ids))}"
        yield from _wrapped(causes.names(ids), width)
    else:
        yield f"{label} {ids[0].kind.lower():<{_KIND_WIDTH}} {safe(str(ids[0]))}"
    yield from _wrapped(causes.common(each.why for each in group), width)


def _accepted(short: Sequence[Action], style: Style, width: int) -> Iterator[str]:
    """Warn of stages with fewer lines than wanted, though nothing is to be done about them."""
    if short:
        label = style.warn(f"    {_WORDS[Verb.UNCHANGED]:<{_VERB_WIDTH}}")
        yield f"{label} {counted(len(short), 'stage')}"
        yield from _wrapped(causes.names({action.resource for action in short}), width)
        yield from _wrapped(reason_sentence(short[0]), width)


def _orphan(id_: ResourceId, style: Style, width: int) -> Iterator[str]:
    head = f"  · {'orphan':<{_VERB_WIDTH}} {id_.kind.lower():<{_KIND_WIDTH}} {safe(str(id_))}"
    why = "no manifest declares it any more"
    fits = len(head) + 2 + len(why) <= width
    yield style.dim(f"{head}  {why}" if fits else head)
    if not fits:
        yield from map(style.dim, _wrapped(why, width))


def counts(plan: Plan) -> str:
    """Return how many actions of each verb a plan holds, in words."""
    return ", ".join(
        f"{plan.count(verb):,} {words}" for verb, words in _TO.items() if plan.count(verb)
    )


def _action(action: Action, style: Style, width: int, names: int, *, needed: bool) -> Iterator[str]:
    paint = _paint(action, style)
    what = str(action.stage) if action.stage else action.kind.lower()
    word = _WORDS.get(action.verb, action.verb)
    head = f"  {_SYMBOLS[action.verb]} {word:<{_VERB_WIDTH}}"
    resource = f"{safe(str(action.resource)):<{names}}"
    detail = _detail(action, needed=needed)
    plain = f"{head} {what:<{_KIND_WIDTH}} {resource}"
    fits = len(plain) + 2 + len(detail) <= width
    painted = f"{paint(head)} {what:<{_KIND_WIDTH}} {resource}"
    yield f"{painted}  {style.dim(detail)}" if fits and detail else painted.rstrip()
    if not fits:
        yield from _wrapped(detail, width)
    for diff in action.diff:
        yield from _diff(diff, style, width)
    for sentence in (action.message, advice(action)):
        yield from _wrapped(sentence, width)


def _paint(action: Action, style: Style) -> Callable[[str], str]:
    if action.destructive or action.verb is Verb.BLOCKED:
        return style.bad
    if action.verb in {Verb.RUN, Verb.WAIT}:
        return style.busy
    return style.warn if action.verb is Verb.REVISE else style.good


def _detail(action: Action, *, needed: bool) -> str:
    parts = [quantity(action)] if action.stage else []
    if action.reason not in _SELF_EVIDENT:
        parts.append(reason_sentence(action))
    if action.verb is Verb.REVISE:
        parts.append(f"a new one is created as {safe(action.live_name)}")
    if needed:
        parts.append("needed by what was selected")
    return ", ".join(part for part in parts if part)


def quantity(action: Action) -> str:
    """Return the lines of a stage against those that are expected."""
    lines, of = action.lines or 0, action.expected
    if of is None:
        return f"{counted(lines, 'line')}, {action.wanted:,} wanted"
    least = action.wanted or 0
    wanted = f" (at least {least:,})" if 1 < least < of else ""
    return f"{lines:,} / {of:,} lines{wanted}"


def _diff(diff: FieldDiff, style: Style, width: int) -> Iterator[str]:
    old, new = shown_value(diff.old), shown_value(diff.new)
    path = f"{_DETAIL_INDENT}{safe(diff.path)}:"
    if len(path) + len(old) + len(new) + 4 <= width:
        yield f"{path} {style.bad(old)} → {style.good(new)}"
        return
    room = width - len(_DETAIL_INDENT) - 4
    shared = _shared_start(old, new)
    yield path
    yield f"{_DETAIL_INDENT}  {style.bad('- ' + shorten(_from(old, shared), room))}"
    yield f"{_DETAIL_INDENT}  {style.good('+ ' + shorten(_from(new, shared), room))}"


def _shared_start(old: str, new: str) -> int:
    """Return where two long values begin to differ, less a little to recognise the place."""
    pairs = enumerate(zip(old, new, strict=False))
    same = next((i for i, (one, other) in pairs if one != other), min(len(old), len(new)))
    return max(0, same - _CONTEXT)


def _from(value: str, start: int) -> str:
    return f"…{value[start:]}" if start else value


def shown_value(value: object) -> str:
    """Return a value of a diff as JSON, without anything harmful."""
    return "(absent)" if value is None else safe(json.dumps(value, ensure_ascii=False))


def _wrapped(sentence: str, width: int) -> list[str]:
    return textwrap.wrap(
        safe(sentence), width, initial_indent=_DETAIL_INDENT, subsequent_indent=_DETAIL_INDENT
    )


def nothing_to_do(plan: Plan) -> str:
    """Return what to say of a converged plan."""
    if plan.destruction:
        return "Nothing to do: no declared target is live."
    if plan.offline:
        return "Nothing to do, as far as the lockfile knows."
    return "Nothing to do: live state satisfies every manifest."


def _totals(plan: Plan, style: Style, width: int) -> Iterator[str]:
    if plan.converged:
        yield style.good(nothing_to_do(plan))
        if plan.count(Verb.ADOPT):
            yield f"The lockfile will record {_resources(plan.count(Verb.ADOPT))} that exist."
        return
    if plan.actions:
        yield from map(style.strong, textwrap.wrap(f"Plan: {counts(plan)}.", width))
    if plan.unknown:
        yield style.bad(f"Live state could not be read for {_resources(len(plan.unknown))}.")
    if plan.estimate.stim_lines or plan.estimate.trajectories:
        yield from textwrap.wrap(cost(plan.estimate), width)


def _resources(count: int) -> str:
    return counted(count, "resource")


def cost(estimate: Estimate) -> str:
    """Return what the runs of a plan would generate, in words."""
    tokens = estimate.max_output_tokens
    most = "" if tokens is None else f"at most {counted(tokens, 'output token')}"
    bound = most or "no bound on output tokens"
    questions = counted(estimate.stim_lines, "question")
    answers = counted(estimate.trajectories, "trajectory", "trajectories")
    return f"New: {questions}, {answers}, {bound}."
