"""What to do about repos, prompts and targets themselves, in dependency order.

Stages are another module's matter; so is whether anything destructive is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.core.equality import diff, normalize
from reconciler.core.equality.canonical import revision_name
from reconciler.core.model.desired import OnChange, Stage
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.observed import NOT_ASKED, Absent, LiveStage, LiveTarget, Unreadable
from reconciler.core.model.plan import Action, FieldDiff, Reason, Unknown, Verb
from reconciler.core.names import Comparisons
from reconciler.core.planning.resolve import Match, Resolution, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.model.desired import Desired, DesiredPrompt, DesiredRepo, DesiredTarget
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.observed import Observed


@dataclass(slots=True)
class Decisions:
    """What has been decided so far: an action or an unknown for every resource looked at."""

    desired: Desired
    observed: Observed
    lock: Lock | None
    actions: dict[ResourceId, Action] = field(default_factory=dict)
    unknown: dict[ResourceId, Unknown] = field(default_factory=dict)
    live_names: dict[ResourceId, str] = field(default_factory=dict)
    _suggestions: dict[ResourceId, str] = field(default_factory=dict)
    _comparisons: Comparisons = field(default_factory=Comparisons)

    def settle(self, id_: ResourceId, decided: Action | Unknown) -> None:
        """Keep what was decided about a resource, for those that depend on it."""
        if isinstance(decided, Unknown):
            self.unknown[id_] = decided
            return
        self.actions[id_] = decided
        if decided.live_name:
            self.live_names[id_] = decided.live_name

    def trouble(self, id_: ResourceId) -> Action | Unknown | None:
        """Return what keeps others from relying on a resource, if anything does."""
        action = self.actions.get(id_)
        return action if action and action.verb is Verb.BLOCKED else self.unknown.get(id_)

    def suggestion(self, id_: ResourceId, names: frozenset[str]) -> str:
        """Return the ending of a sentence about something that is not among these names."""
        if id_ not in self._suggestions:
            self._suggestions[id_] = self._comparisons.suggest(id_.name, names)
        return self._suggestions[id_]


def decide_all(desired: Desired, observed: Observed, lock: Lock | None) -> Decisions:
    """Decide about every declared resource: repos, then prompts, then targets."""
    decisions = Decisions(desired, observed, lock)
    for repo in desired.repos.values():
        decisions.settle(repo.id, _repo(repo, decisions))
    for prompt in desired.prompts.values():
        decisions.settle(prompt.id, _prompt(prompt, decisions))
    for target in desired.targets.values():
        decisions.settle(target.id, _target(target, decisions))
    return decisions


def resolved(
    config: Mapping[str, object], repo: str, live_names: Mapping[ResourceId, str]
) -> dict[str, object]:
    """Return a declared config with the live names of the prompts it names."""
    known = dict(config)
    for name in normalize.PROMPT_FIELDS:
        prompt = ResourceId(Kind.PROMPT, repo, str(known.get(name, "")))
        if prompt in live_names:
            known[name] = live_names[prompt]
    return known


def _repo(repo: DesiredRepo, decisions: Decisions) -> Action | Unknown:
    seen = decisions.observed.repos.get(repo.name, NOT_ASKED)
    if isinstance(seen, Unreadable):
        return Unknown(repo.id, seen.why)
    if isinstance(seen, Absent):
        return Action(Verb.CREATE, repo.id, Reason.MISSING, live_name=repo.name)
    if repo.base_model and seen.base_model and repo.base_model != seen.base_model:
        change = FieldDiff("base_model", seen.base_model, repo.base_model)
        return Action(Verb.BLOCKED, repo.id, Reason.BASE_MODEL_CHANGED, diff=(change,))
    known = decisions.lock is not None and repo.id in decisions.lock.repos
    return _kept(repo.id, repo.name, known=known)


def _kept(id_: ResourceId, live_name: str, *, known: bool) -> Action:
    if known:
        return Action(Verb.UNCHANGED, id_, Reason.CONVERGED, live_name=live_name)
    return Action(Verb.ADOPT, id_, Reason.NOT_IN_LOCKFILE, live_name=live_name)


def _prompt(prompt: DesiredPrompt, decisions: Decisions) -> Action | Unknown:
    hindrance = _hindered_by_repo(prompt.id, decisions)
    if hindrance:
        return hindrance

    found = resolve(
        prompt,
        decisions.observed.prompt,
        lambda live: diff.prompt_diff(prompt.content, live.content),
    )
    locked = decisions.lock.prompts.get(prompt.id) if decisions.lock else None
    if found.match is Match.EQUAL:
        known = locked is not None and locked.live_name == found.live_name
        return _kept(prompt.id, found.live_name, known=known)
    return _changed(prompt, prompt.on_change, found, Reason.CONTENT_CHANGED)


def _target(target: DesiredTarget, decisions: Decisions) -> Action | Unknown:
    hindrance = _hindered_by_repo(target.id, decisions) or _hindered_by_prompt(target, decisions)
    if hindrance:
        return hindrance

    config = resolved(target.config, target.repo, decisions.live_names)
    look = decisions.observed.target
    found = resolve(target, look, lambda live: diff.target_diff(config, live.config))
    locked = decisions.lock.targets.get(target.id) if decisions.lock else None
    if found.match is Match.EQUAL:
        known = locked is not None and locked.live_name == found.live_name
        return _kept(target.id, found.live_name, known=known)
    change = _changed(target, target.policy.on_change, found, Reason.CONFIG_CHANGED)
    if isinstance(change, Unknown) or change.verb is Verb.BLOCKED:
        return change
    if change.verb is Verb.REPLACE and _was_left_out(target, decisions.desired):
        return replace(change, verb=Verb.BLOCKED, reason=Reason.NOT_SELECTED)
    return _hindered_by_template(target, decisions) or _with_data(change, target, look(target.id))


def _was_left_out(target: DesiredTarget, desired: Desired) -> bool:
    """Tell whether somebody chose targets, and not this one: then nothing of it may be lost.

    In a shard, what is drawn in was chosen as well: for another shard.
    """
    scope = desired.scope
    return scope is not None and scope.selects and target.id in desired.drawn_in


def _changed(
    resource: DesiredPrompt | DesiredTarget, on_change: OnChange, found: Resolution, reason: Reason
) -> Action | Unknown:
    id_ = resource.id
    if found.match is Match.UNKNOWN:
        return Unknown(id_, found.why)
    if found.match is Match.MISSING:
        return Action(Verb.CREATE, id_, Reason.MISSING, live_name=found.live_name)
    if on_change is OnChange.REPLACE:
        return Action(Verb.REPLACE, id_, reason, live_name=id_.name, diff=found.diff)
    if on_change is OnChange.REVISE:
        live_name = revision_name(id_.name, resource.digest)
        if found.taken:
            text = f"{live_name}, the name of its revision, is taken by something that differs too"
            return Action(
                Verb.BLOCKED, id_, reason, live_name=live_name, diff=found.taken, message=text
            )
        return Action(Verb.REVISE, id_, reason, live_name=live_name, diff=found.diff)
    return Action(Verb.BLOCKED, id_, reason, live_name=found.live_name, diff=found.diff)


def _with_data(
    change: Action, target: DesiredTarget, seen: LiveTarget | Absent | Unreadable
) -> Action | Unknown:
    """Say which data an action would lose or leave behind; protected data is not lost."""
    if not isinstance(seen, LiveTarget) or change.verb not in {Verb.REVISE, Verb.REPLACE}:
        return change
    protected = change.verb is Verb.REPLACE and target.policy.prevent_destroy
    if protected:
        change = replace(change, verb=Verb.BLOCKED, reason=Reason.PREVENT_DESTROY)
    elif change.destructive and unreadable_stage(seen):
        return Unknown(target.id, unreadable_stage(seen))
    if change.verb is not Verb.REVISE:
        return replace(change, message=describe_loss(target.name, seen))
    data = describe_data(seen)
    left = f"leaves {target.name} behind"
    return replace(change, message=f"{left}, with {data}" if data else left)


def unreadable_stage(live: LiveTarget) -> str:
    """Return why nobody knows which data a live target holds; nothing where that is known."""
    stages = ((stage, live.stages.get(stage)) for stage in Stage)
    return next((f"{s}: {seen.why}" for s, seen in stages if isinstance(seen, Unreadable)), "")


def describe_loss(live_name: str, live: LiveTarget) -> str:
    """Return what goes with a live target when it is deleted, in words."""
    data = describe_data(live)
    lost = f"{live_name} would be deleted"
    return f"{lost}, with {data}" if data else lost


def describe_data(live: LiveTarget) -> str:
    """Return how many lines a live target holds, in words; empty where it holds none."""
    counts = ((stage, live.stages.get(stage)) for stage in Stage)
    parts = [
        f"{seen.lines:,} {stage} lines"
        for stage, seen in counts
        if isinstance(seen, LiveStage) and seen.lines
    ]
    return " and ".join(parts)


def _hindered_by_repo(id_: ResourceId, decisions: Decisions) -> Action | Unknown | None:
    repo = ResourceId(Kind.REPO, id_.repo)
    trouble = decisions.trouble(repo)
    if trouble:
        return _pass_on(id_, trouble)
    seen = decisions.observed.repos.get(id_.repo, NOT_ASKED)
    if repo in decisions.desired.repos:
        return None
    if isinstance(seen, Unreadable):
        return Unknown(id_, seen.why)
    if isinstance(seen, Absent):
        text = f'repo "{id_.repo}" is neither declared nor live'
        return Action(Verb.BLOCKED, id_, Reason.REFERENCE_MISSING, message=text)
    return None


def _hindered_by_prompt(target: DesiredTarget, decisions: Decisions) -> Action | Unknown | None:
    for name in filter(None, map(target.config.get, normalize.PROMPT_FIELDS)):
        prompt = ResourceId(Kind.PROMPT, target.repo, name)
        hindrance = _hindered_by(prompt, target.id, decisions)
        if hindrance:
            return hindrance
    return None


def _hindered_by_template(target: DesiredTarget, decisions: Decisions) -> Action | Unknown | None:
    return _hindered_by(target.parent, target.id, decisions) if target.parent else None


def _hindered_by(
    id_: ResourceId, user: ResourceId, decisions: Decisions
) -> Action | Unknown | None:
    """Return what becomes of a resource because of another one that it names, if anything does."""
    desired = decisions.desired
    if id_ not in desired.prompts and id_ not in desired.targets:
        return _unless_live(user, id_, decisions)
    trouble = decisions.trouble(id_)
    return _pass_on(user, trouble) if trouble else None


def _unless_live(
    user: ResourceId, id_: ResourceId, decisions: Decisions
) -> Action | Unknown | None:
    """Return what is wrong with a reference to something that is not declared."""
    observed, prompt = decisions.observed, id_.kind is Kind.PROMPT
    listed = observed.prompt_names if prompt else observed.target_names
    absent_repo = isinstance(observed.repos.get(id_.repo), Absent)
    names = listed.get(id_.repo, frozenset[str]() if absent_repo else NOT_ASKED)
    if isinstance(names, Unreadable):
        return Unknown(user, names.why)
    if id_.name in names:
        return None
    hint = decisions.suggestion(id_, names)
    text = f'{id_.kind.lower()} "{id_.name}" is neither declared nor live{hint}'
    return Action(Verb.BLOCKED, user, Reason.REFERENCE_MISSING, message=text)


def _pass_on(id_: ResourceId, trouble: Action | Unknown) -> Action | Unknown:
    if isinstance(trouble, Unknown):
        return Unknown(id_, trouble.why)
    if trouble.resource == id_:
        return trouble
    return blocked_by(trouble, id_)


def blocked_by(trouble: Action, id_: ResourceId) -> Action:
    """Return the action for a resource that relies on a blocked one."""
    text = f"{trouble.kind.lower()} {trouble.resource} is blocked"
    return Action(Verb.BLOCKED, id_, Reason.DEPENDENCY_BLOCKED, message=text)
