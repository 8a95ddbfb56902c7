"""Live state as documents: everything there is in some repos, and what is wanted of it.

Wanted is what is complete, with as many lines as there are, so that a plan has nothing to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.core.equality import normalize
from reconciler.core.model.desired import Stage
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.observed import (
    COMPLETE,
    LivePrompt,
    LiveRepo,
    LiveStage,
    LiveTarget,
    Observed,
)
from reconciler.core.quantities import rollout_reach, stim_reach
from reconciler.workflow.importing.drafts import Draft, document, unknown_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
#: Keys that a manifest knows and the API does not: there they would mean nothing.
_OF_MANIFESTS = ("questions_file", "template_file")
_OF_TEMPLATES = ("template", "u", "v")


def drafts(observed: Observed) -> Iterator[Draft]:
    """Return a document for everything observed, in order of repos, prompts and targets."""
    for name, repo in sorted(observed.repos.items()):
        if isinstance(repo, LiveRepo):
            yield _repo(name, repo)
    for id_, prompt in sorted(observed.prompts.items()):
        if isinstance(prompt, LivePrompt):
            yield Draft(
                id_, document(Kind.PROMPT, _metadata(id_), spec=prompt_spec(prompt.content))
            )
    for id_, target in sorted(observed.targets.items()):
        if isinstance(target, LiveTarget):
            yield _target(id_, target, observed)


def _metadata(id_: ResourceId) -> Json:
    return {"repo": id_.repo, "name": id_.name}


def _repo(name: str, repo: LiveRepo) -> Draft:
    spec = {} if repo.base_model is None else {"base_model": repo.base_model}
    id_ = ResourceId(Kind.REPO, name)
    return Draft(id_, document(Kind.REPO, {"name": name}, spec=spec))


def prompt_spec(content: Any) -> Json:
    """Return the spec of a prompt; raises nothing, whatever the content is."""
    return normalize.prompt_content(content)


def _target(id_: ResourceId, live: LiveTarget, observed: Observed) -> Draft:
    config, remarks = declarable(normalize.target_config(live.config))
    spec = normalize.without_target_defaults(config)
    repo = observed.repos.get(id_.repo)
    if isinstance(repo, LiveRepo) and spec.get("model_name") == repo.base_model:
        spec.pop("model_name", None)  # as the template "default" has it
    desired, untold = _desired(config, live)
    value = document(Kind.TARGET, _metadata(id_), spec=spec, desired=desired)
    return Draft(id_, value, (*remarks, *untold))


def declarable(config: Json) -> tuple[Json, list[str]]:
    """Return what a manifest can say of a target config, and a remark for what it cannot."""
    foreign = list(unknown_keys(config, "targetSpec", but=_OF_TEMPLATES))
    remarks = [f"{key} is no field that a manifest knows; left out" for key in foreign]
    known = {key: value for key, value in config.items() if key not in foreign}
    if "generators" in known:
        known["generators"] = [
            _generator(number, item, remarks)
            for number, item in enumerate(known["generators"], start=1)
        ]
    return known, remarks


def _generator(number: int, item: Json, remarks: list[str]) -> Json:
    foreign = list(unknown_keys(item, "generator", but=_OF_MANIFESTS))
    remarks += [f"generator {number}: {key} is no field that a manifest knows" for key in foreign]
    if item.get("template_path") and not item.get("template_content"):
        remarks.append(f"generator {number}: the API does not tell the text of its template")
    return {key: value for key, value in item.items() if key not in foreign}


def _desired(config: Json, live: LiveTarget) -> tuple[Json, list[str]]:
    """Return what to want of the stages so that all is there, and remarks on what is not."""
    reach = stim_reach(config)
    reaches = {Stage.STIM: reach, Stage.ROLLOUT: rollout_reach(reach, config)}
    wanted: Json = {}
    for stage in Stage:
        seen = live.stages.get(stage)
        if not isinstance(seen, LiveStage) or seen.status != COMPLETE:
            status = seen.status if isinstance(seen, LiveStage) else "not_started"
            wanted[stage.value] = "none"
            return wanted, [f"{stage} was {status} when this was written; `complete` runs it"]
        # More than the generators are said to yield would be an error in a manifest.
        most = reaches[stage]
        lines = seen.lines or 0
        wanted[stage.value] = {"min_lines": lines if most is None else min(lines, most)}
    return wanted, []
