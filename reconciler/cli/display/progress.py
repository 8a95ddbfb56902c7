"""Showing a run: live bars on a terminal, one line per event without one, JSON lines on request."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from reconciler.cli import output
from reconciler.cli.display.repeats import Repeats
from reconciler.core.errors import ExitCode, ReconcilerError
from reconciler.core.model.events import EventKind
from reconciler.core.schema.wording import counted
from reconciler.render import events, json
from reconciler.render import plan as plan_text
from reconciler.render.style import Style, shorten
from reconciler.workflow import stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.progress import Progress, TaskID

    from reconciler.cli.common import Common
    from reconciler.core.model.desired import Stage
    from reconciler.core.model.events import Event, RunResult
    from reconciler.core.model.plan import Plan

#: Rows of live progress at once: a terminal shows no more without scrolling.
_BARS = 12
_LINGER_KINDS = frozenset({EventKind.STARTED, EventKind.PROGRESS})


class Reporter(Protocol):
    """Who is told what happens during ``apply``."""

    def planned(self, plan: Plan) -> None:
        """Show the plan, before anything happens."""
        ...

    def happened(self, event: Event) -> None:
        """Show an event."""
        ...

    def ended(self, result: RunResult, lockfile: Path) -> None:
        """Show how the run ended."""
        ...

    def stopped(self, code: ExitCode, message: str, so_far: RunResult) -> None:
        """Show how far a run came that has ended early; the error itself is told elsewhere."""
        ...


@contextmanager
def reporter(common: Common) -> Iterator[Reporter]:
    """Yield who reports in the way that was asked for, told also of errors that end the run."""
    with _reporter(common) as report, stopping.following() as run:
        try:
            yield report
        except ReconcilerError as error:
            report.stopped(error.exit_code, error.message, run.result())
            raise
        except KeyboardInterrupt:
            report.stopped(ExitCode.INTERRUPTED, "interrupted", run.result())
            raise


@contextmanager
def _reporter(common: Common) -> Iterator[Reporter]:
    if common.format == "json":
        yield JsonLines()
    elif sys.stderr.isatty() and not common.quiet:
        with _Bars(common) as bars:
            yield bars
    else:
        yield Lines(common)


def asking(report: Reporter, question: str, *, yes: bool) -> Callable[[Plan], bool]:
    """Return what shows a plan and asks about it, unless ``yes`` or nothing to do answers that."""

    def confirm(plan: Plan) -> bool:
        report.planned(plan)
        return yes or not plan.pending or output.confirmed(question)

    return confirm


class JsonLines:
    """Every event, and at last the summary, as one JSON object a line on stdout."""

    def planned(self, plan: Plan) -> None:
        """Write nothing: the plan has a command of its own."""

    def happened(self, event: Event) -> None:
        """Write an event."""
        output.result(json.text(json.event(event), indent=None))

    def ended(self, result: RunResult, lockfile: Path) -> None:
        """Write the summary."""
        del lockfile
        output.result(json.text(json.result(result), indent=None))

    def stopped(self, code: ExitCode, message: str, so_far: RunResult) -> None:
        """Write the summary of a run that an error ended."""
        output.result(json.text(json.stopped(code, message, so_far), indent=None))


class Lines:
    """The plan and one line per event on stderr, the last word on stdout."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._style = output.style(common, sys.stderr)
        self._last: dict[tuple[object, object], int] = {}
        self._blocked: frozenset[object] = frozenset()
        self._unread: frozenset[object] = frozenset()
        self._repeats: Repeats[tuple[EventKind, Stage | None]] = Repeats()

    def planned(self, plan: Plan) -> None:
        """Show the plan."""
        self._blocked = frozenset(action.resource for action in plan.blocked)
        self._unread = frozenset(unknown.resource for unknown in plan.unknown)
        verbose = self._common.verbose
        text = plan_text.text(plan, self._style, width=output.width(), verbose=verbose)
        output.note(self._common, text.rstrip("\n"))

    def happened(self, event: Event) -> None:
        """Show an event; of progress, only every tenth part, so that logs stay readable."""
        if self._is_news(event):
            output.note(self._common, events.line(event, self._style))

    def ended(self, result: RunResult, lockfile: Path) -> None:
        """Show how it ended."""
        self._tell_others()
        output.result(events.summary(result, output.style(self._common, sys.stdout)) + "\n")
        if not result.interrupted and self._common.verbose:
            output.note(
                self._common, f"Lockfile: {lockfile}. {counted(result.requests, 'request')}."
            )

    def stopped(self, code: ExitCode, message: str, so_far: RunResult) -> None:
        """Write nothing about the error itself: people are told of errors on stderr."""
        del code, message, so_far
        self._tell_others()

    def _tell_others(self) -> None:
        for (kind, stage), why, count in self._repeats.others():
            output.note(self._common, events.others(kind, stage, why, count, self._style))

    def _is_news(self, event: Event) -> bool:
        if event.kind is EventKind.BLOCKED:
            return event.resource not in self._blocked and self._is_shown(event)
        if event.kind is EventKind.ERROR:
            return event.resource not in self._unread and self._is_shown(event)
        if event.kind is not EventKind.PROGRESS:
            return True
        tenth = _tenths(event)
        known = self._last.get((event.resource, event.stage))
        self._last[event.resource, event.stage] = tenth
        return known is None or tenth > known

    def _is_shown(self, event: Event) -> bool:
        kind = event.kind, event.stage
        return self._common.verbose or self._repeats.is_shown(kind, event.message)


class _Bars(Lines):
    """Lines, with a live bar for every stage that runs."""

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        self._progress = live_bars(self._style)
        self._tasks: dict[tuple[object, object], TaskID] = {}

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def happened(self, event: Event) -> None:
        """Move a bar, or write a line above the bars."""
        if event.kind in _LINGER_KINDS and event.stage:
            self._move(event)
            return
        if event.stage and event.kind is not EventKind.WARNING:
            self._drop(event)
        if self._is_news(event):
            self._above(events.line(event, self._style))

    def ended(self, result: RunResult, lockfile: Path) -> None:
        """Take the bars away and show how it ended."""
        self._progress.stop()
        super().ended(result, lockfile)

    def _above(self, line: str) -> None:
        from rich.text import Text

        self._progress.console.print(Text.from_ansi(line), soft_wrap=True)

    def _move(self, event: Event) -> None:
        self._progress.start()
        key = (event.resource, event.stage)
        if key not in self._tasks:
            label = shorten(f"{event.resource} {event.stage}", 36)
            self._tasks[key] = self._progress.add_task(
                label, total=None, quantity="", visible=len(self._tasks) < _BARS
            )
        task, quantity = self._tasks[key], events.quantity(event)
        if _is_told(event):
            self._progress.update(task, total=1.0, completed=_share(event), quantity=quantity)
        else:
            self._progress.update(task, quantity=quantity)

    def _drop(self, event: Event) -> None:
        task = self._tasks.pop((event.resource, event.stage), None)
        if task is not None:
            self._progress.remove_task(task)
        for waiting in list(self._tasks.values())[:_BARS]:
            self._progress.update(waiting, visible=True)


def live_bars(style: Style) -> Progress:
    """Return bars on stderr with a label, a quantity and the time passed; they leave no trace."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[quantity]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True, no_color=not style.colour),
        transient=True,
        refresh_per_second=8,
    )


def _is_told(event: Event) -> bool:
    return event.progress is not None or bool(event.lines is not None and event.expected)


def _share(event: Event) -> float:
    if event.lines is not None and event.expected:
        return min(1.0, event.lines / event.expected)
    return (event.progress or 0.0) / 100


def _tenths(event: Event) -> int:
    return int(_share(event) * 10)
