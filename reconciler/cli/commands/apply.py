"""``reconciler apply``."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options, output
from reconciler.cli.display import details
from reconciler.cli.telling import telling as telling_options
from reconciler.cli.telling import witness

if TYPE_CHECKING:
    from reconciler.cli.common import Common
    from reconciler.core.selection.scope import Scope
    from reconciler.lockfile import Patience
    from reconciler.workflow.access import Access
    from reconciler.workflow.saved import Saved
    from reconciler.workflow.verbs.planning import PlanOptions
    from reconciler.workflow.watching.recorder import Telling


@click.command(
    "apply",
    epilog=options.examples(
        "reconciler apply --local examples/quickstart",
        "reconciler apply --yes --timeout 30m --target 'coding/*'",
        "reconciler plan --out plan.json && reconciler apply --plan plan.json",
    ),
)
@options.common("text", "json")
@options.access
@options.scope
@options.planning
@options.locking
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, dir_okay=False, readable=False, allow_dash=True),
    help="Apply exactly this saved plan, or refuse; - reads it from stdin.",
)
@click.option("--no-wait", is_flag=True, help="Start what can be started; don't wait for it.")
@click.option(
    "--timeout",
    callback=options.duration,
    metavar="DURATION",
    help="Take so long at most (90s, 2h).",
)
@click.option("--allow-destroy", is_flag=True, help="Allow what deletes data.")
@click.option("--yes", is_flag=True, help="Don't ask for confirmation on a terminal.")
@telling_options
def command(
    common: Common,
    access: Access,
    scope: Scope,
    planning: PlanOptions,
    patience: Patience,
    plan_file: Path | None,
    no_wait: bool,
    timeout: float | None,
    allow_destroy: bool,
    yes: bool,
    telling: Telling | None,
) -> int:
    """Close the gap between manifests and live state, wait, and write the lockfile."""
    from reconciler.cli.display.progress import asking, reporter
    from reconciler.workflow.loading import load
    from reconciler.workflow.verbs.apply import ApplyOptions, apply

    with reporter(common) as report, witness(common, telling) as seen:
        chosen = _saved(plan_file) if plan_file else None
        if chosen and (scope or planning.prune):
            raise click.UsageError("a saved plan has its own scope: leave out what narrows it")
        if chosen:
            scope = chosen.scope
            planning = replace(
                planning,
                prune=chosen.prune,
                max_deletions=chosen.max_deletions,
                max_trajectories=chosen.max_trajectories,
            )
        began = time.monotonic()
        loaded = load(common.place, scope)
        output.warnings(common, loaded.warnings)
        details.manifests(common, loaded, time.monotonic() - began)
        result = apply(
            common.place,
            loaded.desired,
            seen.counting(access),
            ApplyOptions(planning, not no_wait, timeout, allow_destroy),
            confirm=seen.seeing(asking(report, "Apply this plan?", yes=yes)),
            emit=report.happened,
            saved=chosen,
            patience=patience,
            warn=partial(output.warn, common),
        )
        report.ended(result, common.place.lockfile)
        seen.ended(loaded.desired, result)
    return result.exit_code


def _saved(plan_file: Path) -> Saved:
    from reconciler.workflow import saved

    if str(plan_file) == "-":
        return saved.parse(sys.stdin.buffer.read(saved.LARGEST + 1), "stdin")
    return saved.read(plan_file)
