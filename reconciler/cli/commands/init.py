"""``reconciler init``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options, output

if TYPE_CHECKING:
    from reconciler.workflow.scaffold import Scaffolded

_CI = ("auto", "github", "gitlab", "none")
_CI_TOLD = {
    "github": "CI: workflows for GitHub. If it is another, delete them; --ci gitlab|none chooses.",
    "gitlab": "CI: jobs for GitLab. If it is another, delete them; --ci github|none chooses.",
    "none": "CI: none; --ci github|gitlab chooses.",
}


@click.command(
    "init",
    epilog=options.examples("reconciler init my-targets", "reconciler init my-targets --ci github"),
)
@click.argument(
    "directory", default=".", type=click.Path(path_type=Path, readable=False), metavar="[DIR]"
)
@click.option("--ci", type=click.Choice(_CI), default="auto", show_default=True, help="Whose CI.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="The form of the result on stdout.",
)
@options.indifferent("verbose")
@options.quiet
@options.indifferent("no_color")
def command(directory: Path, ci: str, form: str, quiet: bool) -> int:
    """Write a working project into a directory, which may lie in a repository of git.

    Manifests that can be planned and applied at once, a JSON Schema for editors, what git should
    ignore and how it merges lockfiles, what is no manifest, and workflows for CI: GitHub's unless
    the repository is on GitLab or has CI of another host. Nothing that is there is written over; a
    second time changes nothing. See docs/adopting.md.
    """
    from reconciler.core.errors import ExitCode
    from reconciler.manifests import files
    from reconciler.workflow.scaffold import Ci, scaffold

    if os.path.lexists(directory) and not files.is_directory(str(directory)):
        raise click.UsageError(f"{directory} is no directory")
    done = scaffold(directory, Ci(ci))
    output.result(_json(done) if form == "json" else _text(done))
    if not quiet:
        _tell(directory, done)
    return ExitCode.OK


def _text(done: Scaffolded) -> str:
    from reconciler.render.style import safe

    named = (("written", done.written), ("extended", done.extended), ("kept", done.kept))
    lines = [f"{word:<9}{safe(str(path))}\n" for word, paths in named for path in paths]
    return "".join([*lines, f"set      {done.git_config}\n" if done.git_config else ""])


def _json(done: Scaffolded) -> str:
    from reconciler.render import json

    files = {
        name: [str(path) for path in getattr(done, name)]
        for name in ("written", "extended", "kept")
    }
    rest = {"ci": str(done.ci), "git_config": done.git_config or None, "notes": done.notes}
    return json.text({**files, **rest})


def _tell(directory: Path, done: Scaffolded) -> None:
    import shlex

    from reconciler.render.style import safe

    for note in done.notes:
        click.echo(safe(f"warning: {note}"), err=True)
    if not done.written:
        return
    click.echo(f"\n{_CI_TOLD[str(done.ci)]}", err=True)
    place = "" if str(directory) == "." else f" {shlex.quote(safe(str(directory)))}"
    click.echo(
        f"\nNext:\n  reconciler plan --local{place}\n  reconciler apply --local{place}", err=True
    )
    if done.ci != "none":
        needed = safe(str(directory / "requirements.txt"))
        click.echo(f"CI needs {needed} and the secret BREAD_API_KEY: see docs/ci.md.", err=True)
