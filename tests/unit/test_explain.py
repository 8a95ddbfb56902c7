from __future__ import annotations

import pytest
from builders import target_id

from reconciler.core.explain import advice, explain, reason_sentence
from reconciler.core.model.plan import Action, FieldDiff, Reason, Verb

DECIDED_BY_A_PERSON = [
    Reason.CONFIG_CHANGED,
    Reason.CONTENT_CHANGED,
    Reason.BASE_MODEL_CHANGED,
    Reason.RETRIES_EXHAUSTED,
    Reason.SHORTFALL,
    Reason.PREVENT_DESTROY,
    Reason.DESTROY_NOT_ALLOWED,
    Reason.TOO_MANY_DELETIONS,
    Reason.BUDGET_EXCEEDED,
]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence(reason: Reason) -> None:
    assert reason_sentence(Action(Verb.RUN, target_id(), reason))


@pytest.mark.parametrize("reason", DECIDED_BY_A_PERSON)
def test_whoever_is_blocked_is_told_what_to_do(reason: Reason) -> None:
    assert advice(Action(Verb.BLOCKED, target_id(), reason)).endswith(".")


def test_what_is_not_blocked_needs_no_advice() -> None:
    assert advice(Action(Verb.REVISE, target_id(), Reason.CONFIG_CHANGED)) == ""


def test_an_explanation_is_one_line() -> None:
    diff = (FieldDiff("temperature", 1.0, 0.7), FieldDiff("max_tokens", None, 1))
    action = Action(Verb.BLOCKED, target_id(), Reason.CONFIG_CHANGED, diff=diff, message="careful")
    assert explain(action) == (
        "the live config differs and is immutable (temperature, max_tokens): careful. "
        "Set policy.on_change to revise or replace, or undo the change."
    )
