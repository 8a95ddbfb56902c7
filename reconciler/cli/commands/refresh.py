"""``reconciler refresh``."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import click

from reconciler.cli import options, output
from reconciler.cli.display import details

if TYPE_CHECKING:
    from reconciler.cli.common import Common
    from reconciler.core.selection.scope import Scope
    from reconciler.lockfile import Patience
    from reconciler.workflow.access import Access


@click.command(
    "refresh",
    epilog=options.examples(
        "reconciler refresh",
        "reconciler refresh --local examples/quickstart",
    ),
)
@options.common("text", "json")
@options.access
@options.scope
@options.locking
def command(common: Common, access: Access, scope: Scope, patience: Patience) -> int:
    """Rewrite the lockfile from live state; change nothing else."""
    from reconciler.core.errors import ExitCode
    from reconciler.render import json
    from reconciler.workflow.loading import load
    from reconciler.workflow.verbs.refresh import refresh

    began = time.monotonic()
    loaded = load(common.place, scope)
    output.warnings(common, loaded.warnings)
    details.manifests(common, loaded, time.monotonic() - began)
    looked = partial(details.live_state, common)
    changed = refresh(common.place, loaded.desired, access, patience, looked=looked)
    details.lockfile(common)
    lockfile = str(common.place.lockfile)
    if common.format == "json":
        output.result(json.text({"lockfile": lockfile, "changed": changed}))
    else:
        output.result(f"{lockfile}: {'rewritten' if changed else 'unchanged'}.\n")
    return ExitCode.OK
