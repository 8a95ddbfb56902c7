"""How a pull went: a line for each output, a summary, and the same as JSON. Strings only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.core.model.outputs import Verdict
from reconciler.core.schema.wording import counted
from reconciler.render.style import Style, safe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.core.model.outputs import Pulled, PullResult

FORMAT = "reconciler/pull/v1"
_WORD_WIDTH = max(len(verdict) for verdict in Verdict)
_NEW = (Verdict.PULLED, Verdict.REPLACED)
_THOUSAND = 1000


def line(pulled: Pulled, style: Style) -> str:
    """Return how it went with one output as one line."""
    word = _paint(pulled.verdict, style)(f"{pulled.verdict:<{_WORD_WIDTH}}")
    details = [_quantity([pulled])] if pulled.digest else []
    details += [safe(pulled.message)] if pulled.message else []
    return f"{word}  {safe(str(pulled.resource))} {pulled.stage}  {', '.join(details)}"


def others(verdict: Verdict, why: str, count: int, style: Style) -> str:
    """Return one line for so many more outputs with which it went alike."""
    word = _paint(verdict, style)(f"{verdict:<{_WORD_WIDTH}}")
    return f"{word}  {counted(count, 'more output')}  {safe(why)}"


def summary(result: PullResult, style: Style, directory: str = "") -> str:
    """Return the last word: the truth in one glance, and the directory where the files are."""
    if not result.outputs:
        return "Nothing to pull: no target in scope wants such a stage."
    parts = [
        _paint(verdict, style)(f"{len(found):,} {verdict}")
        for verdict in Verdict
        if (found := result.having(verdict))
    ]
    shown = result.having(Verdict.UNCHANGED) if result.check else result.having(*_NEW)
    of = f" ({_quantity(shown)})" if shown else ""
    where = f" Files: {safe(directory)}." if directory and _has_files(result) else ""
    return f"{'Checked' if result.check else 'Outputs'}: {', '.join(parts)}{of}.{where}"


def json(result: PullResult) -> dict[str, Any]:
    """Return the same as one JSON object."""
    return {
        "format": FORMAT,
        "check": result.check,
        "exit_code": int(result.exit_code),
        "summary": {str(verdict): len(result.having(verdict)) for verdict in Verdict},
        "outputs": [_output(pulled) for pulled in result.outputs],
    }


def size(count: float) -> str:
    """Return a number of bytes for people: ``512 B``, ``1.5 MB``."""
    if count < _THOUSAND:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= _THOUSAND
        if count < _THOUSAND:
            return f"{count:.1f} {unit}"
    return f"{count / _THOUSAND:,.1f} TB"


def _has_files(result: PullResult) -> bool:
    return any(pulled.file for pulled in result.outputs)


def _quantity(found: Sequence[Pulled]) -> str:
    records, bytes_ = sum(it.records for it in found), sum(it.size for it in found)
    return f"{counted(records, 'record')}, {size(bytes_)}"


def _output(pulled: Pulled) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "resource": str(pulled.resource),
        "stage": str(pulled.stage),
        "result": str(pulled.verdict),
    }
    if pulled.digest:
        fields |= {"records": pulled.records, "bytes": pulled.size, "sha256": _hex(pulled.digest)}
    if pulled.file:
        fields["file"] = pulled.file
    if pulled.message:
        fields["message"] = pulled.message
    return fields


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _paint(verdict: Verdict, style: Style) -> Callable[[str], str]:
    if verdict in {Verdict.FAILED, Verdict.BLOCKED, Verdict.CHANGED}:
        return style.bad
    if verdict in {Verdict.PENDING, Verdict.UNRECORDED, Verdict.REPLACED}:
        return style.warn
    return style.good
