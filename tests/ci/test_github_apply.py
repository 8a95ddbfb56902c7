"""The recipe for merges on GitHub: applied, and the lockfile committed back, whatever races."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml

from .conftest import KEY
from .forge import LOCKFILE, PROJECT, Forge, target
from .github import Ran, Runner, merge, recipe, triggers

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.service import Running

COMMIT = f"Update {LOCKFILE}"
STEP = "Commit the lockfile"


@pytest.fixture
def runner(hub: Forge, service: Running) -> Runner:
    return merge(hub, service.url, KEY)


def applied(runner: Runner, before: Callable[[], None] | None = None) -> Ran:
    return runner.run("reconciler-apply", "apply", before={STEP: before} if before else None)


def targets(hub: Forge) -> set[str]:
    return set(yaml.safe_load(hub.read(LOCKFILE))["targets"])


def test_a_merge_is_applied_and_its_lockfile_committed(hub: Forge, runner: Runner) -> None:
    ran = applied(runner)
    assert ran.conclusion == "success", ran.log
    assert hub.subjects()[0] == COMMIT
    assert hub.committers()[0] == "github-actions[bot]"
    assert hub.changed() == [LOCKFILE]
    assert yaml.safe_load(hub.read(LOCKFILE))["targets"]["reviewing/one"]["stim"]["lines"] == 1


def test_a_run_that_changes_nothing_commits_nothing(hub: Forge, runner: Runner) -> None:
    applied(runner)
    before = hub.subjects()
    hub.push({"targets/one.yaml": target("one") + "# a remark\n"})
    assert applied(runner).conclusion == "success"
    assert hub.subjects()[1:] == before


def test_the_commit_starts_no_further_run(hub: Forge, runner: Runner) -> None:
    applied(runner)
    workflow = recipe("reconciler-apply")
    assert not triggers(workflow, hub.changed())
    assert triggers(workflow, ["targets/one.yaml", LOCKFILE])
    assert triggers(workflow, ["targets/prompts/deep/reviewer.md"])
    assert not triggers(workflow, ["README.md"])


def test_a_merge_that_comes_in_between_is_kept(hub: Forge, runner: Runner) -> None:
    ran = applied(runner, before=lambda: hub.push({"targets/two.yaml": target("two")}))
    assert ran.conclusion == "success", ran.log
    assert hub.subjects()[:2] == [COMMIT, "Change targets/two.yaml"]
    assert targets(hub) == {"reviewing/one"}
    assert applied(runner).conclusion == "success"
    assert targets(hub) == {"reviewing/one", "reviewing/two"}
    before = hub.subjects()
    assert applied(runner).conclusion == "success"
    assert hub.subjects() == before


def test_two_projects_that_push_at_once_both_arrive(hub: Forge, runner: Runner) -> None:
    other = {
        "others/project.yaml": PROJECT.replace("reviewing", "writing"),
        "others/one.yaml": target("one").replace("reviewing", "writing"),
    }
    hub.push(other)
    ready = threading.Barrier(2)

    def run(project: str) -> Ran:
        workflow = recipe("reconciler-apply")
        workflow["env"]["PROJECT"] = project
        wait = {STEP: lambda: (ready.wait(60), None)[1]}
        return runner.run_workflow(workflow, "apply", before=wait)

    with ThreadPoolExecutor(2) as pool:
        for ran in pool.map(run, ("targets", "others")):
            assert ran.conclusion == "success", ran.log
    assert set(hub.subjects()[:2]) == {COMMIT, "Update others/reconciler.lock"}


def test_a_push_is_tried_again(hub: Forge, runner: Runner) -> None:
    hub.refuse_pushes(2)
    ran = applied(runner)
    assert ran.conclusion == "success", ran.log
    assert hub.pushes() == 3
    assert hub.subjects()[0] == COMMIT


def test_but_not_for_ever(hub: Forge, runner: Runner) -> None:
    hub.refuse_pushes(1000)
    ran = applied(runner)
    assert ran.conclusion == "failure"
    assert hub.pushes() == 5
    assert "::error::targets/reconciler.lock could not be pushed." in ran.log


def test_what_somebody_else_wrote_is_not_overwritten_and_the_next_run_mends_it(
    hub: Forge, runner: Runner
) -> None:
    theirs = f"version: 1\napi_url: {runner.api}\nprompts: {{}}\nrepos: {{}}\ntargets: {{}}\n"
    ran = applied(runner, before=lambda: hub.push({LOCKFILE: theirs}))
    assert ran.conclusion == "failure"
    assert "::error::" in ran.log
    assert hub.read(LOCKFILE) == theirs
    again = applied(runner)
    assert again.conclusion == "success", again.log
    assert targets(hub) == {"reviewing/one"}


def test_a_blocked_run_is_red_and_commits_what_it_knows(hub: Forge, runner: Runner) -> None:
    applied(runner)
    changed = {"targets/one.yaml": target("one", tokens=30), "targets/two.yaml": target("two")}
    hub.push(changed)
    ran = applied(runner)
    assert ran.conclusion == "failure"
    assert ran.steps["Apply"][0] == 3
    assert hub.subjects()[0] == COMMIT
    assert targets(hub) == {"reviewing/one", "reviewing/two"}


def test_without_a_key_it_is_red_and_commits_nothing(hub: Forge, runner: Runner) -> None:
    before = hub.subjects()
    ran = applied(replace(runner, secrets={}))
    assert ran.conclusion == "failure"
    assert "BREAD_API_KEY" in ran.log
    assert hub.subjects() == before


def test_other_branches_are_never_applied(hub: Forge, runner: Runner) -> None:
    assert applied(merge(hub, runner.api, KEY, branch="feature")).conclusion == "skipped"
