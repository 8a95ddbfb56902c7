"""``reconciler import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options, output

if TYPE_CHECKING:
    from reconciler.cli.common import Common
    from reconciler.workflow.access import Access
    from reconciler.workflow.importing import Imported

_DIRECTORY = click.Path(path_type=Path, file_okay=False)


@click.command(
    "import",
    epilog=options.examples(
        "reconciler import imported --repo coding",
        "reconciler import --local examples/quickstart --repo support --out copied",
    ),
)
@options.common("text", "json")
@options.access
@click.option("--repo", "repos", multiple=True, metavar="NAME", help="A live repo; repeatable.")
@click.option("--bgit", type=_DIRECTORY, metavar="DIR", help="A repository of bgit instead.")
@click.option("--out", type=_DIRECTORY, metavar="DIR", help="Where to write; by default PATH.")
def command(
    common: Common, access: Access, repos: tuple[str, ...], bgit: Path | None, out: Path | None
) -> int:
    """Write manifests for what exists live, such that a plan has nothing to do.

    Everything in the repos is taken: prompts, targets, and the line counts of what is complete.
    What a manifest cannot say is told on stderr. No file is ever written over (exit code 3).
    --bgit takes what a repository of bgit declares, and asks no API. See docs/adopting.md.
    """
    from reconciler.core.errors import ExitCode

    if bool(repos) is bool(bgit):
        raise click.UsageError("say what to import: --repo NAME, or --bgit DIR")
    if repos and access.local and not common.path.exists():
        raise click.UsageError(f"{common.path} does not exist, and so holds no local service")
    found = _imported(common, access, repos, bgit, out or _directory(common.path))
    _tell(common, found)
    return ExitCode.OK


def _imported(
    common: Common, access: Access, repos: tuple[str, ...], bgit: Path | None, out: Path
) -> Imported:
    from reconciler.workflow.importing import from_bgit, from_live

    if bgit:
        return from_bgit(bgit, out)
    return from_live(common.place, access, tuple(dict.fromkeys(repos)), out)


def _directory(path: Path) -> Path:
    return path.parent if path.is_file() else path


def _tell(common: Common, found: Imported) -> None:
    from reconciler.render import json
    from reconciler.render.style import counted, safe

    written = [str(path) for path in found.written]
    if common.format == "json":
        output.result(json.text({"written": written, "notes": list(found.notes)}))
        return
    for note in found.notes:
        output.note(common, safe(f"warning: {note}"))
    output.result("".join(f"{safe(path)}\n" for path in written))
    output.note(common, f"{counted(len(written), 'file')} written.")
