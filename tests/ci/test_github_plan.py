"""The recipe for pull requests on GitHub, run step by step against a real service."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import KEY
from .forge import Forge, begun, target
from .github import Runner, fork, merge, pull_request

if TYPE_CHECKING:
    from reconciler.service import Running

MARKER = "<!-- reconciler plan -->"
STRANGERS: list[dict[str, Any]] = [
    {"id": 1, "user": {"login": "somebody"}, "body": "Looks good."},
    {"id": 2, "user": {"login": "somebody"}, "body": f"{MARKER}\nNothing to see here."},
    {"id": 3, "user": {"login": "github-actions[bot]"}, "body": "Coverage: 93 %"},
]


@pytest.fixture
def request_(hub: Forge, service: Running) -> Runner:
    """Give a pull request that adds a target."""
    hub.push({"targets/two.yaml": target("two")}, branch="change")
    return pull_request(hub, service.url, KEY)


def comments(hub: Forge) -> list[dict[str, Any]]:
    file = hub.root / "github" / "comments.json"
    return list(json.loads(file.read_text())) if file.exists() else []


def calls(hub: Forge) -> list[str]:
    file = hub.root / "github" / "calls"
    return file.read_text().splitlines() if file.exists() else []


def test_a_pull_request_gets_its_plan_as_comment_and_summary(hub: Forge, request_: Runner) -> None:
    ran = request_.run("reconciler-plan", "plan")
    assert ran.conclusion == "success", ran.log
    (comment,) = comments(hub)
    assert comment["body"].startswith(f"{MARKER}\n### Plan")
    assert "reviewing/two" in comment["body"]
    assert ran.summary in comment["body"]
    assert "Without a key" not in ran.summary
    assert (hub.root / "installed").read_text().split() == [
        "install",
        "--require-hashes",
        "--requirement",
        "targets/requirements.txt",
    ]


def test_the_next_push_updates_that_comment_and_no_other(hub: Forge, request_: Runner) -> None:
    state = hub.root / "github"
    state.mkdir()
    (state / "comments.json").write_text(json.dumps(STRANGERS))
    request_.run("reconciler-plan", "plan")
    assert comments(hub)[:-1] == STRANGERS
    first = comments(hub)[-1]
    hub.push({"targets/three.yaml": target("three")}, branch="change")
    request_.run("reconciler-plan", "plan")
    assert comments(hub)[:-1] == STRANGERS
    second = comments(hub)[-1]
    assert second["id"] == first["id"]
    assert "reviewing/three" in second["body"]
    assert "reviewing/three" not in first["body"]


def test_a_fork_without_secrets_is_planned_offline_and_writes_nothing(
    hub: Forge, service: Running, request_: Runner
) -> None:
    assert merge(hub, service.url, KEY).run("reconciler-apply", "apply").conclusion == "success"
    hub.push({"targets/two.yaml": target("two"), **lockfile_of(hub)}, branch="theirs")
    theirs = fork(pull_request(hub, "http://127.0.0.1:9", KEY, "theirs"))
    before = calls(hub)
    for job in ("validate", "plan"):
        ran = theirs.run("reconciler-plan", job)
        assert ran.conclusion == "success", ran.log
        assert "Comment" not in ran.steps
    assert "Without a key" in ran.summary
    assert "reviewing/two" in ran.summary
    assert "reviewing/one" not in ran.summary
    assert calls(hub) == before


def lockfile_of(hub: Forge) -> dict[str, str]:
    return {"targets/reconciler.lock": hub.read("targets/reconciler.lock")}


def test_problems_are_annotated_at_their_lines(hub: Forge, request_: Runner) -> None:
    hub.push({"targets/two.yaml": target("two", tokens=0)}, branch="change")
    ran = request_.run("reconciler-plan", "validate")
    assert ran.conclusion == "failure"
    assert "::error file=targets/two.yaml,line=8,col=15,title=" in ran.log
    planned = request_.run("reconciler-plan", "plan")
    assert planned.conclusion == "failure"
    (comment,) = comments(hub)
    assert "No plan could be made" in comment["body"]
    assert "/team/models/actions/runs/1" in comment["body"]


@pytest.mark.parametrize("tokens", [20, 0])
def test_code_scanning_gets_its_report_where_it_is_switched_on(
    hub: Forge, request_: Runner, tokens: int
) -> None:
    hub.push({"targets/two.yaml": target("two", tokens=tokens) + "# \n"}, branch="change")
    on = replace(request_, variables={"RECONCILER_CODE_SCANNING": "true"})
    ran = on.run("reconciler-plan", "validate")
    assert ran.steps["Report to code scanning"][0] == 0, ran.log
    sent = json.loads((hub.root / "github" / "sarif.json").read_text())
    assert (sent["commit_sha"], sent["ref"]) == (on.github["sha"], "refs/pull/7/merge")
    uris = [
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for result in sent["sarif"]["runs"][0]["results"]
    ]
    assert uris == ([] if tokens else ["targets/two.yaml"])


def test_code_scanning_is_left_alone_otherwise(hub: Forge, request_: Runner) -> None:
    off = request_.run("reconciler-plan", "validate")
    on = replace(request_, variables={"RECONCILER_CODE_SCANNING": "true"})
    theirs = fork(on).run("reconciler-plan", "validate")
    for ran in (off, theirs):
        assert ran.conclusion == "success"
        assert "Report to code scanning" not in ran.steps
    assert calls(hub) == []


def test_what_needs_a_person_is_red_and_in_the_comment(
    hub: Forge, service: Running, request_: Runner
) -> None:
    assert merge(hub, service.url, KEY).run("reconciler-apply", "apply").conclusion == "success"
    hub.push({"targets/one.yaml": target("one", tokens=30)}, branch="change")
    ran = request_.run("reconciler-plan", "plan")
    assert ran.conclusion == "failure"
    assert ran.steps["Plan"][0] == 3
    assert "blocked" in comments(hub)[-1]["body"]


def test_a_key_that_is_not_accepted_is_red_and_never_shown(hub: Forge, request_: Runner) -> None:
    ran = replace(request_, secrets={"BREAD_API_KEY": "wrong-key"}).run("reconciler-plan", "plan")
    assert ran.conclusion == "failure"
    assert "No plan could be made" in comments(hub)[-1]["body"]
    assert "wrong-key" not in ran.log + ran.summary + comments(hub)[-1]["body"]


def test_a_pull_request_cannot_send_the_key_elsewhere(hub: Forge, request_: Runner) -> None:
    elsewhere = """\
apiVersion: reconciler/v1
kind: Project
metadata: {name: p}
spec: {api_url: "http://127.0.0.1:9"}
"""
    hub.push({**begun(), "targets/api.yaml": elsewhere}, branch="change")
    ran = request_.run("reconciler-plan", "plan")
    assert ran.conclusion == "success", ran.log
    assert "reviewing/two" in ran.summary
