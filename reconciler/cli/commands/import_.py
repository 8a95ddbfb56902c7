"""``reconciler import``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options, output

if TYPE_CHECKING:
    from reconciler.cli.common import Common
    from reconciler.workflow.access import Access
    from reconciler.workflow.importing import Imported, Wanted


@click.command(
    "import",
    epilog=options.examples(
        "reconciler import imported",
        "reconciler import imported --repo coding --target 'coding/*'",
        "reconciler import --local examples/quickstart --repo support --out copied",
    ),
)
@options.common("text", "json")
@options.access
@click.option(
    "--repo", "repos", multiple=True, metavar="NAME", help="Only this live repo; repeatable."
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="REPO/NAME",
    help="Only these live targets, with their prompts; * and ? match.",
)
@click.option(
    "--bgit",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="A repository of bgit instead.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False, readable=False),
    metavar="DIR",
    help="Where to write; by default PATH.",
)
def command(
    common: Common,
    access: Access,
    repos: tuple[str, ...],
    targets: tuple[str, ...],
    bgit: Path | None,
    out: Path | None,
) -> int:
    """Write manifests for what exists live, such that a plan has nothing to do.

    Everything in the repos is taken: prompts, targets, and the line counts of what is complete.
    What a manifest cannot say is told on stderr, and so is a repo that could not be read (exit code
    1 at the end). No file is ever written over (exit code 3). --bgit takes what a repository of
    bgit declares, and asks no API. See docs/adopting.md.
    """
    from reconciler.core.errors import ExitCode
    from reconciler.manifests import files
    from reconciler.workflow.importing import Wanted

    if bgit and (repos or targets):
        raise click.UsageError("--bgit takes all that DIR declares: leave out --repo and --target")
    if not bgit and access.local and not os.path.lexists(common.path):
        raise click.UsageError(f"{common.path} does not exist, and so holds no local service")
    is_file = files.is_file(str(common.path))
    into = out or (common.path.parent if is_file else common.path)
    found = _imported(common, access, Wanted(repos, targets), bgit, into)
    _tell(common, found)
    return ExitCode.ERROR if found.unread else ExitCode.OK


def _imported(
    common: Common, access: Access, wanted: Wanted, bgit: Path | None, out: Path
) -> Imported:
    from reconciler.workflow.importing import from_bgit, from_live

    if bgit:
        return from_bgit(bgit, out)
    return from_live(common.place, access, wanted, out)


def _tell(common: Common, found: Imported) -> None:
    from reconciler.core.schema.wording import counted
    from reconciler.render import json
    from reconciler.render.style import safe

    written = [str(path) for path in found.written]
    if common.format == "json":
        output.result(json.text({"written": written, "notes": list(found.notes)}))
        return
    for note in found.notes:
        output.warn(common, note)
    output.result("".join(f"{safe(path)}\n" for path in written))
    output.note(common, f"{counted(len(written), 'file')} written.")
