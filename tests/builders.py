"""Short builders of what the tests speak of: manifests, what they declare, live state, lockfiles.

Live state is written as plain data, ``{repo: {base_model, prompts, targets}}``, in the shapes of
the API. ``UNREADABLE`` may stand for any part of it.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from reconciler.core.declare import build
from reconciler.core.equality.canonical import revision_name
from reconciler.core.model.desired import Stage
from reconciler.core.model.manifest import Document, Kind, ResourceId
from reconciler.core.model.observed import (
    COMPLETE,
    Absent,
    LivePrompt,
    LiveRepo,
    LiveStage,
    LiveTarget,
    Observed,
    Unreadable,
)
from reconciler.core.model.plan import CREATES, Verb
from reconciler.core.planning import compute_plan
from reconciler.core.planning.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.core.model.desired import Desired, DesiredTarget
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.manifest import Problem
    from reconciler.core.model.plan import Action, Plan

API_URL = "https://api.example"
MODEL = "Qwen/Qwen3-32B"
UNREADABLE = "unreadable"
NO_ANSWER = "the API does not answer"

Manifest = dict[str, Any]
Live = dict[str, Any]


def project(**spec: Any) -> Manifest:
    return _manifest("Project", {"name": "docs"}, spec=spec)


def repo(name: str = "coding", **spec: Any) -> Manifest:
    return _manifest("Repo", {"name": name}, spec=spec)


def prompt(
    name: str = "expert", content: str = "Be exact.", *, repo: str = "coding", **policy: Any
) -> Manifest:
    spec = {"messages": [{"role": "system", "content": content}]}
    return _manifest("Prompt", {"repo": repo, "name": name}, spec=spec, policy=policy)


def target(
    name: str = "t",
    *,
    repo: str = "coding",
    spec: Manifest | None = None,
    desired: Manifest | None = None,
    policy: Manifest | None = None,
    **more: Any,
) -> Manifest:
    """Return a target with two questions, or with exactly ``spec``; ``more`` goes on top of it."""
    whole = {**(SPEC if spec is None else spec), **more}
    metadata = {"repo": repo, "name": name}
    return _manifest("Target", metadata, spec=whole, desired=desired, policy=policy)


#: A target config that can be run: two questions, one trajectory each.
SPEC: Manifest = {
    "teacher_prompt": "expert",
    "generators": [{"type": "hardcoded", "questions": ["Why?", "How?"]}],
}


def read(manifests: Iterable[Manifest]) -> tuple[Desired, tuple[Problem, ...]]:
    """Return what manifests declare, each in a file of its own, and what is wrong with them."""
    documents = [
        Document(f"{number}.yaml", 0, Kind(value["kind"]), value)
        for number, value in enumerate(manifests)
    ]
    return build(documents)


def declare(*manifests: Manifest) -> Desired:
    """Return what good manifests declare."""
    desired, problems = read(manifests)
    assert not problems
    return desired


def messages(manifests: Iterable[Manifest]) -> list[str]:
    """Return the sentences about everything wrong with manifests."""
    return [problem.message for problem in read(manifests)[1]]


def digests(desired: Desired) -> dict[ResourceId, str]:
    """Return the digest of every declared prompt and target."""
    prompts = {id_: prompt.digest for id_, prompt in desired.prompts.items()}
    return prompts | {id_: target.digest for id_, target in desired.targets.items()}


def repo_id(name: str = "coding") -> ResourceId:
    return ResourceId(Kind.REPO, name)


def prompt_id(name: str = "expert", repo: str = "coding") -> ResourceId:
    return ResourceId(Kind.PROMPT, repo, name)


def target_id(name: str = "t", repo: str = "coding") -> ResourceId:
    return ResourceId(Kind.TARGET, repo, name)


def live_repo(prompts: Live | None = None, targets: Live | None = None) -> Live:
    """Return a repo, by default with the prompt ``expert`` and no target."""
    expert = {"messages": [{"role": "system", "content": "Be exact."}]}
    known = {"expert": expert} if prompts is None else prompts
    return {"base_model": MODEL, "prompts": known, "targets": targets or {}}


def look(live: Live, desired: Desired, lock: Lock | None = None) -> Observed:
    """Return what an observer sees of some live state: every name that a plan may ask about."""
    repos = {id_.repo for id_ in (*desired.ids(), *(lock.ids() if lock else ()))}
    return Observed(
        repos={name: _repo(live.get(name)) for name in repos},
        prompts={id_: _seen(live, id_, "prompts") for id_ in _prompt_names(desired)},
        targets={id_: _seen(live, id_, "targets") for id_ in _target_names(desired, lock)},
        prompt_names=_listings(live, "prompts"),
        target_names=_listings(live, "targets"),
    )


def planned(desired: Desired, live: Live, lock: Lock | None = None, *, prune: bool = False) -> Plan:
    """Return the plan for some live state."""
    return compute_plan(desired, look(live, desired, lock), lock, api_url=API_URL, prune=prune)


def recorded(desired: Desired, live: Live, lock: Lock | None = None) -> Lock:
    """Return the lockfile that some live state leads to."""
    return record(desired, look(live, desired, lock), lock, api_url=API_URL)


def settled(desired: Desired, live: Live, lock: Lock | None = None) -> Live:
    """Return the live state in which a plan results when all goes well."""
    after = copy.deepcopy(live)
    plan = planned(desired, live, lock)
    for action in plan.actions:
        _carry_out(action, desired, plan.live_names, after)
    return after


def _carry_out(
    action: Action, desired: Desired, live_names: Mapping[ResourceId, str], live: Live
) -> None:
    id_ = action.resource
    if action.verb in {Verb.RUN, Verb.WAIT}:
        item, count = live[id_.repo]["targets"][action.live_name], action.expected or 0
        lines = max(count, action.wanted or 0)
        item[str(action.stage)] = {"status": "complete", "lines": lines, "total_expected": lines}
    elif action.verb is Verb.DELETE:
        del live[id_.repo]["targets"][action.live_name]
    elif action.verb in CREATES and id_.kind is Kind.REPO:
        live[id_.repo] = {"base_model": MODEL, "prompts": {}, "targets": {}}
    elif action.verb in CREATES and id_.kind is Kind.PROMPT:
        live[id_.repo]["prompts"][action.live_name] = dict(desired.prompts[id_].content)
    elif action.verb in CREATES:
        config = _merged_config(desired.targets[id_], live_names, live)
        live[id_.repo]["targets"][action.live_name] = {"config": config}


def _merged_config(
    target: DesiredTarget, live_names: Mapping[ResourceId, str], live: Live
) -> Manifest:
    """Return what the API makes of a template and the overrides of a target."""
    if target.template == "default":
        config = {"model_name": MODEL, "temperature": 1.0, "num_traj_per_stimulus": 1}
    else:
        template = live_names.get(target_id(target.template, target.repo), target.template)
        config = live[target.repo]["targets"][template]["config"]
    merged = {**config, **target.overrides}
    for field in {"teacher_prompt", "student_prompt"} & target.overrides.keys():
        name = target.overrides[field]
        merged[field] = live_names.get(prompt_id(name, target.repo), name)
    shown = [_shown(generator) for generator in merged.get("generators", [])]
    return {**merged, "generators": shown} if shown else merged


def _shown(generator: Manifest) -> Manifest:
    """Return a generator as the API shows it: with a default of its own, without the template."""
    kept = {key: value for key, value in generator.items() if key != "template_content"}
    return {"rollout_with_conditioned": False, **kept}


def _manifest(kind: str, metadata: Manifest, **blocks: Any) -> Manifest:
    given = {key: block for key, block in blocks.items() if block}
    return {"apiVersion": "reconciler/v1", "kind": kind, "metadata": metadata, **given}


def _prompt_names(desired: Desired) -> Iterable[ResourceId]:
    for prompt in desired.prompts.values():
        for name in (prompt.name, revision_name(prompt.name, prompt.digest)):
            yield prompt_id(name, prompt.repo)


def _target_names(desired: Desired, lock: Lock | None) -> Iterable[ResourceId]:
    for target in desired.targets.values():
        for name in (target.name, revision_name(target.name, target.digest)):
            yield target_id(name, target.repo)
    for id_, entry in lock.targets.items() if lock else ():
        yield target_id(entry.live_name, id_.repo)


def _repo(held: Any) -> LiveRepo | Absent | Unreadable:
    if held is None:
        return Absent()
    return Unreadable(NO_ANSWER) if held == UNREADABLE else LiveRepo(held.get("base_model"))


def _seen(live: Live, id_: ResourceId, part: str) -> Any:
    repo = live.get(id_.repo)
    if repo is None:
        return Absent()
    held = repo if repo == UNREADABLE else repo.get(part, {})
    item = held if held == UNREADABLE else held.get(id_.name)
    if item is None:
        return Absent()
    if item == UNREADABLE:
        return Unreadable(NO_ANSWER)
    return LivePrompt(item) if part == "prompts" else LiveTarget(item["config"], _stages(item))


def _stages(item: Live) -> dict[Stage, LiveStage | Unreadable]:
    """Return the stages as they are asked for: the rollout only where the stim is complete."""
    stim = _stage(item.get("stim", {}))
    asked = {Stage.STIM: stim}
    if isinstance(stim, LiveStage) and stim.status == COMPLETE:
        asked[Stage.ROLLOUT] = _stage(item.get("rollout", {}))
    return asked


def _stage(body: Any) -> LiveStage | Unreadable:
    if body == UNREADABLE:
        return Unreadable(NO_ANSWER)
    return LiveStage(
        body.get("status", "not_started"),
        body.get("lines"),
        body.get("total_expected"),
        body.get("error"),
    )


def _listings(live: Live, part: str) -> Mapping[str, frozenset[str] | Unreadable]:
    held = {name: repo.get(part, {}) for name, repo in live.items() if repo != UNREADABLE}
    return {
        name: Unreadable(NO_ANSWER) if names == UNREADABLE else frozenset(names)
        for name, names in held.items()
    }
