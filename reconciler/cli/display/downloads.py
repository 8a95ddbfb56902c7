"""Showing downloads: live bars on a terminal, a line for each output that is new or a problem."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.cli import output
from reconciler.cli.display.repeats import Repeats
from reconciler.core.model.outputs import Verdict
from reconciler.render import pull
from reconciler.render.style import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

    from reconciler.cli.common import Common
    from reconciler.core.model.outputs import Output, Pulled

_Key = tuple[object, object]
_NOT_HAD = frozenset({Verdict.PENDING, Verdict.BLOCKED, Verdict.FAILED})


@contextmanager
def watcher(common: Common) -> Iterator[Lines]:
    """Yield who shows downloads in the way that was asked for."""
    with _watcher(common) as watching:
        try:
            yield watching
        finally:
            watching.tell_others()


@contextmanager
def _watcher(common: Common) -> Iterator[Lines]:
    if common.quiet or common.format == "json" or not sys.stderr.isatty():
        yield Lines(common)
        return
    with Bars(common) as bars:
        yield bars


class Lines:
    """A line on stderr for each output; what is unchanged is told with ``-v`` only.

    So is each of many outputs that cannot be had for the same reason.
    """

    def __init__(self, common: Common) -> None:
        self._common = common
        self._style = output.style(common, sys.stderr)
        self._silent = common.format == "json" and not common.verbose
        self._repeats: Repeats[Verdict] = Repeats()

    def moved(self, output: Output, lines: int) -> None:
        """Show nothing: how far a download has got matters to those who watch."""

    def ended(self, pulled: Pulled) -> None:
        """Show how it went with an output."""
        if not self._silent and (self._common.verbose or self._is_news(pulled)):
            self._show(pull.line(pulled, self._style))

    def tell_others(self) -> None:
        """Show how many more outputs cannot be had for the reasons shown."""
        for verdict, why, count in self._repeats.others():
            self._show(pull.others(verdict, why, count, self._style))

    def _is_news(self, pulled: Pulled) -> bool:
        if pulled.verdict in _NOT_HAD:
            return self._repeats.is_shown(pulled.verdict, pulled.message)
        return pulled.verdict is not Verdict.UNCHANGED

    def _show(self, line: str) -> None:
        output.note(self._common, line)


class Bars(Lines):
    """Lines, below them a live bar for each download under way."""

    def __init__(self, common: Common) -> None:
        from reconciler.cli.display.progress import live_bars

        super().__init__(common)
        self._progress: Progress = live_bars(self._style)
        self._tasks: dict[_Key, TaskID] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def moved(self, output: Output, lines: int) -> None:
        """Move a bar."""
        self._progress.start()
        key = (output.resource, output.stage)
        if key not in self._tasks:
            label = shorten(f"{output.resource} {output.stage}", 36)
            self._tasks[key] = self._progress.add_task(label, total=output.lines, quantity="")
        quantity = f"{lines:,} / {output.lines:,} records"
        self._progress.update(self._tasks[key], completed=lines, quantity=quantity)

    def ended(self, pulled: Pulled) -> None:
        """Take a bar away and show how it went."""
        task = self._tasks.pop((pulled.resource, pulled.stage), None)
        if task is not None:
            self._progress.remove_task(task)
        super().ended(pulled)

    def _show(self, line: str) -> None:
        from rich.text import Text

        self._progress.console.print(Text.from_ansi(line), soft_wrap=True)
