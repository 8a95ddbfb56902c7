"""Problems as workflow commands of GitHub Actions, which shows them at their lines.

One command a line, whatever the problem quotes: nothing in it can end the command or begin another
one. Never prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.render.style import safe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.core.model.manifest import Diagnostic

_TITLE = "reconciler"


def commands(diagnostics: Iterable[Diagnostic]) -> str:
    """Return one ``::error`` or ``::warning`` command for each problem.

    The message repeats the place, because the log of a job shows nothing but the message.
    """
    return "".join(_command(found) for found in diagnostics)


def _command(found: Diagnostic) -> str:
    place = f"file={_property(found.file)},line={found.line},col={found.column},title={_TITLE}"
    text = _data(f"{found.file}:{found.line}:{found.column}: {found.message}")
    return f"::{found.severity} {place}::{text}\n"


def _data(text: str) -> str:
    """Return text that a command may carry; ``safe`` has made one line of it."""
    return safe(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
