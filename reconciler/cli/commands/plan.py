"""``reconciler plan``."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options, output
from reconciler.cli.display import details

if TYPE_CHECKING:
    from reconciler.cli.common import Common
    from reconciler.core.model.plan import Plan
    from reconciler.core.selection.scope import Scope
    from reconciler.workflow.access import Access
    from reconciler.workflow.verbs.planning import PlanOptions


@click.command(
    "plan",
    epilog=options.examples(
        "reconciler plan --local examples/quickstart",
        "reconciler plan --out plan.json --detailed-exitcode",
        "reconciler plan --offline --format markdown",
    ),
)
@options.common("text", "json", "markdown")
@options.access
@options.scope
@options.planning
@click.option("--offline", is_flag=True, help="Compare with the lockfile only; needs no key.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Save the plan, for apply --plan; - prints it in place of the result.",
)
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 2 if anything is pending, 3 if blocked."
)
def command(
    common: Common,
    access: Access,
    scope: Scope,
    planning: PlanOptions,
    offline: bool,
    out: Path | None,
    detailed_exitcode: bool,
) -> int:
    """Show what apply would do, and change nothing."""
    from reconciler.core.errors import ExitCode
    from reconciler.workflow.loading import load

    if offline and out:
        raise click.UsageError("--out needs a live plan: apply would refuse an offline one")
    is_to_stdout = out is not None and str(out) == "-"
    if is_to_stdout and common.format == "markdown":
        raise click.UsageError("--out - prints the plan as JSON: leave out --format markdown")
    began = time.monotonic()
    loaded = load(common.place, scope)
    output.warnings(common, loaded.warnings)
    details.manifests(common, loaded, time.monotonic() - began)
    if offline:
        from reconciler.workflow.verbs.offline import offline_plan

        found = offline_plan(common.place, loaded.desired, planning)
    else:
        from reconciler.workflow.verbs.plan import plan

        warn = partial(output.warn, common)
        found = plan(common.place, loaded.desired, access, planning, warn=warn)
    if out:
        from reconciler.workflow import saved

        content = saved.text(
            found,
            scope=scope,
            prune=planning.prune,
            max_deletions=planning.max_deletions,
            max_trajectories=planning.max_trajectories,
        )
        if not is_to_stdout:
            saved.write(out, content)
    output.result(content if is_to_stdout else _text(found, common))
    if found.unknown:
        return ExitCode.ERROR
    return found.exit_code if detailed_exitcode else ExitCode.OK


def _text(found: Plan, common: Common) -> str:
    if common.format == "json":
        from reconciler.render import json

        return json.text(json.plan(found))
    if common.format == "markdown":
        from reconciler.render import markdown

        return markdown.plan(found)
    from reconciler.render import plan

    paint = output.style(common, sys.stdout)
    return plan.text(found, paint, width=output.width(), verbose=common.verbose)
