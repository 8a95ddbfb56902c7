"""The status table: each target, each stage, live lines against wanted lines."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import FAILED, IN_PROGRESS
from reconciler.core.planning.report import NOT_WANTED, UNKNOWN
from reconciler.core.schema.wording import counted
from reconciler.render import causes
from reconciler.render.plan import counts
from reconciler.render.style import Style, safe, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from reconciler.core.model.plan import Plan
    from reconciler.core.planning.report import StageRow, StatusRow

FORMAT = "reconciler/status/v1"
_HEADINGS = ("TARGET", "STIM", "", "ROLLOUT", "")
_GAP = "  "
_WIDEST_CELL = 20
_LONGEST_ERROR = 200
_ONE_LINE = 1_000


def text(rows: Sequence[StatusRow], plan: Plan, style: Style, *, width: int = 80) -> str:
    """Return the table, the errors that services reported, and where things stand."""
    cells = [_cells(row) for row in rows]
    widths = [max(len(line[i]) for line in (_HEADINGS, *cells)) for i in range(len(_HEADINGS))]
    widths[1:] = [min(size, _WIDEST_CELL) for size in widths[1:]]
    room = width - sum(widths[1:]) - len(_GAP) * (len(widths) - 1)
    widths[0] = max(len(_HEADINGS[0]), min(widths[0], room))
    lines = [style.dim(_line(_HEADINGS, widths).rstrip())]
    for row, line in zip(rows, cells, strict=True):
        paints = [_paint(row.stages[stage], style) for stage in Stage for _ in range(2)]
        lines.append(_line(line, widths, [style.strong, *paints]).rstrip())
    lines.extend(_errors(rows, style, width))
    return "\n".join([*lines, "", *_standing(plan, style, width)]) + "\n"


def json(api_url: str, rows: Iterable[StatusRow], plan: Plan) -> dict[str, Any]:
    """Return the same as one JSON object."""
    return {
        "format": FORMAT,
        "api_url": api_url,
        "converged": plan.converged,
        "targets": [
            {
                "resource": str(row.resource),
                "live_name": row.live_name,
                "blocked": row.blocked,
                **{str(stage): _stage_json(seen) for stage, seen in row.stages.items()},
            }
            for row in rows
        ],
    }


def changes(before: Iterable[StatusRow], now: Iterable[StatusRow]) -> Iterator[str]:
    """Yield a line for every stage that is not as it was; first of all, for what is unsettled."""
    known = {(row.resource, stage): seen for row in before for stage, seen in row.stages.items()}
    for row in now:
        for stage, seen in row.stages.items():
            old = known.get((row.resource, stage))
            if seen != old and not (old is None and seen.settled):
                yield _news(f"{row.resource} {stage}", seen)


def _news(subject: str, seen: StageRow) -> str:
    error = f", {shorten(seen.error, _LONGEST_ERROR)}" if seen.error else ""
    return f"{safe(subject)}: {safe(seen.status)} {_quantity(seen)}".rstrip() + error


def standing(plan: Plan) -> str:
    """Return where things stand, on one line."""
    return " ".join(_standing(plan, Style(), _ONE_LINE))


def _stage_json(seen: StageRow) -> dict[str, Any]:
    fields = {
        "status": seen.status.replace(" ", "_"),
        "lines": seen.lines,
        "expected": seen.expected,
        "wanted": seen.wanted,
        "settled": seen.settled,
        "error": seen.error,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _cells(row: StatusRow) -> tuple[str, ...]:
    stages = (row.stages[stage] for stage in Stage)
    texts = [text for seen in stages for text in (safe(seen.status), _quantity(seen))]
    return (safe(str(row.resource)), *texts)


def _quantity(seen: StageRow) -> str:
    if seen.status in {NOT_WANTED, UNKNOWN}:
        return ""
    lines = "?" if seen.lines is None else f"{seen.lines:,}"
    if seen.expected is None:
        return f"{lines} / {seen.wanted or 0:,}+"
    least = seen.wanted or 0
    worth_telling = not seen.settled and 1 < least < seen.expected
    return f"{lines} / {seen.expected:,}" + (f" (min {least:,})" if worth_telling else "")


def _line(
    cells: Sequence[str], widths: Sequence[int], paint: Sequence[Callable[[str], str]] | None = None
) -> str:
    padded = [f"{shorten(cell, size):<{size}}" for cell, size in zip(cells, widths, strict=True)]
    if paint:
        padded = [each(cell) for each, cell in zip(paint, padded, strict=True)]
    return _GAP.join(padded)


def _paint(seen: StageRow, style: Style) -> Callable[[str], str]:
    if seen.status == NOT_WANTED:
        return style.dim
    if seen.settled:
        return style.good
    if seen.status in {FAILED, UNKNOWN}:
        return style.bad
    return style.busy if seen.status in IN_PROGRESS else style.warn


def _errors(rows: Iterable[StatusRow], style: Style, width: int) -> list[str]:
    found = [
        f"{row.resource} {stage}: {seen.error}"
        for row in rows
        for stage, seen in row.stages.items()
        if seen.error
    ]
    return ["", *(style.bad(shorten(line, width)) for line in found)] if found else []


def _standing(plan: Plan, style: Style, width: int) -> list[str]:
    if plan.converged:
        return [style.good("Converged: live state satisfies every manifest.")]
    if plan.unknown:
        count = counted(len(plan.unknown), "resource")
        why = causes.common(each.why for each in plan.unknown)
        text = f"Live state could not be read for {count}{f': {safe(why)}' if why else ''}."
        return [style.bad(line) for line in textwrap.wrap(text, width)]
    text = f"Not converged: {counts(plan)}. `reconciler plan` tells more."
    return [style.warn(line) for line in textwrap.wrap(text, width)]
