"""Several reconcilers at once: what one directory rules out, and what two machines may do."""

from __future__ import annotations

from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

import pytest
from builders import declare, project, prompt, repo, target
from fake_api import NEVER_ENDS, Job

from reconciler.core.model.desired import Stage
from reconciler.core.model.events import RunResult

from .client import Errand
from .crash_points import JOB
from .machine import Machine, Run, Site, scratch
from .process import Death

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.model.desired import Desired

SPEC = {"teacher_prompt": "expert", "generators": [{"type": "oneshot_qs", "numq": 2}]}
FAILED = Job(seconds=0.5, error="out of memory")


def declared(retries: int = 0) -> Desired:
    return declare(
        project(),
        repo(base_model="m"),
        prompt(),
        target("t", spec=SPEC, policy={"retries": retries}),
    )


@contextmanager
def place_of(*names: str) -> Iterator[tuple[Site, list[Machine]]]:
    """Give a calm world and machines around it. No rule may be broken in it."""
    with scratch() as root, pytest.MonkeyPatch.context() as patch:
        site = Site(Random(0), patch)
        site.world.job, site.world.cursed = JOB, ""
        for stage in Stage:
            site.world.plays("t", stage, JOB)
        try:
            yield site, [Machine(name, root / name) for name in names]
            assert not site.world.broken
        finally:
            site.loop.close()


def started(site: Site) -> dict[str, int]:
    return {f"{target} {stage}": n for (target, stage), n in site.world.starts.items()}


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.3, 1.0])
def test_in_one_directory_the_second_run_is_turned_away_and_does_nothing(delay: float) -> None:
    with place_of("A") as (site, (machine,)):
        errand = Errand(declared(), None)
        first, second = Run(machine, errand), Run(machine, errand, delay=delay)
        site.together(first, second)
        assert (first.ended, second.ended) == ("ended", "LockHeldError")
        assert second.client is None
        assert not [step for step in second.process.passed if "lock: written" in step]


def test_the_lock_of_a_run_that_was_killed_is_free() -> None:
    with place_of("A") as (site, (machine,)):
        errand = Errand(declared(), None)
        killed = Run(machine, errand, death=Death(1, "run: answered"))
        site.together(killed)
        assert killed.ended == "CrashError"
        after = Run(machine, errand)
        site.together(after)
        assert isinstance(after.result, RunResult)
        assert after.result.converged
        assert started(site) == {"t stim": 1, "t rollout": 1}


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.03, 0.3])
def test_two_machines_start_every_job_once_and_record_the_same(delay: float) -> None:
    with place_of("A", "B") as (site, machines):
        errand = Errand(declared(), None)
        runs = [Run(machines[0], errand), Run(machines[1], errand, delay=delay)]
        site.together(*runs)
        assert started(site) == {"t stim": 1, "t rollout": 1}
        for machine in machines:
            site.together(Run(machine, errand))
        assert machines[0].disk.text() == machines[1].disk.text() is not None


def test_of_two_machines_each_may_use_up_its_own_retries_and_no_more() -> None:
    with place_of("A", "B") as (site, machines):
        site.world.plays("t", Stage.STIM, FAILED)
        errand = Errand(declared(retries=2), None)
        for _ in range(4):
            site.together(*(Run(machine, errand) for machine in machines))
        assert 1 + 2 <= started(site)["t stim"] <= 1 + 2 + 2


def test_one_machine_uses_up_its_retries_and_no_more() -> None:
    with place_of("A") as (site, (machine,)):
        site.world.plays("t", Stage.STIM, FAILED)
        for _ in range(4):
            site.together(Run(machine, Errand(declared(retries=2), None)))
        assert started(site) == {"t stim": 1 + 2}


def test_two_machines_watch_a_job_that_never_ends_without_starting_another() -> None:
    with place_of("A", "B") as (site, machines):
        site.world.plays("t", Stage.STIM, NEVER_ENDS)
        errand = Errand(declared(retries=2), None)
        site.together(*(Run(machine, errand, timeout=600) for machine in machines))
        assert started(site) == {"t stim": 1}


def test_what_another_machine_has_just_replaced_is_not_replaced_again() -> None:
    replaceable = {"on_change": "replace", "prevent_destroy": False}
    old, new = (
        declare(
            project(),
            repo(base_model="m"),
            prompt(),
            target("t", spec={**SPEC, "max_tokens": most}, policy=replaceable),
        )
        for most in (100, 200)
    )
    with place_of("A", "B") as (site, machines):
        site.together(Run(machines[0], Errand(old, None)))
        site.together(Run(machines[1], Errand(old, None)))
        errand = Errand(new, None, allow_destroy=True)
        site.together(Run(machines[0], errand), Run(machines[1], errand, thinks=60))
        assert started(site) == {"t stim": 2, "t rollout": 2}
