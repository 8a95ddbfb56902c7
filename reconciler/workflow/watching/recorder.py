"""Telling the world outside how rounds go: what has changed, metrics in a file, a webhook.

Looks at what a round did, and never changes it: what cannot be told becomes a warning.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler import __version__
from reconciler.core.errors import ExitCode, InvalidManifestsError, ReconcilerError
from reconciler.core.model.events import EventKind
from reconciler.core.watching.rounds import Levels, Round, Totals, ending_of, levels
from reconciler.core.watching.standing import (
    WHOLE_RUN,
    Standing,
    State,
    Told,
    after,
    on_record,
    remembered,
    transitions,
)
from reconciler.lockfile import Store, replace_file
from reconciler.render import openmetrics
from reconciler.workflow.loading import first_of
from reconciler.workflow.watching import memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.events import Event, RunResult
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.plan import Plan
    from reconciler.core.watching.standing import Transition
    from reconciler.workflow.place import Place
    from reconciler.workflow.watching.notifying import Webhook

_ACTS = frozenset(
    {
        EventKind.CREATED,
        EventKind.ADOPTED,
        EventKind.DELETED,
        EventKind.STARTED,
        EventKind.COMPLETE,
    }
)


@dataclass(frozen=True, slots=True)
class Telling:
    """Where to tell: a file for metrics, a webhook and the form it wants; ``quiet`` in seconds.

    No resource is told about more often than that. ``secrets`` never leave.
    """

    metrics_file: Path | None = None
    webhook: Webhook | None = None
    webhook_format: str = "json"
    quiet: float = 0.0
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        return bool(self.metrics_file or self.webhook)


class Recorder:
    """What is known of all rounds of a project; told of each when it begins and when it ends."""

    def __init__(
        self,
        place: Place,
        telling: Telling,
        warn: Callable[[str], object],
        *,
        now: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = place
        self._telling = telling
        self._warn = warn
        self._now, self._elapsed = now, elapsed
        self._memory = memory.read(place.root)
        self._levels = Levels()
        self._asked_before = self._memory.totals.requests
        self._asked: Counter[str] = Counter()
        self._asked_at_begin = 0
        self._activity: Counter[EventKind] = Counter()
        self._begun = elapsed()
        self._before: Lock | None = None
        self._plan: Plan | None = None
        self._trouble = ""

    @property
    def totals(self) -> Totals:
        """All rounds so far, and the requests of the one under way."""
        earlier = replace(self._memory.totals, requests=self._asked_before)
        return earlier.asked(dict(self._asked))

    def metrics(self) -> str:
        """Return all metrics as OpenMetrics text; may be asked for by another thread."""
        return openmetrics.text(self.totals, self._levels, __version__)

    def begin(self) -> None:
        """Take note that a round begins."""
        self._begun, self._asked_at_begin = self._elapsed(), self._asked.total()
        self._before, self._plan = self._lock(), None
        self._activity.clear()

    def asked(self, outcome: str) -> None:
        """Count a request to the API by what came of it."""
        self._asked[outcome] += 1

    def planned(self, plan: Plan) -> None:
        """Take note of what is about to be done."""
        self._plan = plan

    def happened(self, event: Event) -> None:
        """Take note of what is being done."""
        if event.kind in _ACTS:
            self._activity[event.kind] += 1

    def ended(self, desired: Desired, result: RunResult) -> Round:
        """Tell of a round that was carried out to its end."""
        plan = self._plan
        assert plan is not None, "what is carried out was planned"  # noqa: S101
        standings = after(desired, plan, result, self._memory.told)
        self._levels = levels(desired, standings, self._lock())
        known = on_record(desired, self._before)
        changes = self._told(standings, known, desired, plan.api_url)
        return self._round(result.exit_code, changes, result=result)

    def failed(self, error: ReconcilerError) -> Round:
        """Tell of a round that an error ended; of one that found another run at work, less."""
        changes: tuple[Transition, ...] = ()
        text = _sentence(error)
        if error.exit_code is not ExitCode.LOCKED:
            state = State.BLOCKED if error.exit_code is ExitCode.BLOCKED else State.FAILED
            changes = self._told({WHOLE_RUN: Standing(state, message=text)}, {}, None, "")
        return self._round(error.exit_code, changes, error=text)

    def _told(
        self,
        standings: Mapping[ResourceId, Standing],
        known: Mapping[ResourceId, State],
        desired: Desired | None,
        api_url: str,
    ) -> tuple[Transition, ...]:
        """Tell what has changed; return it, told or not."""
        now = self._now()
        told = {**{id_: Told(state) for id_, state in known.items()}, **self._memory.told}
        worth = transitions(told, standings, now=now, quiet=self._telling.quiet)
        sent = worth if self._delivered(worth, desired, api_url) else ()
        elsewhere = desired.out_of_scope | desired.drawn_in if desired else told.keys()
        new = remembered(told, standings, sent, now=now, elsewhere=elsewhere)
        self._memory = replace(self._memory, told=new)
        return worth

    def _delivered(
        self, changes: tuple[Transition, ...], desired: Desired | None, api_url: str
    ) -> bool:
        hook = self._telling.webhook
        if not (hook and changes):
            return True
        from reconciler.render import notification
        from reconciler.workflow.watching import notifying

        slack = self._telling.webhook_format == "slack"
        render = notification.as_slack if slack else notification.as_json
        message = render(changes, desired.project if desired else None, api_url)
        trouble = notifying.deliver(hook, message, secrets=self._telling.secrets)
        if trouble:
            self._warn(f"nobody was notified: {trouble}")
        return not trouble

    def _round(
        self,
        code: ExitCode,
        changes: tuple[Transition, ...],
        *,
        result: RunResult | None = None,
        error: str = "",
    ) -> Round:
        ending, at = ending_of(code), self._now()
        seconds = self._elapsed() - self._begun
        requests = self._asked.total() - self._asked_at_begin
        self._memory = replace(self._memory, totals=self.totals.plus(ending, seconds, at))
        self._keep()
        did = dict(self._activity)
        return Round(ending, code, at, seconds, requests, changes, did, result, error)

    def _keep(self) -> None:
        """Bring to disk what others read: the next run, and who collects metrics."""
        root, file = self._place.root, self._telling.metrics_file
        found = [_trouble(root / memory.FILE, lambda: memory.write(root, self._memory))]
        if file:
            found.append(_trouble(file, lambda: replace_file(file, self.metrics())))
        trouble = "; ".join(filter(None, found))
        if trouble and trouble != self._trouble:
            self._warn(trouble)
        self._trouble = trouble

    def _lock(self) -> Lock | None:
        try:
            return Store(self._place.lockfile).read()
        except ReconcilerError:  # told where it matters: by the round itself
            return None


def _trouble(path: Path, write: Callable[[], object]) -> str:
    """Write a file; return nothing, or why that failed."""
    try:
        write()
    except OSError as error:
        return f"cannot write {path}: {error.strerror or error}"
    except ReconcilerError as error:
        return error.message
    return ""


def _sentence(error: ReconcilerError) -> str:
    if isinstance(error, InvalidManifestsError):
        return f"{error.message}: {first_of(error)}"
    return f"{error.message}. {error.hint}" if error.hint else error.message
