"""A plan as Markdown for a comment: the sum first, details folded, within what a comment may hold.

Everything that came from manifests or the API stands in code, where nothing of it can become a
link, an image, a mention or HTML; a backslash would not keep a mention from notifying.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from reconciler.core.explain import advice, reason_sentence
from reconciler.core.model.plan import Verb
from reconciler.core.schema.wording import counted
from reconciler.render.plan import cost, counts, nothing_to_do, quantity, shown_value
from reconciler.render.style import safe, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.core.model.plan import Action, Plan

#: The most characters of a whole comment; hosting services refuse longer ones.
LONGEST = 60_000
_ROOM_FOR_THE_END = 400
_VALUE_WIDTH = 200
_MARKS = re.compile(r"([_*~|\[\]$])")


def plan(value: Plan) -> str:
    """Return a plan as a comment of at most ``LONGEST`` characters that says what it leaves out."""
    head = _head(value)
    groups = [list(group) for _, group in groupby(value.changes, lambda action: action.resource)]
    text, left = _fill(head, groups, LONGEST - _ROOM_FOR_THE_END)
    if left:
        text += f"\n… and {counted(left, 'more resource')}; `reconciler plan` shows them.\n"
    return text


def _head(value: Plan) -> str:
    lines = ["### Plan"]
    if value.converged:
        lines.append(nothing_to_do(value))
    elif value.actions:
        lines.append(f"**{counts(value)}**")
    if value.estimate.stim_lines or value.estimate.trajectories:
        lines.append(cost(value.estimate))
    if value.unknown:
        count = counted(len(value.unknown), "resource")
        lines.append(f"Live state could not be read for {count}.")
        lines += [f"- {_code(str(u.resource))}: {_code(u.why)}" for u in value.unknown[:10]]
    lines += _accepted(value.accepted_shortfalls)
    if value.orphans:
        names = ", ".join(_code(str(id_)) for id_ in value.orphans[:20])
        lines.append(f"No longer declared: {names}{' …' if len(value.orphans) > 20 else ''}")
    return "\n\n".join(lines) + "\n"


def _accepted(short: Sequence[Action]) -> Iterator[str]:
    """Warn of stages with fewer lines than wanted, though nothing is to be done about them."""
    if short:
        yield f"Accepted with fewer lines than wanted: {counted(len(short), 'stage')}."
    for action in short[:10]:
        of_wanted = f"{action.lines or 0:,} of {action.wanted or 0:,}"
        yield f"- {_code(str(action.resource))} {action.stage}: {of_wanted}"


def _fill(head: str, groups: Sequence[list[Action]], room: int) -> tuple[str, int]:
    """Add blocks, what needs a person first, as long as there is room; return what is left."""
    ordered = sorted(groups, key=lambda group: not any(_is_urgent(action) for action in group))
    parts, size = [head], len(head)
    for placed, group in enumerate(ordered):
        block = _block(group)
        if size + len(block) > room:
            return "".join(parts), len(ordered) - placed
        parts.append(block)
        size += len(block)
    return "".join(parts), 0


def _is_urgent(action: Action) -> bool:
    return action.verb is Verb.BLOCKED or action.destructive


def _block(group: Sequence[Action]) -> str:
    first = group[0]
    verbs = ", ".join(f"{a.verb} {a.stage or ''}".strip() for a in group)
    mark = " ⚠️" if any(_is_urgent(action) for action in group) else ""
    name = _escaped_html(str(first.resource))
    summary = f"{first.kind.lower()} <code>{name}</code>: {verbs}{mark}"
    body = "\n".join(line for action in group for line in _details(action))
    return f"\n<details><summary>{summary}</summary>\n\n{body}\n\n</details>\n"


def _details(action: Action) -> Iterator[str]:
    stage = f" {action.stage}" if action.stage else ""
    count = f" ({quantity(action)})" if action.stage else ""
    yield f"- **{action.verb}{stage}**{count}: {_prose(reason_sentence(action))}"
    for diff in action.diff:
        old, new = (_code(shorten(shown_value(v), _VALUE_WIDTH)) for v in (diff.old, diff.new))
        yield f"  - {_code(diff.path)}: {old} → {new}"
    if action.message:
        yield f"  - {_code(shorten(action.message, _VALUE_WIDTH * 2))}"
    if advice(action):
        yield f"  - {_prose(advice(action))}"


def _prose(text: str) -> str:
    """Return a sentence of our own, in which an underscore is an underscore."""
    return _MARKS.sub(r"\\\1", text)


def _escaped_html(text: str) -> str:
    plain = safe(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace("@", "&#64;")


def _code(text: str) -> str:
    """Return text as inline code, in a fence longer than any run of backticks in it."""
    plain = safe(text) or " "  # without anything between them, two backticks open a longer code
    longest = max((len(run) for run in re.findall(r"`+", plain)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest or plain.startswith(" ") else ""
    return f"{fence}{pad}{plain}{pad}{fence}"
