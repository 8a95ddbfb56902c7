"""Plans, events and results as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from builders import API_URL, planned, recorded, settled, target_id
from hypothesis import given
from strategies import opened, situations

from reconciler import schema_files
from reconciler.core.errors import ExitCode
from reconciler.core.model.desired import Stage
from reconciler.core.model.events import Event, EventKind, Outcome, RunResult
from reconciler.core.model.plan import Action, Plan, Reason, Verb
from reconciler.render import json as render_json

if TYPE_CHECKING:
    from strategies import Situation

ACTION = schema_files.load("plan")["$defs"]["action"]["properties"]


def test_the_schema_knows_every_verb_and_reason() -> None:
    assert set(ACTION["action"]["enum"]) == set(Verb) - {Verb.UNCHANGED}
    assert set(ACTION["reason"]["enum"]) == set(Reason) - {Reason.CONVERGED}


@given(situations())
def test_the_digest_is_that_of_the_plan(situation: Situation) -> None:
    desired, live = opened(situation)
    one, same = (render_json.plan(planned(desired, live)) for _ in range(2))
    assert one["digest"] == same["digest"]
    after = settled(desired, live)
    other = render_json.plan(planned(desired, after, recorded(desired, after)))
    assert (one["digest"] == other["digest"]) == (one["actions"] == other["actions"])


def test_a_plan_without_anything_is_complete_all_the_same() -> None:
    found = render_json.plan(Plan(API_URL))
    assert list(found) == [
        "format",
        "digest",
        "api_url",
        "converged",
        "summary",
        "actions",
        "estimate",
    ]
    assert set(found["summary"]) == set(Verb)


def test_the_live_name_is_told_where_it_differs() -> None:
    names = ["t", "t-12345678", ""]
    actions = tuple(Action(Verb.BLOCKED, target_id(), Reason.ORPHAN, live_name=n) for n in names)
    found = render_json.plan(Plan(API_URL, actions))["actions"]
    assert [action.get("live_name") for action in found] == [None, "t-12345678", None]


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u202e"])
def test_json_text_controls_no_terminal(char: str) -> None:
    found = render_json.text({"message": f"a{char}b"})
    assert char not in found
    assert json.loads(found) == {"message": f"a{char}b"}


def test_json_text_leaves_letters_alone() -> None:
    assert render_json.text({"é": "漢"}, indent=None) == '{"é": "漢"}\n'


def test_an_event_tells_only_what_applies() -> None:
    created = Event(EventKind.CREATED, target_id())
    assert render_json.event(created) == {
        "event": "created",
        "kind": "Target",
        "resource": "coding/t",
    }


def test_an_event_tells_all_that_applies() -> None:
    told = render_json.event(
        Event(EventKind.PROGRESS, target_id(), Stage.STIM, 0, 10, 0.0, 2, 1.23456, "slow")
    )
    assert told == {
        "event": "progress",
        "kind": "Target",
        "resource": "coding/t",
        "stage": "stim",
        "lines": 0,
        "expected": 10,
        "progress_percent": 0.0,
        "attempt": 2,
        "seconds": 1.235,
        "message": "slow",
    }


@pytest.mark.parametrize(
    ("codes", "interrupted", "exit_code"),
    [
        ([], False, 0),
        ([ExitCode.OK, ExitCode.OK], False, 0),
        ([ExitCode.OK, ExitCode.PENDING], False, 2),
        ([ExitCode.PENDING, ExitCode.BLOCKED], False, 3),
        ([ExitCode.BLOCKED, ExitCode.ERROR], False, 1),
        ([ExitCode.OK], True, 130),
    ],
)
def test_the_summary_agrees_with_the_exit_code(
    codes: list[ExitCode], interrupted: bool, exit_code: int
) -> None:
    result = RunResult(tuple(Outcome(target_id(), code) for code in codes), interrupted)
    told = render_json.result(result)
    assert told["event"] == "summary"
    assert told["exit_code"] == exit_code == result.exit_code
    assert told["converged"] == (exit_code == 0)
    assert sum(told["resources"].values()) == len(codes)


def test_a_run_that_an_error_ended_has_come_so_far() -> None:
    outcomes = (Outcome(target_id()), Outcome(target_id("u"), ExitCode.PENDING))
    told = render_json.stopped(ExitCode.ERROR, "401: no", RunResult(outcomes, requests=7))
    assert told == {
        "event": "summary",
        "exit_code": 1,
        "converged": False,
        "resources": {"converged": 1, "pending": 1, "blocked": 0, "errors": 0},
        "requests": 7,
        "error": "401: no",
    }


def test_a_run_that_an_error_ended_before_it_began_is_not_converged() -> None:
    told = render_json.stopped(ExitCode.LOCKED, "another run")
    assert (told["exit_code"], told["converged"], told["requests"]) == (4, False, 0)
    assert not any(told["resources"].values())


def test_a_plan_that_was_declined_is_still_pending() -> None:
    assert RunResult((), declined=True).exit_code is ExitCode.PENDING
