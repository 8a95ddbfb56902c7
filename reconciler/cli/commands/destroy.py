"""``reconciler destroy``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options, output

if TYPE_CHECKING:
    from reconciler.cli.common import Common
    from reconciler.core.selection.scope import Scope
    from reconciler.lockfile import Patience
    from reconciler.workflow.access import Access


@click.command(
    "destroy",
    epilog=options.examples(
        "reconciler destroy --allow-destroy --target 'coding/experiment-*'",
    ),
)
@options.common("text", "json")
@options.access
@options.scope
@options.locking
@click.option("--allow-destroy", is_flag=True, help="Allow what deletes data.")
@click.option("--yes", is_flag=True, help="Don't ask for confirmation on a terminal.")
def command(
    common: Common,
    access: Access,
    scope: Scope,
    patience: Patience,
    allow_destroy: bool,
    yes: bool,
) -> int:
    """Delete the declared targets, with their jobs and outputs.

    Only with --allow-destroy, and never what policy.prevent_destroy protects. Repos and prompts
    stay: the API cannot delete them.
    """
    from reconciler.cli.display.progress import asking, reporter
    from reconciler.workflow.loading import load
    from reconciler.workflow.verbs.destroy import destroy

    with reporter(common) as report:
        loaded = load(common.place, scope)
        output.warnings(common, loaded.warnings)
        result = destroy(
            common.place,
            loaded.desired,
            access,
            allow_destroy=allow_destroy,
            confirm=asking(report, "Delete these targets?", yes=yes),
            emit=report.happened,
            patience=patience,
        )
        report.ended(result, common.place.lockfile)
    return result.exit_code
