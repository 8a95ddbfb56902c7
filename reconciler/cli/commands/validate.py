"""``reconciler validate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options, output
from reconciler.render.style import counted, safe

if TYPE_CHECKING:
    from reconciler.cli.options import Common
    from reconciler.core.model.desired import Desired
    from reconciler.core.model.manifest import Diagnostic
    from reconciler.core.scope import Scope
    from reconciler.workflow.access import Access


@click.command("validate")
@options.common("text", "json")
@options.access
@options.scope
def command(common: Common, access: Access, scope: Scope) -> int:  # noqa: ARG001 - see below
    """Check everything that can be known offline: all problems of all files at once.

    With --lockfile FILE also checks that this lockfile belongs to the manifests (exit 2 if not).
    The options about the API are taken, so that scripts can give all commands the same ones, but
    nothing is asked of any API.
    """
    from reconciler.core.errors import ExitCode, InvalidManifestsError
    from reconciler.render import json
    from reconciler.workflow.loading import load

    try:
        found = load(common.place, scope)
    except InvalidManifestsError as error:
        if common.format == "json":
            output.result(json.text({"valid": False, "problems": _list(error.diagnostics)}))
            return ExitCode.INVALID
        raise
    stale = _stale(common, found.desired)
    if common.format == "json":
        listed = {"valid": True, "problems": _list(found.warnings)}
        output.result(json.text({**listed, "lockfile": stale} if common.lockfile else listed))
    else:
        output.warnings(common, found.warnings)
        for line in stale:
            click.echo(safe(f"{common.lockfile}: {line}"), err=True)
        if not common.quiet:
            output.result(f"Valid: {_contents(found.desired)}.\n")
    return ExitCode.PENDING if stale else ExitCode.OK


def _stale(common: Common, desired: Desired) -> list[str]:
    """Return how the lockfile differs from the manifests, if that was asked for."""
    if not common.lockfile:
        return []
    from reconciler.core.planning.offline import belongs
    from reconciler.lockfile import Store

    return belongs(desired, Store(common.lockfile).read())


def _contents(desired: Desired) -> str:
    counts = (
        (len(desired.repos), "repo"),
        (len(desired.prompts), "prompt"),
        (len(desired.targets), "target"),
    )
    return ", ".join(counted(count, word) for count, word in counts)


def _list(diagnostics: tuple[Diagnostic, ...]) -> list[dict[str, Any]]:
    return [
        {
            "file": found.file,
            "line": found.line,
            "column": found.column,
            "severity": str(found.severity),
            "message": found.message,
        }
        for found in diagnostics
    ]
