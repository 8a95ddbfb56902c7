"""``reconciler watch``."""

from __future__ import annotations

import random
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options, output
from reconciler.cli.telling import telling as telling_options
from reconciler.core.errors import ExitCode, ReconcilerError
from reconciler.render.style import safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.cli.common import Common
    from reconciler.core.model.events import Event
    from reconciler.core.selection.scope import Scope
    from reconciler.core.watching.rounds import Round
    from reconciler.workflow.access import Access
    from reconciler.workflow.verbs.planning import PlanOptions
    from reconciler.workflow.watching.health import Health
    from reconciler.workflow.watching.listener import Address
    from reconciler.workflow.watching.recorder import Recorder, Telling

_HELP = """Reconcile again and again until stopped.

Every round is a whole apply that asks nothing: it reads the manifests anew, waits for jobs and
writes the lockfile. A line tells of each round in which something changed or failed. Failed rounds
make the pauses longer, up to 15 minutes.

\b
SIGTERM  stop; exit code 0        SIGHUP  begin the next round at once
Ctrl-C   stop; exit code 130      Jobs go on in any case.
"""


def _address(ctx: click.Context, param: click.Parameter, value: str | None) -> Address | None:
    from reconciler.workflow.watching import listener

    try:
        return None if value is None else listener.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


@click.command(
    "watch",
    help=_HELP,
    epilog=options.examples(
        "reconciler watch --interval 5m targets/",
        "reconciler watch --listen 9464 --notify-format slack",
    ),
)
@options.common("text", "json")
@options.access
@options.scope
@options.planning
@click.option(
    "--interval",
    callback=options.duration,
    default="60s",
    show_default=True,
    metavar="DURATION",
    help="How long to pause between the end of a round and the next one.",
)
@click.option("--no-wait", is_flag=True, help="Start what can be started; the next round looks.")
@click.option(
    "--timeout",
    callback=options.duration,
    metavar="DURATION",
    help="Take so long at most for each round (90s, 2h).",
)
@click.option("--allow-destroy", is_flag=True, help="Allow what deletes data.")
@click.option(
    "--listen",
    callback=_address,
    metavar="[ADDR:]PORT",
    help="Serve /metrics, /healthz and /readyz there; on this machine alone without ADDR.",
)
@telling_options
def command(
    common: Common,
    access: Access,
    scope: Scope,
    planning: PlanOptions,
    interval: float,
    no_wait: bool,
    timeout: float | None,
    allow_destroy: bool,
    listen: Address | None,
    telling: Telling | None,
) -> int:
    """Run the loop; every ending of it becomes an exit code."""
    from reconciler.workflow.watching.interrupts import Interrupts

    with Interrupts() as interrupts:  # at first: until then a signal ends the process as any other
        from reconciler.core import durations
        from reconciler.workflow.verbs.apply import ApplyOptions
        from reconciler.workflow.watching.health import Health
        from reconciler.workflow.watching.loop import Watch, exit_code
        from reconciler.workflow.watching.recorder import Recorder, Telling
        from reconciler.workflow.watching.rounds import Rounds

        tell = replace(telling or Telling(), quiet=interval)
        recorder = Recorder(common.place, tell, lambda text: _warn(common, text))
        health = Health(interval)
        rounds = Rounds(
            common.place,
            scope,
            access,
            ApplyOptions(planning, not no_wait, timeout, allow_destroy),
            recorder,
            health,
            emit=lambda event: _happened(common, event),
            warn=lambda warnings: output.warnings(common, warnings),
        )
        watch = Watch(
            interval,
            rounds,
            lambda done, is_news: _ended(common, done, is_news=is_news),
            interrupts,
            time.sleep,
            random.random,
        )
        try:
            with _answering(common, listen, recorder, health):
                output.note(common, f"Watching {common.path}, every {durations.text(interval)}.")
                stopped_by = watch.run()
        except ReconcilerError as error:
            _stopped(common, error.exit_code, error.message)
            raise
        code = exit_code(stopped_by)
        _stopped(common, code, stopped_by.name)
    return code


@contextmanager
def _answering(
    common: Common, listen: Address | None, recorder: Recorder, health: Health
) -> Iterator[None]:
    """Serve metrics and probes, if that is wanted."""
    if listen is None:
        yield
        return
    from reconciler.workflow.watching.listener import listening

    with listening(listen, recorder.metrics, health) as url:
        output.note(common, f"listening on {url}")
        yield


def _ended(common: Common, done: Round, *, is_news: bool) -> None:
    """Tell of a round on stdout, if it is news or everything is to be told."""
    from reconciler.render import rounds

    if not (is_news or common.verbose):
        return
    at = datetime.fromtimestamp(done.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if common.format == "json":
        _write_json(rounds.as_json(done, at))
    else:
        output.result(rounds.line(done, at, output.style(common, sys.stdout)) + "\n")


def _stopped(common: Common, code: ExitCode, why: str) -> None:
    from reconciler.render import rounds

    if common.format == "json":
        _write_json(rounds.stopped(code, why))
    elif code in {ExitCode.OK, ExitCode.INTERRUPTED}:
        output.note(common, f"Stopped ({why}). Jobs go on; what is known is in the lockfile.")


def _write_json(value: dict[str, Any]) -> None:
    from reconciler.render import json

    output.result(json.text(value, indent=None))


def _happened(common: Common, event: Event) -> None:
    """Tell what a round does while it does it, with -v."""
    if common.verbose:
        from reconciler.render import events

        output.note(common, events.line(event, output.style(common, sys.stderr)))


def _warn(common: Common, text: str) -> None:
    output.note(common, f"warning: {safe(text)}")
