"""Laws of planning that hold for every project and every live state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import declare, digests, look, planned, recorded, repo_id, settled
from hypothesis import given
from hypothesis import strategies as st
from strategies import manifests, opened, situations, with_gaps

from reconciler import schema_files
from reconciler.core.equality.canonical import revision_name
from reconciler.core.model.manifest import Kind
from reconciler.core.model.observed import Unreadable
from reconciler.core.model.plan import CREATES, Verb
from reconciler.core.planning.gates import refuse_destruction
from reconciler.core.schema.checking import Checker
from reconciler.render import json as render_json

if TYPE_CHECKING:
    from random import Random

    from builders import Live, Manifest
    from strategies import Situation

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.manifest import ResourceId

MAKES_OR_DELETES = CREATES | {Verb.DELETE}


@given(situations())
def test_what_a_plan_leads_to_needs_no_further_plan(situation: Situation) -> None:
    desired, live = opened(situation)
    blocked = {action.resource for action in planned(desired, live).blocked}
    after = settled(desired, live)
    again = planned(desired, after, recorded(desired, after))
    assert again.pending == ()
    assert {action.resource for action in again.changes} <= blocked


@given(situations())
def test_without_a_lockfile_there_is_only_something_to_adopt(
    situation: Situation,
) -> None:
    desired, live = opened(situation)
    assert planned(desired, settled(desired, live)).pending == ()


@given(situations(), st.randoms(use_true_random=False))
def test_the_order_of_documents_means_nothing(situation: Situation, random: Random) -> None:
    declared, live = situation
    one, other = declare(*declared), declare(*random.sample(declared, len(declared)))
    assert digests(one) == digests(other)
    assert render_json.plan(planned(one, live)) == render_json.plan(planned(other, live))


@given(manifests(), situations(), st.data())
def test_what_cannot_be_read_is_neither_made_nor_deleted(
    before: list[Manifest], situation: Situation, data: st.DataObject
) -> None:
    desired, live = opened(situation)
    earlier = declare(*before)
    then = settled(earlier, live)
    lock = recorded(earlier, then)
    now = data.draw(with_gaps(then))
    plan = planned(desired, now, lock, prune=True)
    acted_on = {action.resource for action in plan.actions if action.verb in MAKES_OR_DELETES}
    assert not acted_on & not_read(now, desired, lock)


@given(situations())
def test_live_names_follow_from_the_manifests(situation: Situation) -> None:
    desired, live = opened(situation)
    known = digests(desired)
    for id_, live_name in planned(desired, live).live_names.items():
        if id_.kind is not Kind.REPO:
            assert live_name in {id_.name, revision_name(id_.name, known[id_])}


@given(manifests(), situations())
def test_a_refused_plan_destroys_nothing(before: list[Manifest], situation: Situation) -> None:
    desired, live = opened(situation)
    earlier = declare(*before)
    then = settled(earlier, live)
    plan = planned(desired, then, recorded(earlier, then), prune=True)
    refused = refuse_destruction(plan, desired)
    assert not any(action.destructive for action in refused.actions)
    destroyed = {action.resource for action in plan.actions if action.destructive}
    assert destroyed <= {action.resource for action in refused.blocked}
    assert refuse_destruction(refused, desired) == refused


@given(situations(), st.data())
def test_every_plan_fits_the_published_schema(situation: Situation, data: st.DataObject) -> None:
    desired, live = opened(situation)
    plan = planned(desired, data.draw(with_gaps(live)))
    told = render_json.plan(plan)
    assert Checker(schema_files.load("plan")).problems(told) == []
    assert sum(told["summary"].values()) == len(plan.actions)
    assert told["converged"] == (plan.exit_code == 0)


def not_read(live: Live, desired: Desired, lock: Lock) -> set[ResourceId]:
    """Return the resources of which not every name could be looked at."""
    observed = look(live, desired, lock)
    repos = {repo_id(name): repo for name, repo in observed.repos.items()}
    seen: dict[ResourceId, object] = {**repos, **observed.prompts, **observed.targets}
    names = {id_: {id_} for id_ in desired.ids()}
    for id_, digest in digests(desired).items():
        names[id_].add(id_.called(revision_name(id_.name, digest)))
    for id_ in lock.targets.keys() - desired.ids():
        names[id_] = {id_.called(lock.targets[id_].live_name)}
    return {id_ for id_, all_ in names.items() if any(is_hidden(seen[name]) for name in all_)}


def is_hidden(seen: object) -> bool:
    return isinstance(seen, Unreadable)
