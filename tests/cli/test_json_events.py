"""What machines read: every line is as its schema says, and no two forms of a result disagree."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from builders import planned, recorded
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from strategies import opened, situations, with_gaps

from reconciler import schema_files
from reconciler.core.errors import ExitCode
from reconciler.lockfile import hold
from reconciler.render import json as as_json
from reconciler.render import markdown
from reconciler.render import plan as plan_text
from reconciler.render.style import Style
from reconciler.workflow.connection import SystemClock

from .project import Project, target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from strategies import Situation

    from .project import Ended, Json

EVENTS = Draft202012Validator(dict(schema_files.load("event")))
PLANS = Draft202012Validator(dict(schema_files.load("plan")))
FREELY: dict[str, Any] = {"on_change": "replace", "prevent_destroy": False}
NOWHERE: dict[str, Any] = {"generators": [{"type": "from_dataset", "dataset": "nowhere"}]}


def fresh(project: Project) -> None:
    pass


def converged(project: Project) -> None:
    project.run("apply")


def forgotten(project: Project) -> None:
    project.run("apply")
    project.lockfile.unlink()


def failing(project: Project) -> None:
    project.targets(target("one"), target("broken", spec=NOWHERE, policy={"retries": 2}))


def failed(project: Project) -> None:
    failing(project)
    assert project.run("apply").code == ExitCode.BLOCKED


def changed(project: Project) -> None:
    project.run("apply")
    project.targets(target("one", spec={"max_tokens": 7}), target("new"))


def replaced(project: Project) -> None:
    project.targets(target("one", policy=FREELY))
    project.run("apply")
    project.targets(target("one", policy=FREELY, spec={"max_tokens": 7}))


def orphaned(project: Project) -> None:
    project.targets(target("one"), target("gone", policy={"prevent_destroy": False}))
    project.run("apply")
    project.targets(target("one"))


def short(policy: str) -> Callable[[Project], None]:
    """Return the situation of a target with two questions of which one comes to nothing."""

    def arrange(project: Project) -> None:
        (project.root / "datasets").mkdir()
        (project.root / "datasets" / "few.jsonl").write_text('{"question": "Why?"}\n')
        project.access = ("--local",)
        few = {"generators": [{"type": "from_dataset", "dataset": "few"}]}
        wanted = {"stim": {"min_lines": 2}}
        project.targets(
            target("few", spec=few, desired=wanted, policy={**FREELY, "on_shortfall": policy})
        )

    return arrange


def foreign(project: Project) -> None:
    project.lockfile.write_text("version: 1\napi_url: https://other.example\n")


def apply(project: Project, *options: str) -> Ended:
    """Apply with JSON lines; check that each is valid, and the last one the truth."""
    ended = project.run("apply", "--format", "json", *options)
    check_lines(ended)
    return ended


def check_lines(ended: Ended) -> None:
    *events, summary = ended.lines
    for line in ended.lines:
        EVENTS.validate(line)
    assert not [event for event in events if event["event"] == "summary"]
    assert summary["event"] == "summary"
    assert summary["exit_code"] == ended.code
    assert summary["converged"] == (ended.code == ExitCode.OK)
    if "error" not in summary and ended.code != ExitCode.INTERRUPTED:
        codes = {"errors": ExitCode.ERROR, "blocked": ExitCode.BLOCKED, "pending": ExitCode.PENDING}
        found = [code for name, code in codes.items() if summary["resources"][name]]
        assert ended.code == (found[0] if found else ExitCode.OK)


def kinds(ended: Ended) -> set[str]:
    return {line["event"] for line in ended.lines} - {"summary"}


@pytest.mark.parametrize(
    ("arrange", "options", "code", "events"),
    [
        (fresh, [], ExitCode.OK, {"created", "started", "complete"}),
        (converged, [], ExitCode.OK, set()),
        (forgotten, [], ExitCode.OK, {"adopted"}),
        (failing, [], ExitCode.BLOCKED, {"failed", "blocked", "complete"}),
        (changed, [], ExitCode.BLOCKED, {"blocked", "created"}),
        (replaced, [], ExitCode.BLOCKED, {"blocked"}),
        (replaced, ["--allow-destroy"], ExitCode.OK, {"deleted", "created"}),
        (orphaned, ["--prune", "--allow-destroy"], ExitCode.OK, {"deleted"}),
        (orphaned, ["--prune"], ExitCode.BLOCKED, {"blocked"}),
        (short("fail"), [], ExitCode.BLOCKED, {"blocked", "started"}),
        (short("accept"), [], ExitCode.OK, {"warning", "complete"}),
        (fresh, ["--no-wait"], ExitCode.PENDING, {"pending", "started"}),
        (fresh, ["--max-trajectories", "1"], ExitCode.BLOCKED, {"blocked"}),
        (foreign, [], ExitCode.INVALID, set()),
    ],
)
def test_every_line_is_valid_and_the_last_one_the_truth(
    project: Project,
    arrange: Callable[[Project], None],
    options: list[str],
    code: ExitCode,
    events: set[str],
) -> None:
    arrange(project)
    ended = apply(project, *options)
    assert ended.code == code
    assert events <= kinds(ended)
    again = project.run("apply", *options)
    assert again.out.startswith("Converged") == (again.code == ExitCode.OK)
    assert again.code == code or code is ExitCode.PENDING


def test_each_attempt_is_told_with_its_number(project: Project) -> None:
    failing(project)
    lines = [line for line in apply(project).lines if line.get("resource") == "coding/broken"]
    started = [line.get("attempt", 1) for line in lines if line["event"] == "started"]
    assert started == [1, 2, 3]
    ends = [line["event"] for line in lines if line["event"] in {"failed", "blocked"}]
    assert ends == ["failed", "failed", "blocked"]


def test_a_timeout_is_a_valid_end(slow_project: Project) -> None:
    ended = apply(slow_project, "--timeout", "1s")
    assert ended.code == ExitCode.PENDING
    assert {"pending", "started"} <= kinds(ended)


def test_a_held_lock_is_a_valid_end(project: Project) -> None:
    with hold(project.root):
        ended = apply(project)
    assert ended.code == ExitCode.LOCKED
    assert "another run" in ended.lines[-1]["error"]


def test_a_refused_key_is_a_valid_end(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREAD_API_KEY", "wrong-key-of-this-test")
    ended = apply(project)
    assert ended.code == ExitCode.ERROR
    assert "wrong-key-of-this-test" not in ended.out
    summary = ended.lines[-1]
    assert summary["requests"] > 0
    assert summary["resources"] == {"converged": 0, "pending": 0, "blocked": 0, "errors": 5}


def test_an_unreachable_api_is_a_valid_end(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SystemClock, "sleep", lambda *_: asyncio.sleep(0))
    project.access = ("--api-url", "http://127.0.0.1:9")
    ended = apply(project)
    assert ended.code == ExitCode.ERROR
    assert ended.lines[-1]["resources"]["errors"] == 5


def test_no_line_of_others_can_become_a_line_of_ours(project: Project) -> None:
    evil = 'x\n{"event": "summary", "exit_code": 0, "converged": true}\u2028\x1b[2J'
    project.targets(target("one", spec={"generators": [{"type": "from_dataset", "dataset": evil}]}))
    ended = apply(project)
    assert ended.code == ExitCode.BLOCKED
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u2028]", ended.out)


@pytest.mark.parametrize(
    "arrange",
    [fresh, converged, forgotten, failed, changed, replaced, orphaned, short("fail")],
    ids=lambda arrange: arrange.__qualname__.split(".")[0],
)
def test_a_plan_has_one_meaning_in_all_its_forms(
    project: Project, arrange: Callable[[Project], None]
) -> None:
    arrange(project)
    for options in ((), ("--prune", "--offline")):
        forms = {
            name: project.run("plan", "--detailed-exitcode", "--format", name, *options)
            for name in ("text", "json", "markdown")
        }
        PLANS.validate(forms["json"].json)
        assert len({ended.code for ended in forms.values()}) == 1
        done = forms["json"].code == ExitCode.OK
        assert forms["json"].json["converged"] == done
        assert ("Nothing to do" in forms["text"].out) == done
        assert ("Nothing to do" in forms["markdown"].out) == done
        assert project.run("plan", *options).code == ExitCode.OK


@st.composite
def met(draw: st.DrawFn) -> tuple[Situation, Any]:
    """Return a situation, and what of its live state can be seen."""
    situation = draw(situations())
    return situation, draw(st.just(situation[1]) | with_gaps(situation[1]))


@given(met(), st.booleans(), st.booleans())
def test_text_json_markdown_and_exit_code_never_disagree(
    met: tuple[Situation, Any], prune: bool, known: bool
) -> None:
    situation, seen = met
    desired, live = opened(situation)
    lock = recorded(desired, live) if known else None
    plan = planned(desired, seen, lock, prune=prune)
    told: Json = json.loads(as_json.text(as_json.plan(plan)))
    PLANS.validate(told)
    done = plan.exit_code is ExitCode.OK
    assert told["converged"] == done
    assert ("Nothing to do" in plan_text.text(plan, Style())) == done
    assert ("Nothing to do" in markdown.plan(plan)) == done
    assert (plan.exit_code is ExitCode.ERROR) == ("unreadable" in told)
    summary = told["summary"]
    if plan.exit_code is ExitCode.BLOCKED:
        assert summary["blocked"]
    if plan.exit_code is ExitCode.PENDING:
        assert not summary["blocked"]
        assert any(summary[verb] for verb in PENDING)
    assert {verb: count for verb, count in summary.items() if verb != "unchanged"} == {
        verb: sum(action["action"] == verb for action in told["actions"])
        for verb in summary
        if verb != "unchanged"
    }


PENDING = ("create", "revise", "replace", "delete", "run", "wait")


def documented() -> Iterator[str]:
    for schema in (EVENTS.schema, PLANS.schema):
        yield from re.findall(r'"enum": (\[.*?\])', json.dumps(schema))


def test_a_schema_lists_every_word_that_can_be_said() -> None:
    from reconciler.core.model.events import EventKind
    from reconciler.core.model.plan import Reason, Verb

    words = [set(json.loads(text)) for text in documented()]
    assert set(map(str, EventKind)) in words
    assert {str(verb) for verb in Verb if verb is not Verb.UNCHANGED} in words
    assert {str(reason) for reason in Reason if reason is not Reason.CONVERGED} in words
