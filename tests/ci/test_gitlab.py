"""The recipe for GitLab, run job by job against a real service and git over HTTP."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
import yaml

from .conftest import KEY
from .forge import LOCKFILE, Forge, target
from .gitlab import (
    JOB_TOKEN,
    NOTE_TOKEN,
    PUSH_TOKEN,
    GitLab,
    Pipeline,
    from_fork,
    merge,
    merge_request,
)
from .gitlab import gitlab as serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.service import Running

MARKER = "<!-- reconciler plan -->"
COMMIT = f"Update {LOCKFILE} [skip ci]"


@pytest.fixture
def gitlab(hub: Forge) -> Iterator[GitLab]:
    with serving(hub) as running:
        yield running


@pytest.fixture
def change(hub: Forge, gitlab: GitLab, service: Running) -> Pipeline:
    """Give the pipeline of a merge request that adds a target."""
    hub.push({"targets/two.yaml": target("two")}, branch="change")
    return merge_request(gitlab, service.url, KEY)


@pytest.fixture
def merged(gitlab: GitLab, service: Running) -> Pipeline:
    return merge(gitlab, service.url, KEY)


def targets(hub: Forge) -> set[str]:
    return set(yaml.safe_load(hub.read(LOCKFILE))["targets"])


def test_jobs_run_where_they_belong(change: Pipeline, merged: Pipeline) -> None:
    review = {"reconciler:validate", "reconciler:plan"}
    assert change.jobs("targets/prompts/deep/a.md") == review
    assert merged.jobs("targets/one.yaml") == {"reconciler:apply"}
    assert change.jobs("README.md") == merged.jobs("README.md") == set()


def test_a_merge_request_is_validated(hub: Forge, change: Pipeline) -> None:
    assert change.run("reconciler:validate")[0] == 0
    hub.push({"targets/two.yaml": target("two", tokens=0)}, branch="change")
    code, log, _ = change.run("reconciler:validate")
    assert code == 5
    assert "targets/two.yaml:8:15:" in log


def test_a_merge_request_has_one_note_however_often_it_changes(
    hub: Forge, gitlab: GitLab, change: Pipeline
) -> None:
    spoofed = {"id": 1, "author": {"id": 9}, "body": f"{MARKER}\nNothing to see here."}
    gitlab.notes.append(dict(spoofed))
    code, log, plan = change.run("reconciler:plan")
    assert code == 0, log
    assert gitlab.notes[1]["body"] == f"{MARKER}\n{plan}"
    assert "reviewing/two" in plan
    hub.push({"targets/three.yaml": target("three", "50 % & <b>?")}, branch="change")
    _, _, plan = change.run("reconciler:plan")
    assert len(gitlab.notes) == 2
    assert gitlab.notes[0] == spoofed
    assert gitlab.notes[1]["body"] == f"{MARKER}\n{plan}"
    assert "reviewing/three" in plan
    assert NOTE_TOKEN not in log


def test_without_variables_it_plans_offline_and_writes_no_note(
    gitlab: GitLab, change: Pipeline
) -> None:
    code, log, plan = replace(change, settings={}).run("reconciler:plan")
    assert code == 0, log
    assert "Without a key" in plan
    assert gitlab.calls == []


def test_a_fork_gets_neither_key_nor_token(gitlab: GitLab, change: Pipeline) -> None:
    code, log, plan = from_fork(change).run("reconciler:plan")
    assert code == 0, log
    assert "Without a key" in plan
    assert gitlab.calls == []


def test_a_plan_that_failed_is_red_and_says_so(gitlab: GitLab, change: Pipeline) -> None:
    settings = {**change.settings, "BREAD_API_KEY": "wrong-key"}
    code, log, _ = replace(change, settings=settings).run("reconciler:plan")
    assert code == 1
    assert "No plan could be made" in gitlab.notes[0]["body"]
    assert "wrong-key" not in log


def test_a_merge_is_applied_once_and_its_lockfile_committed(hub: Forge, merged: Pipeline) -> None:
    code, log, _ = merged.run("reconciler:apply")
    assert code == 0, log
    assert hub.subjects()[0] == COMMIT
    assert hub.changed() == [LOCKFILE]
    assert not any(token in log for token in (PUSH_TOKEN, JOB_TOKEN))
    before = hub.subjects()
    assert merged.run("reconciler:apply")[0] == 0
    assert hub.subjects() == before


def test_merges_that_come_in_between_are_kept(hub: Forge, gitlab: GitLab, merged: Pipeline) -> None:
    for name in ("two", "three"):
        colleague = partial(hub.push, {f"targets/{name}.yaml": target(name)})
        gitlab.before_push.append(colleague)
    code, log, _ = merged.run("reconciler:apply")
    assert code == 0, log
    assert hub.subjects()[0] == COMMIT
    assert sorted(hub.subjects()[1:3]) == ["Change targets/three.yaml", "Change targets/two.yaml"]
    assert merged.run("reconciler:apply")[0] == 0
    assert targets(hub) == {f"reviewing/{name}" for name in ("one", "two", "three")}


def test_a_run_that_waited_goes_on_from_the_newest_lockfile(hub: Forge, merged: Pipeline) -> None:
    hub.push({"targets/two.yaml": target("two")})
    assert merged.run("reconciler:apply")[0] == 0
    assert targets(hub) == {"reviewing/one", "reviewing/two"}
    before = hub.subjects()
    assert merged.run("reconciler:apply")[0] == 0
    assert hub.subjects() == before


def test_a_push_is_not_tried_for_ever(hub: Forge, merged: Pipeline) -> None:
    hub.refuse_pushes(1000)
    code, log, _ = merged.run("reconciler:apply")
    assert code == 1
    assert hub.pushes() == 5
    assert "Run this job again" in log


def test_a_blocked_run_is_red_and_commits_what_it_knows(hub: Forge, merged: Pipeline) -> None:
    merged.run("reconciler:apply")
    changed = {"targets/one.yaml": target("one", tokens=30), "targets/two.yaml": target("two")}
    hub.push(changed)
    code, _, _ = merged.run("reconciler:apply")
    assert code == 3
    assert hub.subjects()[0] == COMMIT
    assert targets(hub) == {"reviewing/one", "reviewing/two"}


def test_without_a_key_it_is_red_and_commits_nothing(hub: Forge, merged: Pipeline) -> None:
    before = hub.subjects()
    assert replace(merged, settings={}).run("reconciler:apply")[0] == 1
    assert hub.subjects() == before
