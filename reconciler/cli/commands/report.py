"""``reconciler report``."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options, output
from reconciler.cli.display import details

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.cli.common import Common
    from reconciler.core.selection.scope import Scope
    from reconciler.render.report.content import Report
    from reconciler.workflow.access import Access


@click.command(
    "report",
    epilog=options.examples(
        "reconciler report --local --out report.html examples/quickstart",
        "reconciler report --offline > report.html",
    ),
)
@options.common("html", "json")
@options.access
@options.scope
@click.option("--offline", is_flag=True, help="Tell what the lockfile says; needs no key.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report to this file instead of stdout.",
)
def command(common: Common, access: Access, scope: Scope, offline: bool, out: Path | None) -> int:
    """Write a report of where everything stands, as one HTML file to pass on.

    Reading it takes no network and no other file; making it changes nothing. Line counts over time
    come from the lockfile's history in git. SOURCE_DATE_EPOCH sets the time it was made.
    """
    from reconciler.core.errors import ExitCode
    from reconciler.workflow.loading import load
    from reconciler.workflow.reporting import reports

    if common.format == "html" and not out and sys.stdout.isatty():
        raise click.UsageError("a page is of no use on a terminal: say --out report.html")
    began = time.monotonic()
    loaded = load(common.place, scope)
    output.warnings(common, loaded.warnings)
    details.manifests(common, loaded, time.monotonic() - began)
    if offline:
        found = reports.offline(common.place, loaded.desired, _now())
    else:
        looked = partial(details.live_state, common)
        found = reports.live(common.place, loaded.desired, access, _now(), looked=looked)
    details.lockfile(common)
    _hand_over(_text(found, common), found, common, out)
    return ExitCode.ERROR if found.plan.unknown else ExitCode.OK


def _now() -> datetime:
    """Return the time, or the one that builds which must be reproducible tell."""
    from datetime import UTC, datetime

    told = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.fromtimestamp(int(told) if told.isdecimal() else time.time(), UTC)


def _text(found: Report, common: Common) -> str:
    if common.format == "json":
        from reconciler.render import json
        from reconciler.render.report import content

        return json.text(content.as_json(found))
    from reconciler.render.report import page

    return page.page(found)


def _hand_over(text: str, found: Report, common: Common, out: Path | None) -> None:
    if not out:
        output.result(text)
        return
    from reconciler.core.schema.wording import counted
    from reconciler.render.report.page import verdict
    from reconciler.workflow.reporting import reports

    reports.save(text, out)
    if not common.quiet:
        count = counted(len(found.rows), "target")
        output.result(f"{out}: {count}. {verdict(found.plan)}.\n")
