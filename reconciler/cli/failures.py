"""What a person sees when something goes wrong, and the exit code it becomes."""

from __future__ import annotations

import errno
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import streams
from reconciler.core.errors import (
    ExitCode,
    InvalidLockfileError,
    InvalidManifestsError,
    LockHeldError,
    ReconcilerError,
    StalePlanError,
)
from reconciler.core.schema.wording import counted
from reconciler.render.style import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reconciler.core.model.manifest import Diagnostic


def report(error: BaseException) -> ExitCode:
    """Tell about an error on stderr and return its exit code."""
    for kind, tell in _TELLERS:
        if isinstance(error, kind):
            return tell(error)
    return _internal(error)


def _interrupted(_: BaseException) -> ExitCode:
    _say("Interrupted.")
    return ExitCode.INTERRUPTED


def _exit(error: SystemExit | click.exceptions.Exit) -> ExitCode:
    code = error.code if isinstance(error, SystemExit) else error.exit_code
    return ExitCode.ERROR if code else ExitCode.OK


def _click(error: click.ClickException) -> ExitCode:
    _say(f"error: {safe(error.format_message())}")
    return ExitCode.ERROR


def _known(error: ReconcilerError) -> ExitCode:
    _say(f"error: {safe(error.message)}")
    if error.hint:
        _say(f"  {error.hint}")
    page = next((page for kind, page in PAGES if isinstance(error, kind)), "")
    if page:
        _say(f"  See {page}")
    return error.exit_code


def _usage(error: click.UsageError) -> ExitCode:
    message = error.format_message()
    if error.ctx and not isinstance(error, click.exceptions.NoArgsIsHelpError):
        _say(error.ctx.get_usage())
        _say(f"error: {safe(message)}")
        _say(f"  Try: {error.ctx.command_path} --help")
    else:
        _say(message)
    return ExitCode.USAGE


def _invalid(error: InvalidManifestsError) -> ExitCode:
    for diagnostic in error.diagnostics:
        _say(safe(str(diagnostic)))
    _say(f"error: {error.message} ({_counts(error.diagnostics)})")
    return error.exit_code


def _counts(diagnostics: Iterable[Diagnostic]) -> str:
    found = Counter(str(diagnostic.severity) for diagnostic in diagnostics)
    return ", ".join(counted(count, word) for word, count in sorted(found.items()))


def _system(error: OSError) -> ExitCode:
    if _is_nowhere():
        _say("error: the working directory is gone")
        _say("  Change to one that exists, and run it again.")
        return ExitCode.INVALID
    if error.errno in _REFUSED and error.filename is not None:
        _say(f"error: {safe(os.fsdecode(error.filename))}: {error.strerror}")
        return ExitCode.ERROR
    is_closed = streams.is_stdout_closed(error)
    if error.errno not in _FULL and not is_closed:
        return _internal(error)
    streams.give_up_stdout()
    _say(f"error: cannot write: {'stdout is closed' if is_closed else error.strerror}")
    return ExitCode.ERROR


def _is_nowhere() -> bool:
    """Tell whether the working directory was deleted, so that no relative path leads anywhere."""
    try:
        os.getcwd()  # noqa: PTH109 - as few words as may fail
    except FileNotFoundError:
        return True
    return False


def _internal(error: BaseException) -> ExitCode:
    if os.environ.get("RECONCILER_DEBUG"):
        raise error
    _say(f"internal error: {type(error).__name__}: {safe(str(error))}")
    _say("  This is a bug in reconciler. RECONCILER_DEBUG=1 shows the traceback for a report.")
    return ExitCode.ERROR


#: Where more is said about an error than what it says itself.
PAGES = (
    (StalePlanError, "docs/behaviour.md#saved-and-offline-plans"),
    (InvalidLockfileError, "docs/behaviour.md#the-lockfile"),
    (LockHeldError, "docs/behaviour.md#the-lockfile"),
)
#: What a path may meet that a person named.
_REFUSED = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP}
#: Nobody's fault but the disk's.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
#: Who tells about which error; the first that fits does.
_TELLERS: tuple[tuple[Any, Callable[[Any], ExitCode]], ...] = (
    (KeyboardInterrupt, _interrupted),
    (click.Abort, _interrupted),
    (SystemExit, _exit),
    (click.exceptions.Exit, _exit),
    (click.UsageError, _usage),
    (click.ClickException, _click),
    (InvalidManifestsError, _invalid),
    (ReconcilerError, _known),
    (OSError, _system),
)


def _say(text: str) -> None:
    click.echo(text, err=True)
