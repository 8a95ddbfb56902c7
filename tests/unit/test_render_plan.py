"""A plan as text: what a reviewer reads."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from builders import (
    API_URL,
    NO_ANSWER,
    SPEC,
    declare,
    live_repo,
    planned,
    project,
    prompt,
    prompt_id,
    recorded,
    repo,
    settled,
    target,
    target_id,
)
from hypothesis import given
from hypothesis import strategies as st
from strategies import manifests, opened, situations, with_gaps

from reconciler.core.model.desired import Stage
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.plan import (
    Action,
    Estimate,
    FieldDiff,
    Plan,
    Reason,
    Unknown,
    Verb,
)
from reconciler.render.plan import cost, counts, text
from reconciler.render.style import Style

if TYPE_CHECKING:
    from builders import Manifest
    from strategies import Situation

PLAIN, COLOURED = Style(colour=False), Style(colour=True)
INDENT = 21
EVIL = "\x1b[31mevil\x1b[0m\n\x9b2J\u202e\x07"


def shown(plan: Plan, width: int = 80) -> list[str]:
    return text(plan, PLAIN, width=width).splitlines()


def test_a_first_plan_reads_like_a_list_of_things_to_do() -> None:
    spec: Any = {"generators": [{"type": "oneshot_qs", "numq": 100}], "num_traj_per_stimulus": 5}
    wanted = {"rollout": {"min_lines": 400}}
    desired = declare(repo(), prompt(), target(**spec, max_tokens=150, desired=wanted))
    assert shown(planned(desired, {})) == [
        "  + create  repo    coding",
        "  + create  prompt  coding/expert",
        "  + create  target  coding/t",
        "  > run     stim    coding/t       0 / 100 lines",
        "  > run     rollout coding/t       0 / 500 lines (at least 400), after stim",
        "",
        "Plan: 3 to create, 2 to run.",
        "New: 100 questions, 500 trajectories, at most 75,000 output tokens.",
    ]


@pytest.mark.parametrize(
    ("estimate", "told"),
    [
        (Estimate(1, 1, 1), "New: 1 question, 1 trajectory, at most 1 output token."),
        (Estimate(0, 2, None), "New: 0 questions, 2 trajectories, no bound on output tokens."),
    ],
)
def test_one_of_anything_is_told_as_one(estimate: Estimate, told: str) -> None:
    assert cost(estimate) == told


def test_nothing_to_do_is_one_line() -> None:
    desired = declare(repo(), prompt(), target())
    live = settled(desired, {})
    found = shown(planned(desired, live, recorded(desired, live)))
    assert found == ["Nothing to do: live state satisfies every manifest."]


def test_what_differs_is_shown_with_what_can_be_done() -> None:
    live = live_repo(targets={"t": {"config": {**SPEC, "temperature": 1.0}}})
    found = shown(planned(declare(target(temperature=0.7)), {"coding": live}))
    assert found == [
        "  ! blocked target  coding/t  the live config differs and is immutable",
        "            temperature: 1.0 → 0.7",
        "            Set policy.on_change to revise or replace, or undo the change.",
        "",
        "Plan: 1 blocked.",
    ]


def test_a_revision_is_shown_with_its_name_and_what_it_leaves_behind() -> None:
    done = {"status": "complete", "lines": 2}
    live = live_repo(targets={"t": {"config": {**SPEC, "temperature": 1.0}, "stim": done}})
    declared = target(temperature=0.7, policy={"on_change": "revise"}, desired={"rollout": "none"})
    desired = declare(declared)
    [action, _] = planned(desired, {"coding": live}).actions
    found = " ".join(shown(planned(desired, {"coding": live})))
    assert action.live_name in found
    assert "leaves t behind, with 2 stim lines" in found


def test_what_cannot_be_read_is_shown() -> None:
    plan = Plan(API_URL, unknown=(Unknown(target_id(), NO_ANSWER),))
    found = "\n".join(shown(plan))
    assert re.search(r"\? unknown +target +coding/t", found)
    assert NO_ANSWER in found
    assert "Live state could not be read for 1 resource" in found


def unreadable(*whys: str) -> Plan:
    ids = [target_id(f"t{number}") for number in range(len(whys))]
    return Plan(API_URL, unknown=tuple(map(Unknown, ids, whys)))


def test_what_cannot_be_read_for_one_reason_is_one_entry_however_much_it_is() -> None:
    found = shown(unreadable(*["GET /v1/repo/coding: connection refused"] * 1000))
    assert found == [
        "  ? unknown 1,000 resources",
        "            coding/t0, coding/t1, coding/t10 and 997 more",
        "            GET /v1/repo/coding: connection refused",
        "",
        "Live state could not be read for 1,000 resources.",
    ]


def test_one_reason_at_many_places_is_told_without_the_places() -> None:
    plan = unreadable("GET /v1/repo/a: connection refused", "GET /v1/repo/b: connection refused")
    assert shown(plan)[:3] == [
        "  ? unknown 2 resources",
        "            coding/t0, coding/t1",
        "            connection refused",
    ]
    assert text(plan, PLAIN, verbose=True).count("GET /v1/repo/") == 2


def test_what_cannot_be_read_for_other_reasons_stands_apart() -> None:
    found = shown(unreadable("no answer", "no answer", "GET /v1/repo/a: 503: tired"))
    assert [line for line in found if "?" in line] == [
        "  ? unknown 2 resources",
        "  ? unknown target  coding/t2",
    ]
    assert found[-1] == "Live state could not be read for 3 resources."


def test_orphans_are_shown() -> None:
    [line, *_] = shown(Plan(API_URL, orphans=(target_id("gone"),)))
    assert line.strip().startswith("· orphan  target  coding/gone")


def test_a_budget_is_shown_before_everything_else() -> None:
    desired = declare(project(budget={"max_new_trajectories": 1}), target(), repo(), prompt())
    [first, *_] = shown(planned(desired, {}))
    assert re.match(r"  ! blocked +project +docs +over budget", first)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_long_texts_are_wrapped(width: int) -> None:
    words = "all the words of a service that has a lot to say about its own misfortune " * 4
    action = Action(Verb.BLOCKED, target_id(), Reason.RETRIES_EXHAUSTED, message=words)
    assert fits(Plan(API_URL, (action,), unknown=(Unknown(target_id(), words),)), width)


@pytest.mark.parametrize("name", ["t" * 20, "t" * 40, "t" * 120])
def test_long_names_break_nothing_but_their_own_line(name: str) -> None:
    id_ = target_id(f"x{name}")
    actions = [
        Action(verb, id_, Reason.CONFIG_CHANGED, live_name=f"{name}-12345678")
        for verb in (Verb.REVISE, Verb.BLOCKED)
    ]
    assert fits(
        Plan(
            API_URL, tuple(actions), orphans=(target_id(name),), unknown=(Unknown(id_, NO_ANSWER),)
        )
    )


def test_long_values_are_shortened_where_they_differ() -> None:
    old = {"role": "system", "content": "x" * 300}
    new = {"role": "system", "content": "x" * 300 + "y"}
    diff = (FieldDiff("messages[0]", old, new),)
    action = Action(Verb.BLOCKED, prompt_id(), Reason.CONTENT_CHANGED, diff=diff)
    assert fits(Plan(API_URL, (action,)))


def test_many_kinds_of_action_are_summed_up_within_the_width() -> None:
    actions = tuple(Action(verb, target_id(), Reason.MISSING) for verb in Verb for _ in range(1200))
    estimate = Estimate(1_000_000, 50_000_000, 500_000_000_000)
    assert fits(Plan(API_URL, actions, estimate=estimate))


@given(manifests(), situations(), st.data())
def test_every_plan_fits_a_terminal(
    before: list[Manifest], situation: Situation, data: st.DataObject
) -> None:
    desired, live = opened(situation)
    lock = recorded(declare(*before), live)
    plan = planned(desired, data.draw(with_gaps(live)), lock, prune=True)
    assert fits(plan)
    assert "\x1b" not in text(plan, PLAIN)


@given(situations())
def test_colours_change_nothing_but_colours(situation: Situation) -> None:
    plan = planned(*opened(situation))
    painted = text(plan, COLOURED)
    assert re.sub(r"\x1b\[[0-9]+m", "", painted) == text(plan, PLAIN)


def test_nothing_foreign_reaches_the_terminal_as_it_is() -> None:
    diff = (FieldDiff(EVIL, EVIL, {EVIL: EVIL}),)
    id_ = ResourceId(Kind.TARGET, "coding", EVIL)
    actions = tuple(
        Action(verb, id_, Reason.CONFIG_CHANGED, None, EVIL, diff, message=EVIL) for verb in Verb
    )
    plan = Plan(API_URL, actions, (Unknown(id_, EVIL),), (id_,))
    for style in (PLAIN, COLOURED):
        found = re.sub(r"\x1b\[[0-9]+m", "", text(plan, style))
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", found)
        assert not re.search(r"^evil", found, re.MULTILINE)


def accepted(name: str) -> Action:
    reason = Reason.SHORTFALL_ACCEPTED
    return Action(Verb.UNCHANGED, target_id(name), reason, Stage.STIM, lines=7, wanted=10)


def test_an_accepted_shortfall_is_told_once_where_no_ops_are_shown() -> None:
    noted = replace(accepted("a"), stage=None, message="7 of 10 stim lines, accepted by policy")
    plan = Plan(API_URL, (noted,), accepted_shortfalls=(accepted("a"), accepted("b")))
    told = text(plan, PLAIN, verbose=True)
    assert told.count("coding/a") == told.count("coding/b") == 1


def test_an_accepted_shortfall_is_told_though_nothing_is_to_be_done() -> None:
    plan = Plan(API_URL, accepted_shortfalls=tuple(map(accepted, "aabcd")))
    assert shown(plan)[:4] == [
        "    as is   5 stages",
        "            coding/a, coding/b, coding/c and 1 more",
        "            complete with fewer lines than wanted, accepted by policy",
        "",
    ]
    assert shown(plan)[4].startswith("Nothing to do")


def test_counts_leave_out_what_is_not_there() -> None:
    actions = (Action(Verb.RUN, target_id(), Reason.NOT_STARTED),) * 1234
    assert counts(Plan(API_URL, actions)) == "1,234 to run"


def fits(plan: Plan, width: int = 80) -> bool:
    """Tell whether every line is within the width, but for words that cannot be broken."""
    too_long = [line for line in shown(plan, width) if len(line) > width]
    assert all(max(map(len, line.split())) > width - INDENT for line in too_long), too_long
    return True
