"""Target documents → declared targets: defaults merged, stages and policy read, digests made.

Two steps, because a target inherits from its template: ``draft`` looks at one document alone,
``finish`` at all of them in dependency order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from reconciler.core import durations
from reconciler.core.equality import canonical, normalize
from reconciler.core.model.desired import (
    DesiredPrompt,
    DesiredStage,
    DesiredTarget,
    OnChange,
    OnShortfall,
    Policy,
    Stage,
    template_id,
)
from reconciler.core.model.manifest import Document, Kind, Problem, ResourceId, Severity
from reconciler.core.quantities import rollout_reach, stim_reach, trajectories_each
from reconciler.core.schema.wording import counted, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.core.model.manifest import DocumentPath, JsonObject

#: What a template must hold, and how many bytes it may have at the most; from the API reference.
_IN_TEMPLATES = ("numq", "prompt_u")
_LONGEST_TEMPLATE = 1024 * 1024
#: Seconds to wait for a stage when nothing else is said; the API's own advice.
TIMEOUTS = {Stage.STIM: 3600.0, Stage.ROLLOUT: 7200.0}
#: What targets have that say nothing: the same objects for all of them.
_POLICY, _NO_LABELS = Policy(), dict[str, str]()


@dataclass(frozen=True, slots=True)
class Draft:
    """A target as its own document and the project's defaults say, before templates are merged."""

    id: ResourceId
    document: Document
    template: str
    overrides: Mapping[str, Any]
    stages: Mapping[Stage, DesiredStage]
    policy: Policy

    @property
    def parent(self) -> ResourceId | None:
        """The address of its template, unless that is the built-in default."""
        return template_id(self.id.repo, self.template)

    def problem(self, path: tuple[str | int, ...], message: str) -> Problem:
        """Return a problem somewhere in this target's document."""
        return self.document.problem(path, message)


def draft(doc: Document, defaults: Mapping[str, Any], problems: list[Problem]) -> Draft:
    """Read one Target document; its old field names and contradictions go to ``problems``."""
    metadata, own = doc.value["metadata"], _block(doc.value, "spec")
    problems.extend(problems_of_spec(doc, own, ("spec",)))
    spec = merge(_renamed(_block(defaults, "spec")), _renamed(own))
    made = Draft(
        id=ResourceId(Kind.TARGET, metadata["repo"], metadata["name"]),
        document=doc,
        template=spec.pop("template", None) or normalize.DEFAULT_TEMPLATE,
        overrides=normalize.target_config(spec),
        stages=_stages(_desired_block(defaults), _desired_block(doc.value)),
        policy=_policy(merge(_block(defaults, "policy"), _block(doc.value, "policy"))),
    )
    if made.stages[Stage.ROLLOUT].wanted and not made.stages[Stage.STIM].wanted:
        path = ("desired", "rollout")
        problems.append(made.problem(path, "a complete rollout needs desired.stim: complete"))
    return made


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``above`` laid over ``below``: mappings key by key, everything else as a whole."""
    if not below:
        return dict(above)
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            merged[key] = merge(under, value)
        else:
            merged[key] = value
    return merged


def finish(
    drafts: Mapping[ResourceId, Draft],
    prompts: Mapping[ResourceId, DesiredPrompt],
    project: Document | None,
    problems: list[Problem],
) -> dict[ResourceId, DesiredTarget]:
    """Merge templates into the drafts (which come in dependency order) and check the whole.

    A target is complete when its whole chain of templates is declared, so that it inherits nothing
    unseen. What is wrong with the defaults of the ``project`` is told there.
    """
    done: dict[ResourceId, DesiredTarget] = {}
    known: set[ResourceId | None] = {None}
    for item in drafts.values():
        complete = item.parent in known
        parent = done.get(item.parent) if item.parent else None
        target = _finished(item, parent, prompts, complete=complete)
        done[item.id] = target
        if complete:
            known.add(item.id)
            problems.extend(_missing_parts(item, target))
    problems.extend(_unreachable(drafts, done, project))
    return done


def _finished(
    item: Draft,
    parent: DesiredTarget | None,
    prompts: Mapping[ResourceId, DesiredPrompt],
    *,
    complete: bool,
) -> DesiredTarget:
    config = {**parent.config, **item.overrides} if parent else item.overrides
    stim_lines = stim_reach(config)
    known = complete or "num_traj_per_stimulus" in config
    rollout_lines = rollout_reach(stim_lines, config) if known else None
    return DesiredTarget(
        id=item.id,
        template=item.template,
        overrides=item.overrides,
        config=config,
        lazy_digest=canonical.Digest(
            partial(_digested, item.id.repo, None if complete else item.template, config, prompts)
        ),
        stim=_reaching(item.stages[Stage.STIM], stim_lines),
        rollout=_reaching(item.stages[Stage.ROLLOUT], rollout_lines),
        policy=item.policy,
        labels=item.document.value["metadata"].get("labels") or _NO_LABELS,
        source=item.document.origin,
    )


@lru_cache
def _reaching(stage: DesiredStage, reach: int | None) -> DesiredStage:
    """Return a stage with its reach: one object for all targets that want the same."""
    return replace(stage, reach=reach)


def _digested(
    repo: str,
    live_template: str | None,
    config: Mapping[str, Any],
    prompts: Mapping[ResourceId, DesiredPrompt],
) -> JsonObject:
    """Return all that decides the target's data, as far as it is declared.

    Defaults of the service are left out, so that spelling one out renames no revision; unless the
    template is only known live, where spelling one out may change something.
    """
    spec = dict(config) if live_template else normalize.without_target_defaults(config)
    for field in normalize.PROMPT_FIELDS:
        name = spec.get(field)
        prompt = prompts.get(ResourceId(Kind.PROMPT, repo, name)) if name else None
        if prompt:
            spec[field] = {"name": name, "digest": prompt.digest}
    template = {"template": live_template} if live_template else {}
    return {**template, "config": spec}


def problems_of_spec(
    doc: Document, spec: Mapping[str, Any], path: DocumentPath
) -> Iterator[Problem]:
    """Find what is wrong with the spec of a target, or with its defaults, at a path."""
    yield from _renamed_fields(doc, spec, path)
    yield from _unfit_templates(doc, spec, path)


def _unfit_templates(
    doc: Document, spec: Mapping[str, Any], path: DocumentPath
) -> Iterator[Problem]:
    """Find templates of generators that the API would refuse."""
    for index, item in enumerate(spec.get("generators") or ()):
        text = item.get("template_content")
        why = _template_fault(text) if text is not None else ""
        if why:
            where = (*path, "generators", index, "template_content")
            yield doc.problem(where, f"the template {why}")


def _template_fault(text: str) -> str:
    from string import Template  # few generators have one

    template = Template(text)
    if len(text.encode(errors="replace")) > _LONGEST_TEMPLATE:
        return "is longer than 1 MB"
    if not template.is_valid():
        return "has a $ that begins no ${name}; write $$ for a dollar"
    missing = [name for name in _IN_TEMPLATES if name not in template.get_identifiers()]
    return f"must hold {' and '.join(f'${{{name}}}' for name in missing)}" if missing else ""


def _block(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    block: Mapping[str, Any] = holder.get(key) or {}
    return block


def _renamed_fields(
    doc: Document, spec: Mapping[str, Any], path: DocumentPath
) -> Iterator[Problem]:
    """Warn of deprecated names, and refuse those that contradict."""
    for old, new in normalize.RENAMED.items():
        if spec.get(old) is None:
            continue
        where = (*path, old)
        if spec.get(new) not in {None, spec[old]}:
            yield doc.problem(where, f"{old} is an old name of {new}, which says otherwise")
        else:
            text = f"{old} is a deprecated name; write {new}"
            yield doc.problem(where, text, Severity.WARNING, at_key=True)


def _renamed(spec: Mapping[str, Any]) -> dict[str, Any]:
    known = dict(spec)
    for old, new in normalize.RENAMED.items():
        value = known.pop(old, None)
        if value is not None and known.get(new) is None:
            known[new] = value
    return known


def _desired_block(holder: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``desired`` block with its short forms (``stim: complete``) written out."""
    return {
        stage: {"state": value} if isinstance(value, str) else (value or {})
        for stage, value in _block(holder, "desired").items()
    }


def _stages(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[Stage, DesiredStage]:
    merged = merge(below, above)
    stim, rollout = (_block(merged, stage) for stage in Stage)
    # Who wants no stim and says nothing of the rollout wants none of that either.
    state: str = stim.get("state", "complete")
    return {
        Stage.STIM: _stage(Stage.STIM, stim, state),
        Stage.ROLLOUT: _stage(Stage.ROLLOUT, rollout, rollout.get("state", state)),
    }


def _stage(stage: Stage, block: Mapping[str, Any], state: str) -> DesiredStage:
    timeout = block.get("timeout")
    return DesiredStage(
        wanted=state == "complete",
        min_lines=int(block.get("min_lines", 1)),
        timeout=durations.parse(timeout) if timeout else TIMEOUTS[stage],
        reach=None,
    )


def _policy(block: Mapping[str, Any]) -> Policy:
    if not block:
        return _POLICY
    return Policy(
        on_change=OnChange(block.get("on_change", _POLICY.on_change)),
        on_shortfall=OnShortfall(block.get("on_shortfall", _POLICY.on_shortfall)),
        retries=int(block.get("retries", _POLICY.retries)),
        prevent_destroy=block.get("prevent_destroy", _POLICY.prevent_destroy),
    )


def _missing_parts(item: Draft, target: DesiredTarget) -> list[Problem]:
    """Return what the API would miss when asked to run the stim stage."""
    if not target.stim.wanted:
        return []
    return [
        item.problem(("spec",), f"missing key {quoted(key)}, which the stim stage needs")
        for key in ("generators", "teacher_prompt")
        if not target.config.get(key)
    ]


def _unreachable(
    drafts: Mapping[ResourceId, Draft],
    done: Mapping[ResourceId, DesiredTarget],
    project: Document | None,
) -> Iterator[Problem]:
    """Find lines that are wanted and cannot be, each where the wish is written.

    One of the project is told once for all targets that cannot reach it for the same reason.
    """
    by_default: dict[tuple[str, str, str], list[ResourceId]] = {}
    defaults = _desired_block(_defaults_of(project))
    for item, target in zip(drafts.values(), done.values(), strict=True):
        for stage in _short(target):
            what = f"{counted(target.stage(stage).min_lines, 'line')} cannot be reached"
            why = _yield(stage, target)
            if "min_lines" in _block(_desired_block(item.document.value), stage):
                yield item.problem(("desired", str(stage), "min_lines"), f"{what}: {why}")
            elif "min_lines" in _block(defaults, stage):
                by_default.setdefault((str(stage), what, why), []).append(item.id)
            else:
                yield item.problem(("spec", "generators"), f"{what}: {why}")
    if project is None:
        return
    for (name, what, why), ids in by_default.items():
        more = f" and {counted(len(ids) - 1, 'more target')}" if len(ids) > 1 else ""
        path = ("spec", "defaults", "desired", name, "min_lines")
        yield project.problem(path, f"{what} by {ids[0]}{more}: {why}")


def _defaults_of(project: Document | None) -> Mapping[str, Any]:
    return _block(_block(project.value, "spec"), "defaults") if project else {}


def _short(target: DesiredTarget) -> list[Stage]:
    """Return the stages whose lines cannot be reached; without a question, the first of them."""
    found = []
    for stage in Stage:
        want = target.stage(stage)
        if want.wanted and want.reach is not None and want.min_lines > want.reach:
            found.append(stage)
    return found[:1] if target.stim.reach == 0 else found


def _yield(stage: Stage, target: DesiredTarget) -> str:
    stim = f"the generators yield {counted(target.stim.reach or 0, 'question')}"
    if stage is Stage.STIM:
        return stim
    each = counted(trajectories_each(target.config), "trajectory", "trajectories")
    return f"{stim} and {each} each, {target.rollout.reach:,} in all"
