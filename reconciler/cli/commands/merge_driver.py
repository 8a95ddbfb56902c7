"""``reconciler merge-driver``."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli import options

_FILE = click.Path(path_type=Path, dir_okay=False)


_ONCE = """\b
Once in every clone, which `reconciler init` does in yours:
  git config merge.reconciler.driver "reconciler merge-driver %O %A %B %P"
In .gitattributes:
  reconciler.lock text eol=lf merge=reconciler"""


@click.command("merge-driver", epilog=_ONCE)
@click.argument("base", type=_FILE, metavar="%O")
@click.argument("ours", type=_FILE, metavar="%A")
@click.argument("theirs", type=_FILE, metavar="%B")
@click.argument("name", default="reconciler.lock", metavar="[%P]")
@options.indifferent("verbose", "quiet", "no_color")
def command(base: Path, ours: Path, theirs: Path, name: str) -> int:
    """Merge two lockfiles for git, which calls this by itself.

    What only one side changed is taken from there; where both changed a stage, the side counts that
    saw more of it. The result takes the place of %A. Where the two cannot be one, as with two APIs,
    %A gets conflict markers and the exit code is 1; `reconciler refresh` then repairs it.
    """
    from reconciler.core.errors import ExitCode
    from reconciler.render.style import safe
    from reconciler.workflow.merging import merge_files

    conflict = merge_files(base, ours, theirs)
    if not conflict:
        return ExitCode.OK
    click.echo(safe(f"{name}: {conflict}"), err=True)
    click.echo("  Run `reconciler refresh` once the manifests are merged: it repairs it.", err=True)
    return ExitCode.ERROR
