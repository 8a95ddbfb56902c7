"""What a plan stands for, as a digest."""

from __future__ import annotations

from typing import Any

import pytest
from builders import SPEC, declare, live_repo, planned, project, prompt, repo, target

from reconciler.core.planning.fingerprint import declared, digest


def of(*manifests: Any, live: Any = None) -> str:
    return digest(planned(declare(*manifests), {"coding": live} if live else {}))


def live(**stim: Any) -> Any:
    return live_repo(targets={"t": {"config": SPEC, "stim": stim}})


def test_progress_is_no_part_of_a_plan() -> None:
    found = {of(target(), live=live(status="running", lines=lines)) for lines in (0, 1)}
    assert len(found) == 1


def test_what_would_be_done_is_part_of_a_plan() -> None:
    states: list[Any] = [
        {"status": "not_started"},
        {"status": "running"},
        {"status": "complete", "lines": 2},
    ]
    assert len({of(target(), live=live(**state)) for state in states}) == 3


@pytest.mark.parametrize(
    "changed",
    [
        [repo(), prompt(), target(max_tokens=1)],
        [repo(), prompt(content="Be brief."), target()],
        [repo(), prompt(on_change="revise"), target()],
        [repo(base_model="Qwen/Qwen3-8B"), prompt(), target()],
        [repo(), prompt(), target(policy={"retries": 2})],
        [repo(), prompt(), target(policy={"prevent_destroy": False})],
        [repo(), prompt(), target(desired={"stim": {"min_lines": 2}})],
        [repo(), prompt(), target(desired={"stim": {"timeout": "90s"}})],
        [repo(), prompt(), target(desired={"rollout": "none"})],
        [repo(), prompt(), target(), project(budget={"max_new_trajectories": 9})],
        [repo(), prompt()],
    ],
)
def test_everything_that_is_declared_counts(changed: list[Any]) -> None:
    assert declared(declare(*changed)) != declared(declare(repo(), prompt(), target()))


def test_a_name_for_the_project_does_not_count() -> None:
    named = declare(project(api_url="https://a"), repo(), prompt(), target())
    assert declared(named) == declared(declare(repo(), prompt(), target()))
