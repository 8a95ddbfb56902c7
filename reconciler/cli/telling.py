"""The options that say whom to tell how a run went: a metrics file, a webhook."""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import output
from reconciler.cli.options import with_options
from reconciler.core.errors import ReconcilerError, UsageError
from reconciler.render.style import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.cli.common import Common
    from reconciler.core.model.desired import Desired
    from reconciler.core.model.events import RunResult
    from reconciler.core.model.plan import Plan
    from reconciler.workflow.access import Access
    from reconciler.workflow.watching.recorder import Recorder, Telling


def telling(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add these options to a command, which then takes them as one ``Telling``, or None."""

    @functools.wraps(command)
    def with_telling(*args: Any, **options: Any) -> Any:
        names = ("metrics_file", "notify_url", "notify_format")
        given = {name: options.pop(name) for name in names}
        return command(*args, telling=_telling(**given), **options)

    return with_options(with_telling, _OPTIONS)


_OPTIONS = (
    click.option(
        "--metrics-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write metrics there after every run, for a textfile collector.",
    ),
    click.option(
        "--notify-url",
        envvar="RECONCILER_NOTIFY_URL",
        metavar="URL",
        help="A webhook to tell what has changed; better set RECONCILER_NOTIFY_URL.",
    ),
    click.option(
        "--notify-format",
        type=click.Choice(["json", "slack"]),
        default="json",
        show_default=True,
        help="What the webhook understands.",
    ),
)


def _telling(
    metrics_file: Path | None, notify_url: str | None, notify_format: str
) -> Telling | None:
    if not (metrics_file or notify_url):
        return None
    from reconciler.manifests import files
    from reconciler.workflow.watching.notifying import checked
    from reconciler.workflow.watching.recorder import Telling

    if metrics_file and not files.is_directory(str(metrics_file.parent)):
        raise click.UsageError(f"--metrics-file: there is no directory {metrics_file.parent}")
    hook = checked(notify_url) if notify_url else None
    secrets = tuple(
        os.environ.get(name, "").strip() for name in ("BREAD_API_KEY", "BREAD_MASTER_KEY")
    )
    return Telling(metrics_file, hook, notify_format, secrets=secrets)


class Witness:
    """Sees a single run, and has it recorded if somebody wants to be told."""

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder

    def counting(self, access: Access) -> Access:
        """Return what says which API is meant, so that requests to it are counted."""
        return replace(access, ended=self._recorder.asked) if self._recorder else access

    def seeing(self, confirm: Callable[[Plan], bool]) -> Callable[[Plan], bool]:
        """Return what confirms a plan, so that the plan is seen."""

        def confirmed(plan: Plan) -> bool:
            if self._recorder:
                self._recorder.planned(plan)
            return confirm(plan)

        return confirmed

    def ended(self, desired: Desired, result: RunResult) -> None:
        """Take note of how the run ended, unless it was broken off or never began."""
        if self._recorder and not (result.interrupted or result.declined):
            self._recorder.ended(desired, result)


@contextmanager
def witness(common: Common, telling: Telling | None) -> Iterator[Witness]:
    """Yield who sees a run, also of the errors that end it; wrong usage is no run."""
    if telling is None:
        yield Witness(None)
        return
    from reconciler.workflow.watching.recorder import Recorder

    recorder = Recorder(
        common.place, telling, lambda text: output.note(common, f"warning: {safe(text)}")
    )
    recorder.begin()
    try:
        yield Witness(recorder)
    except UsageError:
        raise
    except ReconcilerError as error:
        recorder.failed(error)
        raise
