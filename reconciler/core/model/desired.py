"""What the manifests declare: defaults merged, references resolved as far as can be offline."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.core.equality.normalize import DEFAULT_TEMPLATE
from reconciler.core.model.manifest import Kind, Origin, ResourceId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.equality.canonical import Digest
    from reconciler.core.model.manifest import JsonObject
    from reconciler.core.selection.scope import Scope


class Stage(StrEnum):
    """The two jobs of a target, in the order they run."""

    STIM = "stim"
    ROLLOUT = "rollout"


class OnChange(StrEnum):
    """What to do when a declared field differs from the immutable live one."""

    FAIL = "fail"
    REVISE = "revise"
    REPLACE = "replace"


class OnShortfall(StrEnum):
    """What to do when a stage is complete with fewer lines than wanted."""

    FAIL = "fail"
    ACCEPT = "accept"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the reconciler may do to a target to make it as declared."""

    on_change: OnChange = OnChange.FAIL
    on_shortfall: OnShortfall = OnShortfall.FAIL
    retries: int = 1
    prevent_destroy: bool = True


@dataclass(frozen=True, slots=True)
class DesiredStage:
    """A stage as wanted.

    ``timeout`` is in seconds. ``reach`` is the number of lines that the declared generators yield
    when all goes well, or None where the declaration does not tell.
    """

    wanted: bool
    min_lines: int
    timeout: float
    reach: int | None


@dataclass(frozen=True, slots=True)
class DesiredRepo:
    """A declared repo; ``base_model`` None accepts whatever is there."""

    name: str
    base_model: str | None
    source: Origin | None = None

    @property
    def id(self) -> ResourceId:
        """The address of this repo."""
        return ResourceId(Kind.REPO, self.name)


@dataclass(frozen=True, slots=True)
class DesiredPrompt:
    """A declared prompt: ``messages`` and perhaps ``tools``; its digest covers both."""

    id: ResourceId
    content: JsonObject
    lazy_digest: Digest
    on_change: OnChange = OnChange.FAIL
    source: Origin | None = None

    @property
    def repo(self) -> str:
        """The name of its repo."""
        return self.id.repo

    @property
    def name(self) -> str:
        """Its declared name."""
        return self.id.name

    @property
    def digest(self) -> str:
        """The digest of its content."""
        return str(self.lazy_digest)


@dataclass(frozen=True, slots=True)
class DesiredTarget:
    """A declared target.

    ``overrides`` is what its own manifest (and the project's defaults) say; ``config`` is that
    merged over the configs of those templates that are declared too, so it holds every declared
    field. Its digest covers ``config`` and the content of every declared prompt it names.
    """

    id: ResourceId
    template: str
    overrides: JsonObject
    config: JsonObject
    lazy_digest: Digest
    stim: DesiredStage
    rollout: DesiredStage
    policy: Policy = field(default_factory=Policy)
    labels: Mapping[str, str] = field(default_factory=dict)
    source: Origin | None = None

    @property
    def repo(self) -> str:
        """The name of its repo."""
        return self.id.repo

    @property
    def name(self) -> str:
        """Its declared name."""
        return self.id.name

    @property
    def parent(self) -> ResourceId | None:
        """The address of its template, unless that is the built-in default."""
        return template_id(self.repo, self.template)

    @property
    def digest(self) -> str:
        """The digest of all that decides its data, as far as it is declared."""
        return str(self.lazy_digest)

    def stage(self, stage: Stage) -> DesiredStage:
        """Return what is wanted of one stage."""
        return self.stim if stage is Stage.STIM else self.rollout


def template_id(repo: str, template: str) -> ResourceId | None:
    """Return the address of a template, unless that is the built-in default."""
    return None if template == DEFAULT_TEMPLATE else ResourceId(Kind.TARGET, repo, template)


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything declared. ``targets`` is ordered so that a template comes before what uses it.

    ``limited_by`` is what people call the limit in ``max_new_trajectories``.
    ``out_of_scope`` are the addresses of what is declared too, but was not selected for this run;
    ``drawn_in`` those that were not selected either, but are needed by what was. With a ``scope``,
    the run is about that part alone, also of what is no longer declared.
    """

    repos: Mapping[ResourceId, DesiredRepo]
    prompts: Mapping[ResourceId, DesiredPrompt]
    targets: Mapping[ResourceId, DesiredTarget]
    project: str | None = None
    api_url: str | None = None
    max_new_trajectories: int | None = None
    limited_by: str = "budget.max_new_trajectories"
    out_of_scope: frozenset[ResourceId] = frozenset()
    drawn_in: frozenset[ResourceId] = frozenset()
    scope: Scope | None = None

    def ids(self) -> frozenset[ResourceId]:
        """Return the address of everything declared and in scope."""
        return frozenset({*self.repos, *self.prompts, *self.targets})

    def digests(self) -> dict[ResourceId, str]:
        """Return the digest of everything declared that has one, which repos have not."""
        prompts = {id_: prompt.digest for id_, prompt in self.prompts.items()}
        return prompts | {id_: target.digest for id_, target in self.targets.items()}
