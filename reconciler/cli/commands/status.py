"""``reconciler status``."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import click

from reconciler.cli import details, options, output

if TYPE_CHECKING:
    from reconciler.cli.options import Common
    from reconciler.core.scope import Scope
    from reconciler.workflow.access import Access
    from reconciler.workflow.verbs import Status


@click.command("status")
@options.common("text", "json")
@options.access
@options.scope
def command(common: Common, access: Access, scope: Scope) -> int:
    """Show a table: each target, each stage, live lines against wanted lines."""
    from reconciler.core.errors import ExitCode
    from reconciler.workflow import verbs
    from reconciler.workflow.loading import load

    began = time.monotonic()
    loaded = load(common.place, scope)
    output.warnings(common, loaded.warnings)
    details.manifests(common, loaded.desired, time.monotonic() - began)
    looked = partial(details.live_state, common)
    found = verbs.status(common.place, loaded.desired, access, looked=looked)
    details.lockfile(common)
    output.result(_text(found, common))
    return ExitCode.ERROR if found.plan.unknown else ExitCode.OK


def _text(found: Status, common: Common) -> str:
    from reconciler.render import status

    if common.format == "json":
        from reconciler.render import json

        return json.text(status.json(found.api_url, found.rows, found.plan))
    paint = output.style(common, sys.stdout)
    return status.text(found.rows, found.plan, paint, width=output.width())
