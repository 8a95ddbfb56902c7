"""``reconciler pull``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options, output
from reconciler.cli.display import details

if TYPE_CHECKING:
    from reconciler.cli.common import Common
    from reconciler.core.model.desired import Stage
    from reconciler.core.model.outputs import PullResult
    from reconciler.core.selection.scope import Scope
    from reconciler.lockfile import Patience
    from reconciler.workflow.access import Access

_EPILOG = """\b
Examples:
  reconciler pull --local examples/quickstart
  reconciler pull --stage rollout --target 'coding/*' --out data
  reconciler pull --check
"""


@click.command("pull", epilog=_EPILOG)
@options.common("text", "json", "parquet")
@options.access
@options.scope
@options.locking
@click.option(
    "--stage",
    type=click.Choice(("stim", "rollout", "all")),
    default="all",
    show_default=True,
    help="Which outputs: those of this stage, where it is wanted.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the files go; by default outputs/ beside the manifests.",
)
@click.option(
    "--as",
    "form",
    type=click.Choice(("jsonl", "parquet")),
    default="jsonl",
    show_default=True,
    help="With parquet, a Parquet file beside each JSONL file; so does --format parquet.",
)
@click.option("--force", is_flag=True, help="Replace files that hold something else.")
@click.option(
    "--check",
    is_flag=True,
    help="Compare with the digests recorded; write nothing. Exits 3 if any differs.",
)
def command(
    common: Common,
    access: Access,
    scope: Scope,
    patience: Patience,
    stage: str,
    out: Path | None,
    form: str,
    force: bool,
    check: bool,
) -> int:
    """Download outputs of complete stages as JSONL, and record their SHA-256 in the lockfile.

    Files lie at REPO/TARGET/STAGE.jsonl. What was cut off goes on where it was. Exits 2 while a
    wanted stage is not complete, 3 where a file holds something else than what was pulled.
    """
    from reconciler.cli.display.downloads import watcher
    from reconciler.workflow.loading import load
    from reconciler.workflow.pulling.downloads import PullOptions
    from reconciler.workflow.verbs.pull import check_outputs, pull

    is_parquet = "parquet" in {form, common.format}
    if check and (force or out or is_parquet):
        raise click.UsageError("--check writes nothing: leave out --out, --force and parquet")
    if is_parquet:
        from reconciler.workflow.pulling import parquet

        parquet.require()
    began = time.monotonic()
    loaded = load(common.place, scope)
    output.warnings(common, loaded.warnings)
    details.manifests(common, loaded, time.monotonic() - began)
    project = (common.place, loaded.desired, access)
    with watcher(common) as watching:
        if check:
            result = check_outputs(*project, _stages(stage), watching)
        else:
            how = PullOptions(_stages(stage), out, is_parquet, force)
            result = pull(*project, how, watching, patience)
    details.lockfile(common)
    output.result(_text(result, common, out))
    return result.exit_code


def _stages(chosen: str) -> tuple[Stage, ...]:
    from reconciler.core.model.desired import Stage

    return tuple(Stage) if chosen == "all" else (Stage(chosen),)


def _text(result: PullResult, common: Common, out: Path | None) -> str:
    from reconciler.render import pull
    from reconciler.workflow.pulling.downloads import DIRECTORY

    if common.format == "json":
        from reconciler.render import json

        return json.text(pull.json(result))
    directory = str(out or common.place.root / DIRECTORY)
    return pull.summary(result, output.style(common, sys.stdout), directory) + "\n"
