"""The plan as a whole; ``tests/plan_cases`` holds the situations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from builders import (
    API_URL,
    SPEC,
    declare,
    live_repo,
    planned,
    prompt,
    recorded,
    repo,
    settled,
    target,
    target_id,
)

from reconciler.core.errors import ExitCode
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.observed import LiveRepo, Observed
from reconciler.core.model.plan import Action, Plan, Reason, Unknown, Verb
from reconciler.core.planning import compute_plan
from reconciler.core.planning.orphans import find_orphans

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERYTHING = (repo(), prompt(), target())
CHANGED = live_repo(targets={"t": {"config": {**SPEC, "max_tokens": 1}}})
REPLACING = {"on_change": "replace", "prevent_destroy": False}


def test_what_was_not_asked_for_is_not_taken_for_absent() -> None:
    desired = declare(*EVERYTHING)
    plan = compute_plan(desired, Observed(), None, api_url=API_URL)
    assert plan.actions == ()
    assert {unknown.resource for unknown in plan.unknown} == desired.ids()


def test_every_declared_resource_has_one_live_name() -> None:
    desired = declare(*EVERYTHING)
    names = planned(desired, {}).live_names
    assert {id_.kind: name for id_, name in names.items()} == {
        Kind.REPO: "coding",
        Kind.PROMPT: "expert",
        Kind.TARGET: "t",
    }


def test_the_api_that_was_observed_is_part_of_the_plan() -> None:
    assert planned(declare(*EVERYTHING), {}).api_url == API_URL


class TestOrphans:
    earlier = declare(*EVERYTHING, target("gone"))
    lock = recorded(earlier, settled(earlier, {}))

    def test_an_orphan_is_known_to_the_lockfile_alone(self) -> None:
        assert find_orphans(declare(*EVERYTHING), self.lock) == (target_id("gone"),)

    def test_without_a_lockfile_there_are_none(self) -> None:
        assert find_orphans(declare(*EVERYTHING), None) == ()

    def test_what_was_not_selected_is_no_orphan(self) -> None:
        scope = frozenset({target_id("gone")})
        selected = replace(declare(*EVERYTHING), out_of_scope=scope)
        assert find_orphans(selected, self.lock) == ()


class TestReplacement:
    def test_a_replaced_revision_is_told_by_its_live_name(self) -> None:
        policy = {**REPLACING, "on_shortfall": "replace"}
        desired = declare(target(max_tokens=2, desired={"stim": {"min_lines": 2}}, policy=policy))
        revision = f"t-{desired.targets[target_id()].digest[7:15]}"
        short = {
            "config": {**SPEC, "max_tokens": 2},
            "stim": {"status": "complete", "lines": 1},
        }
        live = live_repo(targets={"t": CHANGED["targets"]["t"], revision: short})
        first = planned(desired, {"coding": live}).actions[0]
        assert (first.verb, first.live_name) == (Verb.REPLACE, revision)
        assert first.message == f"{revision} would be deleted, with 1 stim lines"


class TestExitCode:
    @pytest.mark.parametrize(
        ("verbs", "unknown", "code"),
        [
            ([], False, ExitCode.OK),
            ([Verb.UNCHANGED, Verb.ADOPT], False, ExitCode.OK),
            ([Verb.RUN], False, ExitCode.PENDING),
            ([Verb.WAIT], False, ExitCode.PENDING),
            ([Verb.DELETE], False, ExitCode.PENDING),
            ([Verb.RUN, Verb.BLOCKED], False, ExitCode.BLOCKED),
            ([Verb.BLOCKED], True, ExitCode.ERROR),
            ([], True, ExitCode.ERROR),
        ],
    )
    def test_the_worst_wins(self, verbs: list[Verb], unknown: bool, code: ExitCode) -> None:
        id_ = ResourceId(Kind.TARGET, "coding", "t")
        actions = tuple(Action(verb, id_, Reason.MISSING) for verb in verbs)
        plan = Plan(API_URL, actions, unknown=(Unknown(id_, "no answer"),) if unknown else ())
        assert plan.exit_code is code
        assert plan.converged is (code is ExitCode.OK)


class _Listing(frozenset[str]):
    """Names that count how often somebody goes through all of them."""

    gone_through = 0

    def __iter__(self) -> Iterator[str]:
        type(self).gone_through += 1
        return super().__iter__()


def test_many_references_to_nothing_are_not_each_held_against_all_that_is_live() -> None:
    _Listing.gone_through = 0
    lost = [target(f"a{n:02}", teacher_prompt="exprt") for n in range(50)]
    lost += [target(f"b{n:02}", teacher_prompt=f"exprt{n}") for n in range(50)]
    names = _Listing({"expert", *(f"other-{n}" for n in range(20_000))})
    seen = Observed(
        repos={"coding": LiveRepo(None)},
        prompt_names={"coding": names},
        target_names={"coding": frozenset()},
    )
    plan = compute_plan(declare(*lost), seen, None, api_url=API_URL)
    messages = [action.message for action in plan.blocked]
    assert len(messages) == len(lost)
    assert all(text.endswith('(did you mean "expert"?)') for text in messages[:50])
    assert _Listing.gone_through < 10
