"""Without a connection: what the lockfile alone can tell, and that it tells the same."""

from __future__ import annotations

import copy
import shutil
import socket
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from builders import API_URL, declare, planned, prompt, prompt_id, recorded, repo, settled
from builders import target as declared_target
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import manifests

from reconciler.client.direct import DirectTransport
from reconciler.core.errors import ExitCode
from reconciler.core.model.plan import Plan
from reconciler.core.planning.offline import compute_offline_plan

from .project import PROMPTS, Project, target

if TYPE_CHECKING:
    from collections.abc import Callable

    from builders import Manifest

    from .project import Ended, Json

ONE, TWO = target("one"), target("two", questions=2)
DELETABLE: dict[str, Any] = {"policy": {"prevent_destroy": False}}


@pytest.fixture
def applied(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Give a converged project, and from then on neither key nor network to who does without."""
    project.targets(ONE, target("two", questions=2, **DELETABLE))
    assert project.run("apply").code == ExitCode.OK
    return project


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an offline command opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(DirectTransport, "__init__", refuse)


def offline(project: Project, *options: str) -> Ended:
    return project.run("plan", "--offline", "--detailed-exitcode", *options, access=())


def told(ended: Ended) -> list[tuple[str, str, str | None]]:
    actions: list[Json] = ended.json["actions"]
    return [(action["action"], action["resource"], action["stage"]) for action in actions]


def test_after_an_apply_nothing_is_left_to_do_and_nobody_is_asked(
    applied: Project, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    monkeypatch.delenv("BREAD_API_KEY")
    found = offline(applied, "--format", "json")
    assert (found.code, found.err) == (ExitCode.OK, "")
    assert found.json["converged"] is True
    assert found.json["actions"] == []
    assert found.json["api_url"] == applied.access[1]


def test_that_only_the_lockfile_was_asked_is_said(applied: Project) -> None:
    assert "as far as the lockfile knows" in offline(applied).out
    assert "as far as the lockfile knows" in offline(applied, "--format", "markdown").out
    applied.targets(target("one", spec={"max_tokens": 7}), TWO)
    found = offline(applied)
    assert found.code == ExitCode.BLOCKED
    assert "changed since the lockfile was written" in " ".join(found.out.split())


def test_it_changes_nothing(applied: Project) -> None:
    shutil.rmtree(applied.root / ".reconciler")
    before = {path: path.read_bytes() for path in applied.root.rglob("*")}
    offline(applied, "--prune")
    assert {path: path.read_bytes() for path in applied.root.rglob("*")} == before


def test_without_a_lockfile_everything_is_to_be_created(project: Project) -> None:
    found = offline(project, "--format", "json")
    assert found.code == ExitCode.PENDING
    live = project.run("plan", "--format", "json")
    assert told(found) == told(live)
    assert found.json["estimate"] == live.json["estimate"]


def more_tokens(project: Project) -> None:
    project.targets(target("one", spec={"max_tokens": 7}), TWO)


def revised(project: Project) -> None:
    project.targets(target("one", spec={"max_tokens": 7}, policy={"on_change": "revise"}), TWO)


def replaced(project: Project) -> None:
    freely = {"on_change": "replace", "prevent_destroy": False}
    project.targets(target("one", spec={"max_tokens": 7}, policy=freely), TWO)


def other_prompt(project: Project) -> None:
    project.write("prompts.yaml", PROMPTS.replace("in packaging", "in testing"))


def revised_prompt(project: Project) -> None:
    text = PROMPTS.replace("in packaging.}]", "in testing.}]\npolicy: {on_change: revise}", 1)
    project.write("prompts.yaml", text)


def new_target(project: Project) -> None:
    project.targets(ONE, TWO, target("three"))


def removed_target(project: Project) -> None:
    project.targets(ONE)


def other_model(project: Project) -> None:
    project.write("prompts.yaml", PROMPTS.replace("Qwen3-32B", "Qwen3-8B"))


def more_lines(project: Project) -> None:
    short = {"generators": [{"type": "oneshot_qs"}]}
    project.targets(ONE, TWO, target("new", spec=short, desired={"stim": {"min_lines": 900}}))


def no_change(project: Project) -> None:
    project.targets("# reordered\n" + TWO, ONE)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (no_change, ExitCode.OK),
        (more_tokens, ExitCode.BLOCKED),
        (revised, ExitCode.PENDING),
        (replaced, ExitCode.PENDING),
        (other_prompt, ExitCode.BLOCKED),
        (revised_prompt, ExitCode.BLOCKED),
        (new_target, ExitCode.PENDING),
        (removed_target, ExitCode.OK),
        (other_model, ExitCode.BLOCKED),
        (more_lines, ExitCode.PENDING),
    ],
)
def test_after_an_edit_it_says_what_the_live_plan_says(
    applied: Project, change: Callable[[Project], None], code: ExitCode
) -> None:
    change(applied)
    assert offline(applied).code == code
    for options in ((), ("--prune",)):
        found = offline(applied, "--format", "json", *options)
        live = applied.run("plan", "--format", "json", "--detailed-exitcode", *options)
        assert told(found) == told(live)
        assert found.json["summary"] == live.json["summary"]
        assert found.json.get("orphans") == live.json.get("orphans")
        assert found.code == live.code


def test_a_stage_that_is_wanted_now_is_planned(project: Project) -> None:
    project.targets(target("one", desired={"rollout": "none"}))
    project.run("apply")
    project.targets(target("one"))
    found = offline(project, "--format", "json")
    assert found.code == ExitCode.PENDING
    assert told(found) == [("run", "coding/one", "rollout")]
    assert found.json["estimate"]["trajectories"] == 12


def test_a_lockfile_that_cannot_be_used_is_invalid(applied: Project) -> None:
    applied.lockfile.write_text("<<<<<<< ours\n" + applied.lockfile.read_text())
    assert offline(applied).code == ExitCode.INVALID


class TestValidate:
    def validate(self, project: Project, *options: str) -> Ended:
        lockfile = ("--lockfile", str(project.lockfile))
        return project.run("validate", *lockfile, *options, access=())

    def test_a_lockfile_that_belongs_to_the_manifests_is_valid(
        self, applied: Project, monkeypatch: pytest.MonkeyPatch, no_network: None
    ) -> None:
        monkeypatch.delenv("BREAD_API_KEY")
        found = self.validate(applied)
        assert (found.code, found.err) == (ExitCode.OK, "")
        assert self.validate(applied, "--format", "json").json["lockfile"] == []

    @pytest.mark.parametrize(
        ("change", "line"),
        [
            (more_tokens, "target coding/one has changed since the lockfile was written"),
            (other_prompt, "prompt coding/expert has changed since the lockfile was written"),
            (new_target, "target coding/three is not in the lockfile"),
            (removed_target, "target coding/two is in the lockfile, but not declared"),
            (other_model, "repo coding has changed since the lockfile was written"),
        ],
    )
    def test_what_differs_is_named(
        self, applied: Project, change: Callable[[Project], None], line: str
    ) -> None:
        change(applied)
        found = self.validate(applied)
        assert found.code == ExitCode.PENDING
        assert line in found.err
        as_json = self.validate(applied, "--format", "json")
        assert as_json.code == ExitCode.PENDING
        assert line in as_json.json["lockfile"]

    def test_a_lockfile_that_is_not_there_belongs_to_nothing(self, project: Project) -> None:
        found = self.validate(project)
        assert found.code == ExitCode.PENDING
        assert found.err.count("is not in the lockfile") == 5

    @pytest.mark.parametrize("text", ["[", "version: 2\n", "<<<<<<< ours\n", "nonsense\n"])
    def test_a_lockfile_that_cannot_be_read_is_invalid(self, project: Project, text: str) -> None:
        project.lockfile.write_text(text)
        assert self.validate(project).code == ExitCode.INVALID

    def test_without_being_asked_nobody_looks_at_the_lockfile(self, project: Project) -> None:
        project.lockfile.write_text("nonsense")
        assert project.run("validate", access=()).code == ExitCode.OK


Edit = tuple[str, Any]

edits: st.SearchStrategy[Edit] = st.one_of(
    st.tuples(st.just("spec"), st.sampled_from([{"max_tokens": 7}, {"temperature": 0.123}])),
    st.tuples(st.just("prompt"), st.just("Be different.")),
    st.tuples(st.just("base_model"), st.just("another/model")),
    st.tuples(st.just("policy"), st.just({"on_change": "revise", "retries": 9})),
    st.tuples(st.just("desired"), st.sampled_from([{"rollout": "none"}, {}, {"stim": "none"}])),
    st.tuples(st.just("new"), st.just("brand-new")),
    st.tuples(st.just("removed"), st.none()),
)


def edited(before: list[Manifest], what: str, value: Any, random: Any) -> list[Manifest]:
    """Return manifests after one edit of some document."""
    after = copy.deepcopy(before)
    targets = [one for one in after if one["kind"] == "Target"]
    chosen = random.choice(targets)
    if what == "removed":
        used = {one["spec"].get("template") for one in targets}
        free = [one for one in targets if one["metadata"]["name"] not in used]
        after.remove(random.choice(free))
    elif what == "new":
        after.append(declared_target(value, repo=chosen["metadata"]["repo"]))
    elif what == "prompt":
        one = random.choice([one for one in after if one["kind"] == "Prompt"])
        one["spec"] = {"messages": [{"role": "system", "content": value}]}
    elif what == "base_model":
        one = random.choice([one for one in after if one["kind"] == "Repo"])
        one["spec"] = {"base_model": value}
    elif what == "desired":
        chosen["desired"] = value
    else:
        chosen[what] = {**chosen.get(what, {}), **value}
    return after


def verbs(plan: Plan) -> list[tuple[str, str, str]]:
    return [(str(a.verb), str(a.resource), str(a.stage or "")) for a in plan.changes]


@settings(max_examples=120)
@given(manifests(), edits, st.randoms(use_true_random=False), st.booleans())
def test_offline_and_live_plans_agree_when_live_is_what_was_recorded(
    before: list[Manifest], edit: Edit, random: Any, prune: bool
) -> None:
    first = declare(*before)
    live = settled(first, {})
    lock = recorded(first, live)
    desired = declare(*edited(before, *edit, random))
    found = compute_offline_plan(desired, lock, api_url=API_URL, prune=prune)
    expected = planned(desired, live, lock, prune=prune)
    assert verbs(found) == verbs(expected)
    assert found.unknown == expected.unknown == ()
    assert found.exit_code == expected.exit_code
    assert found.live_names == expected.live_names


def test_a_stage_that_was_not_wanted_before_is_no_mystery() -> None:
    first = declare(repo(), prompt(), declared_target(desired={"stim": "none"}))
    lock = recorded(first, settled(first, {}))
    desired = declare(repo(), prompt(), declared_target())
    found = compute_offline_plan(desired, lock, api_url=API_URL)
    assert found.unknown == ()
    assert [(a.verb, a.stage) for a in found.changes] == [("run", "stim"), ("run", "rollout")]


def test_a_prompt_that_is_recorded_as_revised_is_taken_as_such() -> None:
    first = declare(repo(), prompt())
    second = declare(repo(), prompt(content="Be brief.", on_change="revise"))
    live = settled(first, {})
    after = settled(second, live, recorded(first, live))
    lock = recorded(second, after, recorded(first, live))
    found = compute_offline_plan(second, lock, api_url=API_URL)
    assert found.changes == ()
    assert found.live_names[prompt_id()] == lock.prompts[prompt_id()].live_name != "expert"


def test_the_lockfile_is_read_as_it_was_written(applied: Project) -> None:
    value = yaml.safe_load(applied.lockfile.read_text())
    value["targets"]["coding/one"]["rollout"].update(status="running", lines=3)
    applied.lockfile.write_text(yaml.safe_dump(value))
    found = offline(applied, "--format", "json")
    assert told(found) == [("wait", "coding/one", "rollout")]
    assert found.json["actions"][0]["lines"] == 3
    assert found.code == ExitCode.PENDING
