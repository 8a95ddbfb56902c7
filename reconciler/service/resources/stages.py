"""Stim and rollout as the API sees them: start one, ask how it is doing, read what it made.

Starting notes a job in the store, with everything a runner needs to know as it is at that moment.
Never runs a job.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.service.problems import bad_request, not_found
from reconciler.service.resources.config import ROLLOUT, STIM
from reconciler.service.state.store import COMPLETE, FAILED, RUNNING
from reconciler.service.wire import array, assemble, dumps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.service.resources.config import Config
    from reconciler.service.state.store import Job, Repo, StageRow, Store

NOT_STARTED = "not_started"
_FIXED = {"hardcoded", "from_dataset"}
"""Generators that ask no model, and so need no template."""


def start(store: Store, user: str, repo: str, target: str, stage: str) -> str:
    """Start a stage unless it runs or is complete, and return its status as JSON.

    After a failure this is a new attempt; one at a rollout keeps the trajectories that are there if
    they would be made from the same prompts and stimuli. Raises a 404, and a 400 when the target is
    not ready.
    """
    with store.writing():
        row = _find(store, user, repo, target, stage)
        if row.job is None or row.job.status == FAILED:
            _add_job(store, user, repo, target, stage, failed=row.job)
            row = _find(store, user, repo, target, stage)
    return _status(row, stage)


def status(store: Store, user: str, repo: str, target: str, stage: str) -> str:
    """Return the status of a stage as JSON; raises a 404."""
    return _status(_find(store, user, repo, target, stage), stage)


def page(
    store: Store, user: str, repo: str, target: str, stage: str, *, offset: int, limit: int
) -> str:
    """Return the rows from ``offset`` on, with the status, as JSON; raises a 404.

    While a job runs, what can be read grows at the end and ``has_more`` speaks of this moment.
    """
    with store.reading():
        row = _find(store, user, repo, target, stage)
        lines = row.job.lines if row.job else 0
        records = (
            store.records(row.job.id, offset, lines, limit) if row.job and offset < lines else []
        )
    has_more = offset + len(records) < lines
    paging = {"offset": offset, "limit": limit, "has_more": has_more}
    ready = {"output": array(records), "config": row.parameters, "parameters": row.parameters}
    return assemble({**_progress(row.job, stage), **paging}, ready)


def _find(store: Store, user: str, repo: str, target: str, stage: str) -> StageRow:
    row = store.stage(user, repo, target, stage)
    if row is None:
        raise not_found("Target not found")
    return row


def _status(row: StageRow, stage: str) -> str:
    ready = {"config": row.parameters, "parameters": row.parameters}
    return assemble(_progress(row.job, stage), ready)


def _progress(job: Job | None, stage: str) -> dict[str, object]:
    if job is None:
        return {"status": NOT_STARTED, "lines": 0}
    fields: dict[str, object] = {"status": job.status, "lines": job.lines, "job_id": job.number}
    if stage == ROLLOUT:
        fields["total_expected"] = job.total
    if job.status == RUNNING:
        fields["progress_percent"] = round(100 * job.done / job.total, 2) if job.total else 0.0
    if job.error is not None:
        fields["error"] = job.error
    return fields


def _add_job(
    store: Store, user: str, repo: str, target: str, stage: str, *, failed: Job | None
) -> None:
    found = store.repo(user, repo)
    row = store.target(found.id, target) if found else None
    if found is None or row is None:
        raise not_found("Target not found")
    config = json.loads(row.config)
    if stage == STIM:
        store.add_job(row.id, stage, dumps(_stim_inputs(store, found, config)), None)
        return
    stim = _complete_stim(store.stage(user, repo, target, STIM))
    if not config.get("model_name"):
        raise bad_request("model_name must be configured in target")
    inputs = dumps({"stim": stim.id, **_prompts(store, found, config)})
    total = stim.lines * config["num_traj_per_stimulus"]
    if failed is not None and store.work(failed.id).inputs == inputs:
        store.continue_job(failed.id)
    else:
        store.add_job(row.id, stage, inputs, total)


def _complete_stim(row: StageRow | None) -> Job:
    if row is None or row.job is None or row.job.status != COMPLETE:
        raise bad_request("Stim job must complete before running rollout")
    return row.job


def _stim_inputs(store: Store, repo: Repo, config: Config) -> dict[str, Any]:
    if not config.get("generators") or not config.get("teacher_prompt"):
        raise bad_request("Target must have generators and teacher prompt configured")
    templates = _templates(store, repo, config["generators"])
    return {"templates": templates, **_prompts(store, repo, config)}


def _prompts(store: Store, repo: Repo, config: Config) -> dict[str, Any]:
    """Return the prompts as they are now; only those that rows are made from have to exist."""
    teacher = _prompt(store, repo, config["teacher_prompt"])
    if teacher is None:
        raise bad_request(f"Teacher prompt not found: '{config['teacher_prompt']}'")
    student_name = config.get("student_prompt") or ""
    student = _prompt(store, repo, student_name)
    conditioned = any(each.get("rollout_with_conditioned") for each in config["generators"])
    if student is None and student_name and conditioned:
        raise bad_request(f"Student prompt not found: '{student_name}'")
    return {"teacher": teacher, "student": student}


def _prompt(store: Store, repo: Repo, name: str) -> dict[str, Any] | None:
    prompt = store.prompt(repo.id, name)
    if prompt is None:
        return None
    tools = json.loads(prompt.tools) if prompt.tools is not None else []
    return {"messages": json.loads(prompt.messages), "tools": tools}


def _templates(store: Store, repo: Repo, generators: Sequence[Config]) -> dict[str, str]:
    """Return the templates that generators name without bringing them, from the repository."""
    wanted = {
        each["template_path"]
        for each in generators
        if each["type"] not in _FIXED and "template_path" in each and "template_content" not in each
    }
    found = _brought(store, repo) if wanted else {}
    absent = sorted(wanted - found.keys())
    if absent:
        raise bad_request(f"Template not found: '{absent[0]}' was never uploaded")
    return {path: found[path] for path in wanted}


def _brought(store: Store, repo: Repo) -> dict[str, str]:
    """Return the templates that targets of a repository brought; the newest of a path counts."""
    found: dict[str, str] = {}
    for config in map(json.loads, store.configs(repo.id)):
        for each in config.get("generators", ()):
            if "template_path" in each and "template_content" in each:
                found.setdefault(each["template_path"], each["template_content"])
    return found
