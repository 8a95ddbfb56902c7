"""Showing a status again and again: in place on a terminal, one line per change without one.

Never asks the API itself: it is handed one status after the other.
"""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.cli import output, streams
from reconciler.core.schema.wording import counted
from reconciler.render import json, status
from reconciler.render.style import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from reconciler.cli.common import Common
    from reconciler.core.planning.report import StatusRow
    from reconciler.render.style import Style
    from reconciler.workflow.looking import Look
    from reconciler.workflow.verbs.status import Status


def follow(common: Common, found: Iterable[Look], pause: Callable[[], object]) -> None:
    """Show every status, with a pause after each, until an interrupt or until nobody looks."""
    with _shower(common) as show:
        for each in found:
            show(each)
            if streams.is_stdout_deserted():
                return
            pause()


def pause(seconds: float) -> None:
    """Let time pass; SIGTERM ends it as an interrupt does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        time.sleep(seconds)
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _shower(common: Common) -> Iterator[Callable[[Look], None]]:
    if common.format == "json":
        yield _Noting(common, _JsonLines().show).show
    elif sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        with _table(common) as show:
            yield show
    else:
        yield _Noting(common, _Lines().show).show


class _Noting:
    """Says on stderr when manifests or lockfile can no longer be used, and when they can again."""

    def __init__(self, common: Common, show: Callable[[Status], None]) -> None:
        self._common = common
        self._show = show
        self._trouble = self._torn = ""

    def show(self, look: Look) -> None:
        if look.trouble != self._trouble:
            told = _warning(look.trouble) if look.trouble else "The manifests can be used again."
            output.note(self._common, told)
        if look.torn != self._torn:
            told = (
                _warning_of_lockfile(look.torn) if look.torn else "The lockfile can be used again."
            )
            output.note(self._common, told)
        self._trouble, self._torn = look.trouble, look.torn
        self._show(look.status)


class _JsonLines:
    """Every status that differs from the one before, as one JSON object a line."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, found: Status) -> None:
        text = json.text(status.json(found.api_url, found.rows, found.plan), indent=None)
        if text != self._last:
            output.result(text)
        self._last = text


class _Lines:
    """One line per change."""

    def __init__(self) -> None:
        self._rows: tuple[StatusRow, ...] = ()
        self._standing = ""

    def show(self, found: Status) -> None:
        lines = list(status.changes(self._rows, found.rows))
        standing = status.standing(found.plan)
        if standing != self._standing:
            lines.append(standing)
        self._rows, self._standing = found.rows, standing
        if lines:
            output.result("\n".join(lines) + "\n")


@contextmanager
def _table(common: Common) -> Iterator[Callable[[Look], None]]:
    """Yield what paints the table over the one before; the last one stays."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    style = output.style(common, sys.stdout)
    console = Console(no_color=not style.colour)
    last = ""
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:

        def show(look: Look) -> None:
            nonlocal last
            found, below = look.status, _below(look, style)
            room = console.height - len(below)
            text = _fitting(found, lambda rows: _text(common, found, rows), room)
            text = "\n".join([text, *below])
            if text != last:
                live.update(Text.from_ansi(text, no_wrap=True), refresh=True)
            last = text

        yield show


def _below(look: Look, style: Style) -> list[str]:
    told = [_warning(look.trouble)] if look.trouble else []
    told += [_warning_of_lockfile(look.torn)] if look.torn else []
    return [style.warn(line) for text in told for line in textwrap.wrap(text, output.width())]


def _warning(trouble: str) -> str:
    told = "warning: the manifests cannot be used as they are, shown is what they said before"
    return f"{told}: {safe(trouble)}"


def _warning_of_lockfile(torn: str) -> str:
    told = "warning: the lockfile cannot be used as it is, what it said before counts"
    return f"{told}: {safe(torn)}"


def _text(common: Common, found: Status, rows: Iterable[StatusRow]) -> str:
    paint = output.style(common, sys.stdout)
    return status.text(tuple(rows), found.plan, paint, width=output.width())


def _fitting(found: Status, text: Callable[[Iterable[StatusRow]], str], height: int) -> str:
    """Return the table, without targets that are settled if not all fit, then without others."""
    whole = text(found.rows).rstrip("\n")
    over = whole.count("\n") + 1 - (height - 1)
    if over <= 0:
        return whole
    kept = sorted(found.rows, key=_is_settled)[: max(1, len(found.rows) - over - 1)]
    left = counted(len(found.rows) - len(kept), "more target")
    return f"{text(sorted(kept, key=_name)).rstrip()}\n… and {left}; a taller window shows them."


def _is_settled(row: StatusRow) -> bool:
    return all(seen.settled for seen in row.stages.values())


def _name(row: StatusRow) -> str:
    return str(row.resource)
