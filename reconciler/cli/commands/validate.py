"""``reconciler validate``."""

from __future__ import annotations

import os
import time
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options, output
from reconciler.cli.display import details
from reconciler.core.schema.wording import counted
from reconciler.render.style import safe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from reconciler.cli.common import Common
    from reconciler.core.model.desired import Desired, DesiredTarget
    from reconciler.core.model.manifest import Cell, Diagnostic
    from reconciler.core.selection.scope import Scope
    from reconciler.manifests import Manifests


@click.command(
    "validate",
    epilog=options.examples(
        "reconciler validate examples/quickstart",
        "reconciler validate --format sarif > reconciler.sarif",
    ),
)
@options.common("text", "json", "github", "sarif")
@options.no_access
@options.scope
def command(common: Common, scope: Scope) -> int:
    """Check everything that can be known offline: all problems of all files at once.

    -v lists the targets that each TargetSet stands for, with the values they are made from.
    With --lockfile FILE also checks that this lockfile belongs to the manifests (exit 2 if not).
    --format github annotates the lines of a pull request, --format sarif is for code scanning.
    The options about the API are taken, so that scripts can give all commands the same ones, but
    nothing is asked of any API.
    """
    from reconciler.core.errors import ExitCode, InvalidManifestsError
    from reconciler.workflow.loading import load

    began = time.monotonic()
    try:
        found = load(common.place, scope)
    except InvalidManifestsError as error:
        if common.format == "text":
            raise
        output.result(_for_machines(common, error.diagnostics, valid=False))
        return ExitCode.INVALID
    details.manifests(common, found, time.monotonic() - began)
    _tell_sets(common, _sets(found.desired))
    stale = _stale(common, found.desired)
    if common.format == "text":
        _tell(common, found, stale)
    else:
        output.result(_for_machines(common, found.warnings, stale))
    return ExitCode.PENDING if stale else ExitCode.OK


def _tell(common: Common, found: Manifests, stale: list[str]) -> None:
    output.warnings(common, found.warnings)
    for line in stale:
        click.echo(safe(f"{common.lockfile}: {line}"), err=True)
    if not common.quiet:
        contents, sets = details.contents(found.desired), _sets(found.desired)
        made = sum(map(len, sets))
        ending = f", of them {made:,} from {counted(len(sets), 'set')}" if sets else ""
        output.result(f"Valid: {contents}{ending}.\n")


def _sets(desired: Desired) -> list[list[tuple[DesiredTarget, Cell]]]:
    """Return the targets that come from sets, with their cells, by set."""
    sets: dict[tuple[str, int], list[tuple[DesiredTarget, Cell]]] = {}
    for target in desired.targets.values():
        source = target.source
        if source and source.cell:
            sets.setdefault((source.file, source.index), []).append((target, source.cell))
    return [sets[place] for place in sorted(sets)]


def _tell_sets(common: Common, sets: list[list[tuple[DesiredTarget, Cell]]]) -> None:
    """Say with ``-v`` which targets each set stands for."""
    for made in sets if common.verbose else ():
        target, cell = made[0]
        file = target.source.file if target.source else ""
        output.note(common, safe(f"Set {cell.set_name} in {file}: {counted(len(made), 'target')}."))
        for target, cell in made:
            output.note(common, safe(f"  {target.id} {cell}"))


def _for_machines(
    common: Common, found: tuple[Diagnostic, ...], stale: Iterable[str] = (), *, valid: bool = True
) -> str:
    from reconciler import __version__
    from reconciler.render import github, json, sarif

    if common.format == "json":
        listed = {"valid": valid, "problems": _list(found)}
        return json.text({**listed, "lockfile": stale} if valid and common.lockfile else listed)
    places = [_seen_from_here(one) for one in (*found, *_about(common.lockfile, stale))]
    if common.format == "github":
        return github.commands(places)
    return json.text(sarif.log(places, version=__version__))


def _about(lockfile: Path | None, stale: Iterable[str]) -> Iterator[Diagnostic]:
    from reconciler.core.model.manifest import Diagnostic, Severity

    return (Diagnostic(str(lockfile), 1, 1, line, Severity.WARNING) for line in stale)


def _seen_from_here(found: Diagnostic) -> Diagnostic:
    """Name a file as seen from the working directory, which in CI is the checkout."""
    relative = os.path.relpath(found.file)
    outside = relative == os.pardir or relative.startswith(os.pardir + os.sep)
    file = os.path.abspath(found.file) if outside else relative  # noqa: PTH100 - links stay links
    return found._replace(file=PurePath(file).as_posix())


def _stale(common: Common, desired: Desired) -> list[str]:
    """Return how the lockfile differs from the manifests, if that was asked for."""
    if not common.lockfile:
        return []
    from reconciler.core.planning.offline import belongs
    from reconciler.lockfile import Store

    details.lockfile(common)
    return belongs(desired, Store(common.lockfile).read())


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
