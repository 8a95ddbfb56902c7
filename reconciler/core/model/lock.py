"""The lockfile as a value: what earlier runs observed. Reading and writing it happen elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.model.desired import Stage
    from reconciler.core.model.manifest import ResourceId


@dataclass(frozen=True, slots=True)
class LockedStage:
    """A stage as last observed.

    ``attempts`` counts the runs of a stage that has failed (0 while it never did); ``output`` is
    the digest of what ``pull`` downloaded.
    """

    status: str
    lines: int
    expected: int | None = None
    attempts: int = 0
    error: str | None = None
    output: str | None = None


@dataclass(frozen=True, slots=True)
class LockedRepo:
    """A repo as last observed."""

    base_model: str | None


@dataclass(frozen=True, slots=True)
class LockedPrompt:
    """A prompt as last observed: the digest of its content, and the name it bears live."""

    digest: str
    live_name: str


@dataclass(frozen=True, slots=True)
class LockedTarget:
    """A target as last observed."""

    digest: str
    live_name: str
    prevent_destroy: bool = True
    stages: Mapping[Stage, LockedStage] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lock:
    """A whole lockfile, by declared address."""

    api_url: str
    repos: Mapping[ResourceId, LockedRepo] = field(default_factory=dict)
    prompts: Mapping[ResourceId, LockedPrompt] = field(default_factory=dict)
    targets: Mapping[ResourceId, LockedTarget] = field(default_factory=dict)

    @property
    def has_outputs(self) -> bool:
        """Whether the digest of any output is recorded."""
        entries = (entry for target in self.targets.values() for entry in target.stages.values())
        return any(entry.output for entry in entries)

    def ids(self) -> frozenset[ResourceId]:
        """Return the address of everything recorded."""
        return frozenset({*self.repos, *self.prompts, *self.targets})

    def digests(self) -> dict[ResourceId, str]:
        """Return the digest of everything recorded that has one, which repos have not."""
        prompts = {id_: prompt.digest for id_, prompt in self.prompts.items()}
        return prompts | {id_: target.digest for id_, target in self.targets.items()}
