"""Live state as one run saw it.

``Absent`` means that the API said so; ``Unreadable`` means that nobody knows. The two are never
the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.model.desired import Stage
    from reconciler.core.model.manifest import JsonObject, ResourceId

NOT_STARTED: Final = "not_started"
COMPLETE: Final = "complete"
FAILED: Final = "failed"
#: Statuses the API documents for a job under way; the official client also waits on ``pending``.
IN_PROGRESS: Final = frozenset({"pending", "running"})


@dataclass(frozen=True, slots=True)
class Absent:
    """The API answered that there is no such thing."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Nobody knows: the API did not answer, or not in a way that makes sense."""

    why: str


#: What stands for the live state of something that no request was made for.
NOT_ASKED: Final = Unreadable("its live state was not asked for")


@dataclass(frozen=True, slots=True)
class LiveRepo:
    """A repo as the API reports it."""

    base_model: str | None


@dataclass(frozen=True, slots=True)
class LivePrompt:
    """A prompt as the API reports it."""

    content: JsonObject


@dataclass(frozen=True, slots=True)
class LiveStage:
    """A job status; None is what the API did not say, ``progress`` runs from 0 to 100."""

    status: str = NOT_STARTED
    lines: int | None = None
    expected: int | None = None
    error: str | None = None
    progress: float | None = None


@dataclass(frozen=True, slots=True)
class LiveTarget:
    """A target as the API reports it; a stage that was not asked for is missing from ``stages``."""

    config: JsonObject
    stages: Mapping[Stage, LiveStage | Unreadable] = field(default_factory=dict)


SeenRepo: TypeAlias = LiveRepo | Absent | Unreadable
SeenPrompt: TypeAlias = LivePrompt | Absent | Unreadable
SeenTarget: TypeAlias = LiveTarget | Absent | Unreadable


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything a run saw, by live address (``ResourceId.name`` is the live name here).

    What is missing from a mapping was not asked for. It counts as absent where the listing of its
    repo does not name it, and as unreadable otherwise.
    """

    repos: Mapping[str, SeenRepo] = field(default_factory=dict)
    prompts: Mapping[ResourceId, SeenPrompt] = field(default_factory=dict)
    targets: Mapping[ResourceId, SeenTarget] = field(default_factory=dict)
    prompt_names: Mapping[str, frozenset[str] | Unreadable] = field(default_factory=dict)
    target_names: Mapping[str, frozenset[str] | Unreadable] = field(default_factory=dict)

    def prompt(self, id_: ResourceId) -> SeenPrompt:
        """Return what is known of the prompt at a live address."""
        return self.prompts.get(id_) or self._by_listing(id_, self.prompt_names)

    def target(self, id_: ResourceId) -> SeenTarget:
        """Return what is known of the target at a live address."""
        return self.targets.get(id_) or self._by_listing(id_, self.target_names)

    def _by_listing(
        self, id_: ResourceId, listings: Mapping[str, frozenset[str] | Unreadable]
    ) -> Absent | Unreadable:
        repo = self.repos.get(id_.repo, NOT_ASKED)
        if not isinstance(repo, LiveRepo):
            return repo
        listing = listings.get(id_.repo, NOT_ASKED)
        if isinstance(listing, Unreadable):
            return listing
        return NOT_ASKED if id_.name in listing else Absent()
