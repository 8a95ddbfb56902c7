"""The table of targets × stages, what needs a look first; and one stage in words. Values in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import COMPLETE, FAILED, IN_PROGRESS, NOT_STARTED
from reconciler.core.planning.report import MISSING, NOT_WANTED, UNKNOWN
from reconciler.core.schema.wording import counted
from reconciler.render.report.charts import bar
from reconciler.render.report.markup import Markup, joined, tag
from reconciler.render.style import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.planning.report import StageRow, StatusRow

#: How a target stands as a whole, the worst first.
STANDS = PROBLEM, BUSY, SETTLED = "problem", "pending", "converged"
_SIGNS = {
    COMPLETE: "✓", FAILED: "✗", NOT_STARTED: "○", MISSING: "○", NOT_WANTED: "–", UNKNOWN: "?",
    **dict.fromkeys(IN_PROGRESS, "▸"),
}  # fmt: skip
_LONGEST_STATUS = 40
_LONGEST_ERROR = 200


def standing(row: StatusRow) -> str:
    """Return how a target stands as a whole."""
    stages = row.stages.values()
    if row.blocked or any(seen.status in {FAILED, UNKNOWN} for seen in stages if not seen.settled):
        return PROBLEM
    return SETTLED if all(seen.settled for seen in stages) else BUSY


def ordered(rows: Iterable[StatusRow]) -> list[StatusRow]:
    """Return targets in the order in which they need a look."""
    return sorted(rows, key=lambda row: (STANDS.index(standing(row)), row.resource))


def anchors(rows: Sequence[StatusRow]) -> dict[ResourceId, str]:
    """Return what links to each target of a table."""
    return {row.resource: f"t{number}" for number, row in enumerate(rows, 1)}


def table(rows: Sequence[StatusRow], links: Mapping[ResourceId, str]) -> Markup:
    """Return the table; the page's script adds sorting and filtering to it."""
    caption = tag("caption", f"{counted(len(rows), 'target')}, what needs a look first")
    heads = joined(tag("th", word, scope="col") for word in ("Target", "State", "Stim", "Rollout"))
    body = joined((_row(row, links[row.resource]) for row in rows), "\n")
    return tag("table", caption, tag("thead", tag("tr", heads)), tag("tbody", body), id="targets")


def _row(row: StatusRow, anchor: str) -> Markup:
    name = str(row.resource)
    other = row.live_name != row.resource.name
    live = tag("small", f"live as {row.live_name}") if other and row.live_name else ""
    stands = standing(row)
    word = "blocked" if row.blocked else stands
    cells = joined(_stage(row.stages[stage]) for stage in Stage)
    head = tag("th", name, live, scope="row")
    state = tag("td", word, class_=stands)
    return tag("tr", head, state, cells, id=anchor, data_s=stands)


def _stage(seen: StageRow) -> Markup:
    sign = tag("i", _SIGNS.get(seen.status, "▸"), aria_hidden="true")
    parts: list[str] = [tag("b", sign, shorten(seen.status, _LONGEST_STATUS))]
    if seen.status not in {NOT_WANTED, UNKNOWN}:
        parts += [" ", tag("span", quantity(seen)), _bar(seen)]
    if seen.error:
        parts.append(tag("small", shorten(seen.error, _LONGEST_ERROR), class_=PROBLEM))
    return tag("td", *parts, class_=_look(seen), data_v=seen.lines or 0)


def quantity(seen: StageRow) -> str:
    """Return the lines of a stage against those expected, and those wanted if fewer will do."""
    lines = "?" if seen.lines is None else f"{seen.lines:,}"
    wanted = seen.wanted or 0
    if seen.expected is None:
        return f"{lines} lines, {wanted:,} wanted"
    fewer = f" (at least {wanted:,})" if 1 < wanted < seen.expected else ""
    return f"{lines} / {seen.expected:,}{fewer}"


def _bar(seen: StageRow) -> Markup:
    wanted, lines = seen.wanted or 0, seen.lines or 0
    full = max(seen.expected or 0, wanted, 1)
    return bar(lines / full, wanted / full if 1 < wanted < full else None)


def _look(seen: StageRow) -> str:
    if seen.status == NOT_WANTED:
        return "dim"
    if seen.settled:
        return SETTLED
    return PROBLEM if seen.status in {FAILED, UNKNOWN} else BUSY
