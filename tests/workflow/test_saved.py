"""Saved plans: what a file may hold, and when it still stands for what would be done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from builders import declare, live_repo, planned, project, prompt, repo, target
from jsonschema import Draft202012Validator

from reconciler import schema_files
from reconciler.core.errors import BlockedError, ExitCode, ReconcilerError
from reconciler.core.selection.scope import Scope
from reconciler.workflow.saved import InvalidSavedPlanError, read, require_same, text, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.core.model.plan import Plan

EVERYTHING = Scope()
NARROW = Scope((("team", "docs"), ("a", "b=c"), ("empty", "")), ("coding/*",), ("*/other", "x/y"))
MANIFESTS = (repo(), prompt(), target())
REVISE = {"on_change": "revise"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "plan.json"


def plan(*manifests: Any, live: Any = None) -> Plan:
    return planned(declare(*(manifests or MANIFESTS)), live or {})


def save(value: Plan, file: Path, **shaped: Any) -> None:
    write(file, text(value, **shaped))


def test_a_file_is_what_its_schema_says(file: Path) -> None:
    checker = Draft202012Validator(dict(schema_files.load("plan")))
    for scope, prune in ((EVERYTHING, False), (NARROW, False), (EVERYTHING, True)):
        save(plan(), file, scope=scope, prune=prune)
        checker.validate(json.loads(file.read_text()))


@pytest.mark.parametrize("prune", [False, True])
@pytest.mark.parametrize("scope", [EVERYTHING, NARROW])
def test_what_shaped_a_plan_travels_with_it(file: Path, scope: Scope, prune: bool) -> None:
    save(plan(), file, scope=scope, prune=prune)
    found = read(file)
    assert (found.scope, found.prune) == (scope, prune)
    require_same(found, plan())


def test_a_plan_that_nothing_shaped_says_nothing_of_it(file: Path) -> None:
    save(plan(), file, scope=EVERYTHING, prune=False)
    assert "options" not in json.loads(file.read_text())


def test_saving_replaces_what_was_there_and_leaves_nothing_beside_it(file: Path) -> None:
    file.write_text("older")
    save(plan(), file, scope=EVERYTHING, prune=False)
    assert read(file).content["summary"]["create"] == 3
    assert list(file.parent.iterdir()) == [file]


def test_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReconcilerError, match="cannot write") as caught:
        save(plan(), tmp_path / "no" / "such" / "plan.json", scope=EVERYTHING, prune=False)
    assert caught.value.exit_code is ExitCode.ERROR


def good() -> dict[str, Any]:
    from reconciler.render import json as as_json

    return as_json.plan(plan())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"format": "reconciler/plan/v1"}',
        b"9" * 5000,
        json.dumps(good())[:-20].encode(),
        json.dumps({**good(), "format": "reconciler/plan/v2"}).encode(),
        json.dumps({**good(), "digest": "sha256:short"}).encode(),
        json.dumps({**good(), "options": {"prune": True}}).encode(),
        json.dumps({**good(), "more": 1}).encode(),
    ],
    ids=lambda content: content[:24].decode(errors="replace") + f" {len(content)}",
)
def test_what_is_no_plan_of_this_version_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(InvalidSavedPlanError, match=r"plan\.json") as caught:
        read(file)
    assert caught.value.exit_code is ExitCode.INVALID
    assert "reconciler plan --out" in caught.value.hint


@pytest.mark.parametrize("missing", ["missing.json", "."])
def test_what_cannot_be_read_is_refused(tmp_path: Path, missing: str) -> None:
    with pytest.raises(InvalidSavedPlanError) as caught:
        read(tmp_path / missing)
    assert caught.value.exit_code is ExitCode.INVALID


def refusal(file: Path, saved: Plan, fresh: Plan) -> str:
    save(saved, file, scope=EVERYTHING, prune=False)
    with pytest.raises(BlockedError) as caught:
        require_same(read(file), fresh)
    assert caught.value.exit_code is ExitCode.BLOCKED
    assert "reconciler plan --out" in caught.value.hint
    return caught.value.message


def test_what_is_no_longer_needed_and_what_is_new_are_told(file: Path) -> None:
    live = {"coding": live_repo()}
    message = refusal(file, plan(live=live), plan(repo(), prompt(), target("u"), live=live))
    assert "no longer: create target coding/t" in message
    assert "now also: create target coding/u" in message
    assert "now also: run target coding/u stim" in message


def test_a_change_that_needs_the_same_actions_is_told_as_one_of_manifests(file: Path) -> None:
    changed = plan(repo(), prompt(), target(policy={"retries": 3}))
    assert "the manifests have changed" in refusal(file, plan(), changed)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"temperature": 0.5, "policy": REVISE}, {"temperature": 0.6, "policy": REVISE}),
        ({}, {"desired": {"stim": {"min_lines": 2}}}),
    ],
    ids=["another revision", "more lines wanted"],
)
def test_a_resource_whose_actions_are_others_in_detail_is_named(
    file: Path, before: Any, after: Any
) -> None:
    manifests = (repo(), prompt(), target("other"))
    config = target()["spec"]
    live = {"coding": live_repo(targets={"t": {"config": config}, "other": {"config": config}})}
    was, now = (plan(*manifests, target(**spec), live=live) for spec in (before, after))
    message = refusal(file, was, now)
    assert "now different: " in message
    assert "target coding/t" in message
    assert "coding/other" not in message


def test_a_job_that_got_further_is_not_named(file: Path) -> None:
    def at(lines: int, *, retries: int) -> Plan:
        stim = {"status": "running", "lines": lines}
        live = live_repo(targets={"t": {"config": target()["spec"], "stim": stim}})
        manifests = (repo(), prompt(), target(policy={"retries": retries}))
        return plan(*manifests, live={"coding": live})

    assert "different" not in refusal(file, at(0, retries=1), at(1, retries=2))


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "an action left out": lambda it: it["actions"].pop(),
    "another action": lambda it: it["actions"][0].update(action="adopt"),
    "another resource": lambda it: it["actions"][-1].update(resource="coding/u"),
    "not destructive": lambda it: it["actions"][-1].update(destructive=True),
    "another diff": lambda it: it["actions"][-1]["diff"].append(
        {"path": "temperature", "old": 1, "new": 2}
    ),
    "fewer lines wanted": lambda it: it["actions"][-1].update(wanted=0),
    "another order": lambda it: it["actions"].reverse(),
    "a smaller estimate": lambda it: it["estimate"].update(trajectories=0),
    "a smaller estimate of one": lambda it: it["estimates"]["coding/t"].update(stim_lines=0),
    "another summary": lambda it: it["summary"].update(create=0),
    "another API": lambda it: it.update(api_url="https://other.example"),
    "the same API in other letters": lambda it: it.update(api_url=it["api_url"].upper()),
    "converged": lambda it: it.update(converged=True),
    "an orphan": lambda it: it.update(orphans=[{"kind": "Target", "resource": "coding/u"}]),
    "unreadable": lambda it: it.update(
        unreadable=[{"kind": "Target", "resource": "coding/u", "message": "Busy"}]
    ),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_file_that_was_edited_is_refused(
    file: Path, edit: Callable[[dict[str, Any]], object]
) -> None:
    save(plan(), file, scope=EVERYTHING, prune=False)
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))
    with pytest.raises(BlockedError, match="edited") as caught:
        require_same(read(file), plan())
    assert caught.value.exit_code is ExitCode.BLOCKED
    assert "reconciler plan --out" in caught.value.hint


def test_a_file_that_was_only_laid_out_anew_is_good(file: Path) -> None:
    save(plan(), file, scope=EVERYTHING, prune=False)
    content = json.loads(file.read_text())
    file.write_text(json.dumps(dict(reversed(content.items())), indent=None))
    require_same(read(file), plan())


def test_many_changes_are_not_all_told(file: Path) -> None:
    many = plan(repo(), prompt(), *(target(f"t{number}") for number in range(100)))
    message = refusal(file, plan(), many)
    assert len(message) < 1000
    assert message.count("; ") == 10
    assert "more" in message.rpartition("; ")[2]


@pytest.mark.parametrize(
    "changed",
    [
        [repo(base_model="m"), prompt(), target()],
        [repo(), prompt(content="Be brief."), target()],
        [repo(), prompt(), target(temperature=0.5)],
        [repo(), prompt(), target(policy={"on_shortfall": "accept"})],
        [repo(), prompt(), target(desired={"rollout": {"min_lines": 2}})],
        [repo(), prompt(), target(), project(budget={"max_new_trajectories": 9})],
    ],
)
def test_every_change_of_a_manifest_makes_a_plan_out_of_date(
    file: Path, changed: list[Any]
) -> None:
    assert "out of date" in refusal(file, plan(), plan(*changed))


def test_a_running_job_may_get_further_but_not_end(file: Path) -> None:
    def at(**stim: Any) -> Plan:
        state = {"config": target()["spec"], "stim": stim}
        return plan(live={"coding": live_repo(targets={"t": state})})

    save(at(status="running", lines=0), file, scope=EVERYTHING, prune=False)
    require_same(read(file), at(status="running", lines=1))
    message = refusal(file, at(status="running"), at(status="complete", lines=2))
    assert "no longer: wait target coding/t stim" in message
    ended = at(status="failed", error="out of memory")
    assert "now also: run target coding/t stim" in refusal(file, at(status="running"), ended)


def test_the_order_of_documents_is_no_change(file: Path) -> None:
    several = [
        repo(),
        prompt(),
        prompt("plain"),
        target(),
        target("u"),
        project(api_url="https://a"),
    ]
    save(plan(*several), file, scope=EVERYTHING, prune=False)
    require_same(read(file), plan(*reversed(several)))
