"""What happens during a run, one line per event, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core import durations
from reconciler.core.errors import ExitCode
from reconciler.core.model.events import EventKind
from reconciler.core.schema.wording import counted
from reconciler.render.style import Style, safe

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.core.model.desired import Stage
    from reconciler.core.model.events import Event, RunResult

_WORD_WIDTH = max(len(kind) for kind in EventKind)


def line(event: Event, style: Style) -> str:
    """Return one event as one line."""
    word = _paint(event.kind, style)(f"{event.kind:<{_WORD_WIDTH}}")
    stage = f" {event.stage}" if event.stage else ""
    kind = "" if event.stage else f"{event.resource.kind.lower()} "
    details = ", ".join(part for part in _details(event) if part)
    return f"{word}  {kind}{safe(str(event.resource))}{stage}" + (f"  {details}" if details else "")


def others(kind: EventKind, stage: Stage | None, why: str, count: int, style: Style) -> str:
    """Return one line for so many more events that are alike."""
    word = _paint(kind, style)(f"{kind:<{_WORD_WIDTH}}")
    what = counted(count, "more resource") + (f" {stage}" if stage else "")
    return f"{word}  {what}" + (f"  {safe(why)}" if why else "")


def quantity(event: Event) -> str:
    """Return the line count of an event, if it has one: ``312 / 500 lines``."""
    if event.lines is None:
        return "" if event.progress is None else f"{event.progress:.0f} %"
    if event.expected is None:
        return counted(event.lines, "line")
    return f"{event.lines:,} / {event.expected:,} lines"


def summary(result: RunResult, style: Style) -> str:
    """Return the last line of a run: the truth in one glance."""
    if result.interrupted:
        parts = _counts(result, style)
        head = f"{style.warn('Interrupted')}{': ' if parts else ''}{parts}."
        return f"{head} What is known is in the lockfile."
    if result.declined:
        return style.warn(f"Nothing was {'deleted' if result.destruction else 'applied'}.")
    if result.exit_code is ExitCode.OK:
        count = len(result.outcomes)
        if result.destruction:
            return style.good(f"Deleted: {counted(count, 'target')}.")
        are = "is" if count == 1 else "are"
        return style.good(f"Converged: {counted(count, 'resource')} {are} as declared.")
    head = "Not all deleted" if result.destruction else "Not converged"
    return f"{head}: {_counts(result, style)}."


def _counts(result: RunResult, style: Style) -> str:
    """Return how many resources fared how, the worst first."""
    words = (
        (ExitCode.ERROR, "failed", style.bad),
        (ExitCode.BLOCKED, "blocked", style.bad),
        (ExitCode.PENDING, "still converging", style.warn),
        (ExitCode.OK, "deleted" if result.destruction else "as declared", style.good),
    )
    parts = [
        paint(f"{result.count(code):,} {word}") for code, word, paint in words if result.count(code)
    ]
    return ", ".join(parts)


def _details(event: Event) -> list[str]:
    return [
        quantity(event) if event.kind is not EventKind.STARTED else "",
        f"attempt {event.attempt}" if event.attempt else "",
        f"in {durations.text(event.seconds)}" if event.seconds is not None else "",
        safe(event.message),
    ]


def _paint(kind: EventKind, style: Style) -> Callable[[str], str]:
    if kind in {EventKind.FAILED, EventKind.BLOCKED, EventKind.ERROR, EventKind.DELETED}:
        return style.bad
    if kind in {EventKind.WARNING, EventKind.PENDING}:
        return style.warn
    return style.busy if kind in {EventKind.STARTED, EventKind.PROGRESS} else style.good
