"""``reconciler status``."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import click

from reconciler.cli import options, output
from reconciler.cli.display import details

if TYPE_CHECKING:
    from reconciler.cli.common import Common
    from reconciler.core.selection.scope import Scope
    from reconciler.manifests.snapshot import Snapshot
    from reconciler.workflow.access import Access
    from reconciler.workflow.verbs.status import Status

#: Seconds between two looks, unless told.
_INTERVAL = 5.0


@click.command(
    "status",
    epilog=options.examples(
        "reconciler status --local examples/quickstart",
        "reconciler status --local --watch --interval 2s examples/quickstart",
        "reconciler status -l team=docs --format json",
    ),
)
@options.common("text", "json")
@options.access
@options.scope
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option(
    "--interval",
    callback=options.duration,
    metavar="DURATION",
    help="How long --watch waits before it looks again.  [default: 5s]",
)
def command(
    common: Common, access: Access, scope: Scope, watch: bool, interval: float | None
) -> int:
    """Show a table: each target, each stage, live lines against wanted lines.

    --watch repaints it on a terminal. Elsewhere it writes one line per change, with --format json
    one object. Manifests are read again when one of their files changes; while they are invalid,
    what they said before is shown.
    """
    from reconciler.core.errors import ExitCode
    from reconciler.workflow.loading import load
    from reconciler.workflow.verbs.status import status

    if interval and not watch:
        raise click.UsageError("--interval needs --watch")
    began = time.monotonic()
    before = _seen(common) if watch else frozenset()
    loaded = load(common.place, scope)
    output.warnings(common, loaded.warnings)
    details.manifests(common, loaded, time.monotonic() - began)
    if watch:
        from reconciler.cli.display.following import follow, pause
        from reconciler.workflow.looking import Looking

        looking = Looking(common.place, scope, access, loaded.desired, before)
        with closing(looking.looks()) as looks:
            follow(common, looks, partial(pause, interval or _INTERVAL))
        return ExitCode.OK
    looked = partial(details.live_state, common)
    found = status(common.place, loaded.desired, access, looked=looked)
    details.lockfile(common)
    output.result(_text(found, common))
    return ExitCode.ERROR if found.plan.unknown else ExitCode.OK


def _seen(common: Common) -> Snapshot:
    from reconciler.workflow.looking import seen

    return seen(common.place)


def _text(found: Status, common: Common) -> str:
    from reconciler.render import status

    if common.format == "json":
        from reconciler.render import json

        return json.text(status.json(found.api_url, found.rows, found.plan))
    paint = output.style(common, sys.stdout)
    return status.text(found.rows, found.plan, paint, width=output.width())
