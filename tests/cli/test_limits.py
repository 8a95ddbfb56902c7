"""Limits on what one run may do: beyond them a person decides, and nothing happens."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.errors import ExitCode

from .project import Project, target
from .test_apply import watched_methods

DELETABLE: dict[str, Any] = {"policy": {"prevent_destroy": False}}


def budget(project: Project, most: int) -> None:
    project.write(
        "project.yaml",
        f"""\
        apiVersion: reconciler/v1
        kind: Project
        metadata: {{name: small}}
        spec: {{budget: {{max_new_trajectories: {most}}}}}
        """,
    )


@pytest.fixture
def orphans(project: Project) -> Project:
    """Give a project of which eleven targets are no longer declared."""
    few: dict[str, Any] = {"questions": 1, "desired": {"stim": "none"}, **DELETABLE}
    project.targets(target("one"), *(target(f"old{number}", **few) for number in range(11)))
    assert project.run("apply").code == ExitCode.OK
    project.targets(target("one"))
    return project


def test_ten_deletions_at_once_are_as_many_as_are_allowed_unasked(orphans: Project) -> None:
    before = orphans.lockfile.read_bytes()
    refused = orphans.run("apply", "--prune", "--allow-destroy", "--format", "json")
    assert refused.code == ExitCode.BLOCKED
    blocked = [event for event in refused.lines if event["event"] == "blocked"]
    assert len(blocked) == 11
    assert "11 targets would be deleted, --max-deletions allows 10" in blocked[0]["message"]
    assert not [event for event in refused.lines if event["event"] == "deleted"]
    assert orphans.lockfile.read_bytes() == before
    allowed = orphans.run("apply", "--prune", "--allow-destroy", "--max-deletions", "11")
    assert allowed.code == ExitCode.OK
    assert set(orphans.lock["targets"]) == {"coding/one"}


def test_too_many_deletions_show_in_every_plan(orphans: Project) -> None:
    for options in ((), ("--offline",)):
        found = orphans.run("plan", "--prune", "--format", "json", "--detailed-exitcode", *options)
        assert found.code == ExitCode.BLOCKED
        assert {a["reason"] for a in found.json["actions"]} == {"too_many_deletions"}
        assert found.json["summary"]["delete"] == 0
    text = orphans.run("plan", "--prune").out
    assert "raise --max-deletions" in text
    assert orphans.run("plan", "--detailed-exitcode").code == ExitCode.OK


def test_no_deletion_at_all_can_be_asked_for(orphans: Project) -> None:
    options = ("--prune", "--max-deletions", "0", "--detailed-exitcode")
    assert orphans.run("plan", *options).code == ExitCode.BLOCKED


def limits(project: Project, declared: int | None, asked: int | None) -> tuple[str, ...]:
    if declared is not None:
        budget(project, declared)
    return () if asked is None else ("--max-trajectories", str(asked))


@pytest.mark.parametrize(("declared", "asked"), [(None, 18), (18, None), (18, 18)])
def test_what_is_just_within_every_limit_goes_on(
    project: Project, declared: int | None, asked: int | None
) -> None:
    assert project.run("apply", *limits(project, declared, asked)).code == ExitCode.OK


@pytest.mark.parametrize(
    ("declared", "asked", "allowed"),
    [(None, 17, 17), (17, None, 17), (17, 100, 17), (100, 17, 17), (0, 5, 0), (5, 0, 0)],
)
def test_the_narrowest_limit_on_trajectories_counts(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    declared: int | None,
    asked: int | None,
    allowed: int,
) -> None:
    options = limits(project, declared, asked)
    methods = watched_methods(monkeypatch)
    ended = project.run("apply", "--format", "json", *options)
    assert ended.code == ExitCode.BLOCKED
    assert set(methods) == {"GET"}
    assert not project.lockfile.exists()
    event, summary = ended.lines
    assert (event["event"], event["kind"]) == ("blocked", "Project")
    assert f"18 new trajectories planned, {allowed} allowed" in event["message"]
    assert summary["exit_code"] == ExitCode.BLOCKED


def test_the_limit_that_was_exceeded_is_the_one_that_is_named(project: Project) -> None:
    budget(project, 100)
    ended = project.run("plan", "--max-trajectories", "17")
    assert "--max-trajectories" in ended.out
    budget(project, 17)
    assert "budget.max_new_trajectories" in project.run("plan").out


def test_of_fewer_targets_less_is_planned(project: Project) -> None:
    budget(project, 12)
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.BLOCKED
    assert project.run("apply", "--target", "coding/one").code == ExitCode.OK
    assert project.run("apply", "--target", "coding/two").code == ExitCode.OK
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK


def test_what_exists_already_takes_nothing_from_the_budget(project: Project) -> None:
    project.run("apply")
    budget(project, 0)
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK
    assert project.run("apply", "--max-trajectories", "0").code == ExitCode.OK


@pytest.mark.parametrize(
    "option",
    ["--max-deletions=-1", "--max-deletions=many", "--max-trajectories=-1", "--max-trajectories=x"],
)
def test_a_limit_is_a_number(project: Project, option: str) -> None:
    assert project.run("apply", option).code == ExitCode.USAGE
