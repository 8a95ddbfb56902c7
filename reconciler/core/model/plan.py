"""A plan: a sorted list of typed actions with their reasons. Plain data; nothing here acts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.core.errors import ExitCode, worst

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.equality.canonical import Digest
    from reconciler.core.model.desired import Stage
    from reconciler.core.model.manifest import JsonValue, Kind, ResourceId


class Verb(StrEnum):
    """What is to happen to a resource or a stage."""

    CREATE = "create"
    ADOPT = "adopt"
    REVISE = "revise"
    REPLACE = "replace"
    DELETE = "delete"
    RUN = "run"
    WAIT = "wait"
    BLOCKED = "blocked"
    UNCHANGED = "unchanged"


#: Verbs that make a new live resource.
CREATES = frozenset({Verb.CREATE, Verb.REVISE, Verb.REPLACE})
#: Verbs after which live state satisfies the manifest as it is.
SETTLED = frozenset({Verb.UNCHANGED, Verb.ADOPT})


class Reason(StrEnum):
    """Why; scripts may match on these."""

    MISSING = "missing"
    NOT_IN_LOCKFILE = "not_in_lockfile"
    CONFIG_CHANGED = "config_changed"
    CONTENT_CHANGED = "content_changed"
    BASE_MODEL_CHANGED = "base_model_changed"
    NOT_STARTED = "not_started"
    AFTER_STIM = "after_stim"
    IN_PROGRESS = "in_progress"
    UNKNOWN_STATUS = "unknown_status"
    FAILED = "failed"
    RETRIES_EXHAUSTED = "retries_exhausted"
    SHORTFALL = "shortfall"
    SHORTFALL_ACCEPTED = "shortfall_accepted"
    ORPHAN = "orphan"
    DESTROY = "destroy"
    PREVENT_DESTROY = "prevent_destroy"
    DESTROY_NOT_ALLOWED = "destroy_not_allowed"
    TOO_MANY_DELETIONS = "too_many_deletions"
    NOT_SELECTED = "not_selected"
    DEPENDENCY_BLOCKED = "dependency_blocked"
    REFERENCE_MISSING = "reference_missing"
    BUDGET_EXCEEDED = "budget_exceeded"
    CONVERGED = "converged"


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """One field that differs: ``old`` is live, ``new`` declared; None means absent."""

    path: str
    old: JsonValue
    new: JsonValue


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do (or not to do), for a resource or for one of its stages.

    ``lines`` (live), ``wanted`` (``min_lines``) and ``expected`` (what the generators yield) are
    quantities of a stage, where they are known. ``message`` holds what a reason cannot: the
    service's own sentence, or what would be lost.
    """

    verb: Verb
    resource: ResourceId
    reason: Reason
    stage: Stage | None = None
    live_name: str = ""
    diff: tuple[FieldDiff, ...] = ()
    lines: int | None = None
    wanted: int | None = None
    expected: int | None = None
    message: str = ""

    @property
    def destructive(self) -> bool:
        """Whether live data would be deleted."""
        return self.verb in {Verb.REPLACE, Verb.DELETE}

    @property
    def kind(self) -> Kind:
        """The kind of the resource."""
        return self.resource.kind


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the runs of a plan would newly produce; tokens are None without an upper bound."""

    stim_lines: int = 0
    trajectories: int = 0
    max_output_tokens: int | None = 0

    def __add__(self, other: Estimate) -> Estimate:
        bounds = (self.max_output_tokens, other.max_output_tokens)
        known = [bound for bound in bounds if bound is not None]
        return Estimate(
            self.stim_lines + other.stim_lines,
            self.trajectories + other.trajectories,
            sum(known) if len(known) == len(bounds) else None,
        )


@dataclass(frozen=True, slots=True)
class Unknown:
    """A resource whose live state could not be read, so that nothing is planned for it."""

    resource: ResourceId
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What would have to happen for live state to satisfy the manifests, in the order of execution.

    ``actions`` is complete: resources with nothing to do stand in it as ``unchanged``.
    ``accepted_shortfalls`` are stages that policy takes as they are, with fewer lines than wanted.
    ``live_names`` gives the name that each declared resource has, or will have, live; ``declared``
    is a digest of the manifests in scope; ``drawn_in`` was not selected, but is needed. An
    ``offline`` plan compared the manifests with the lockfile alone; a ``destruction`` deletes what
    is declared.
    """

    api_url: str
    actions: tuple[Action, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    orphans: tuple[ResourceId, ...] = ()
    accepted_shortfalls: tuple[Action, ...] = ()
    estimate: Estimate = field(default_factory=Estimate)
    estimates: Mapping[ResourceId, Estimate] = field(default_factory=dict)
    live_names: Mapping[ResourceId, str] = field(default_factory=dict)
    declared: Digest | None = None
    drawn_in: frozenset[ResourceId] = frozenset()
    offline: bool = False
    destruction: bool = False

    @property
    def changes(self) -> tuple[Action, ...]:
        """Every action but the no-ops."""
        return tuple(a for a in self.actions if a.verb is not Verb.UNCHANGED)

    @property
    def pending(self) -> tuple[Action, ...]:
        """The actions that would change live state, or wait for it to change."""
        return tuple(a for a in self.changes if a.verb not in {Verb.ADOPT, Verb.BLOCKED})

    @property
    def blocked(self) -> tuple[Action, ...]:
        """The actions that need a person."""
        return tuple(a for a in self.actions if a.verb is Verb.BLOCKED)

    @property
    def converged(self) -> bool:
        """Whether live state satisfies every manifest."""
        return not (self.pending or self.blocked or self.unknown)

    @property
    def exit_code(self) -> ExitCode:
        """The detailed exit code: 1 unreadable, 3 blocked, 2 pending, 0 converged."""
        return worst(
            code
            for code, present in (
                (ExitCode.ERROR, self.unknown),
                (ExitCode.BLOCKED, self.blocked),
                (ExitCode.PENDING, self.pending),
            )
            if present
        )

    def count(self, verb: Verb) -> int:
        """Return how many actions have this verb."""
        return sum(a.verb is verb for a in self.actions)
