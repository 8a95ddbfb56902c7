"""Narrowing a run to some targets."""

from __future__ import annotations

from typing import Any

import pytest
from builders import (
    declare,
    live_repo,
    planned,
    prompt,
    prompt_id,
    repo,
    repo_id,
    target,
    target_id,
)

from reconciler.core.errors import ExitCode, UsageError
from reconciler.core.model.plan import Verb
from reconciler.core.selection.scope import Scope, narrow


def labelled(manifest: Any, **labels: str) -> Any:
    return {**manifest, "metadata": {**manifest["metadata"], "labels": labels}}


DESIRED = declare(
    repo(),
    repo("docs"),
    prompt(),
    prompt("plain"),
    labelled(target("base"), team="core"),
    labelled(target("leaf", spec={"template": "base"}), team="docs", tier="1"),
    labelled(target("other", teacher_prompt="plain"), team="docs"),
    target("far", repo="docs", teacher_prompt="elsewhere"),
)


def names(scope: Scope) -> list[str]:
    narrowed = narrow(DESIRED, scope)
    return sorted(id_.name for id_ in narrowed.targets.keys() - narrowed.drawn_in)


def test_no_scope_is_everything() -> None:
    assert narrow(DESIRED, Scope()) is DESIRED


@pytest.mark.parametrize(
    ("scope", "chosen"),
    [
        (Scope(targets=("coding/leaf",)), ["leaf"]),
        (Scope(targets=("coding/*",)), ["base", "leaf", "other"]),
        (Scope(targets=("*/far", "coding/l*")), ["far", "leaf"]),
        (Scope(labels=(("team", "docs"),)), ["leaf", "other"]),
        (Scope(labels=(("team", "docs"), ("tier", "1"))), ["leaf"]),
        (Scope(excluded=("docs/*", "coding/leaf")), ["base", "other"]),
        (Scope(labels=(("team", "docs"),), excluded=("coding/leaf",)), ["other"]),
    ],
)
def test_targets_are_chosen_by_name_and_label(scope: Scope, chosen: list[str]) -> None:
    assert names(scope) == chosen


def test_what_a_target_needs_comes_along_and_nothing_else() -> None:
    narrowed = narrow(DESIRED, Scope(targets=("coding/leaf",)))
    needed = {repo_id(), prompt_id(), target_id("base")}
    assert narrowed.ids() == needed | {target_id("leaf")}
    assert narrowed.drawn_in == needed
    assert narrowed.out_of_scope == DESIRED.ids() - narrowed.ids()


def test_of_a_template_that_comes_along_only_its_existence_matters() -> None:
    narrowed = narrow(DESIRED, Scope(targets=("coding/leaf",)))
    actions = planned(narrowed, {"coding": live_repo()}).actions
    runs = {action.resource for action in actions if action.verb is Verb.RUN}
    assert runs == {target_id("leaf")}
    assert target_id("base") in {action.resource for action in actions}


@pytest.mark.parametrize(
    "scope",
    [
        Scope(targets=("coding/nothing",)),
        Scope(targets=("coding/leaf", "nothing/*")),
        Scope(excluded=("coding/nothing",)),
        Scope(labels=(("team", "nobody"),)),
        Scope(excluded=("*",)),
        Scope(targets=("coding/base",), labels=(("team", "docs"),)),
    ],
)
def test_what_matches_nothing_is_an_error(scope: Scope) -> None:
    with pytest.raises(UsageError) as caught:
        narrow(DESIRED, scope)
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_misspelt_target_is_told_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match='did you mean "coding/leaf"'):
        narrow(DESIRED, Scope(targets=("coding/laef",)))


def test_a_target_called_default_is_nobodys_template() -> None:
    desired = declare(repo(), prompt(), target("default"), target("t"))
    narrowed = narrow(desired, Scope(targets=("coding/t",)))
    assert set(narrowed.targets) == {target_id("t")}
