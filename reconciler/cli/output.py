"""stdout for the result, stderr for everything else; colour only where somebody sees it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

import click

from reconciler.render.style import Style, safe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.cli.common import Common
    from reconciler.core.model.manifest import Diagnostic

_WIDEST = 120


def style(common: Common, stream: TextIO) -> Style:
    """Return how to paint on a stream."""
    plain = common.no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Style(colour=not plain and stream.isatty())


def width() -> int:
    """Return the width to write for: that of the terminal, within reason; 80 without one."""
    import shutil

    return min(_WIDEST, shutil.get_terminal_size((80, 24)).columns)


def result(text: str) -> None:
    """Write a result to stdout as it is."""
    sys.stdout.write(text)
    sys.stdout.flush()


def note(common: Common, text: str) -> None:
    """Write a remark to stderr, unless told to be quiet."""
    if not common.quiet:
        click.echo(text, err=True)


def warn(common: Common, text: str) -> None:
    """Write a warning to stderr, unless told to be quiet."""
    note(common, f"warning: {safe(text)}")


def warnings(common: Common, diagnostics: Iterable[Diagnostic]) -> None:
    """Write warnings about manifests to stderr, unless told to be quiet."""
    for diagnostic in diagnostics:
        note(common, safe(str(diagnostic)))


def confirmed(question: str) -> bool:
    """Ask, but only where somebody can answer; nobody there means yes."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return click.confirm(question, err=True)
