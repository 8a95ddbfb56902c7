"""Lives of a project: cron runs through storms, and the calm after them. A seed decides everything.

A ``Case`` is a seed and what is left out of its life, so that a failing one can be made smaller
and still be replayed from the command line.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.core.errors import ExitCode
from reconciler.core.model.events import Outcome, RunResult
from reconciler.core.model.manifest import Kind
from reconciler.core.planning.orphans import find_orphans
from reconciler.core.selection.scope import Scope, narrow
from reconciler.engine import creation

from .client import Errand
from .figures import FIGURES
from .machine import Machine, Run, Site, scratch
from .process import Death, Loss
from .projects import REPO, TARGETS, Project
from .world import CALM, Weather, storm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconciler.core.model.desired import Desired

#: Runs of each machine after which everything that can converge has, once nothing goes wrong.
ENOUGH = 8
#: The share of lives that go through the real client.
WIRED = 0.15
_ROUNDS = (1, 1, 1, 2, 3)
#: All that can be left out of a life, besides targets.
PARTS = (
    "crashes",
    "interrupts",
    "meddling",
    "company",
    "wire",
    "scopes",
    "losses",
    "destroying",
    "changes",
    "batches",
    *(name for name in Weather.__dataclass_fields__ if name != "restarts_failed"),
)
#: What a run that finds the lock held may have touched.
_FOYER = ("run.lock", ".reconciler", ".gitignore")


class BrokenError(AssertionError):
    """A rule of conduct, or a promise, was broken."""


@dataclass(frozen=True, slots=True)
class Case:
    """A life: its seed, how many rounds of storm it has if not as the seed says, what it lacks."""

    seed: int
    rounds: int = 0
    without: frozenset[str] = frozenset()

    def command(self) -> str:
        """Return the command that replays exactly this."""
        settings = [f"SIMULATION_SEEDS={self.seed}-{self.seed}"]
        if self.rounds:
            settings.append(f"SIMULATION_ROUNDS={self.rounds}")
        if self.without:
            settings.append(f"SIMULATION_WITHOUT={','.join(sorted(self.without))}")
        return f"{' '.join(settings)} python -m pytest -q tests/simulation/test_storms.py"


def asked_for(default: str) -> list[Case]:
    """Return the cases that the environment asks for, else those of the default seeds."""
    first, last = (int(n) for n in os.environ.get("SIMULATION_SEEDS", default).split("-"))
    rounds = int(os.environ.get("SIMULATION_ROUNDS", "0"))
    without = frozenset(filter(None, os.environ.get("SIMULATION_WITHOUT", "").split(",")))
    return [Case(seed, rounds, without) for seed in range(first, last + 1)]


class Life:
    """A project, a world, and the machines between them."""

    def __init__(self, case: Case, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.case = case
        self.draw = Random(f"{case.seed} storms")
        self.site = Site(Random(f"{case.seed} world"), patch)
        self.world = self.site.world
        self.project = Project(Random(f"{case.seed} project"), case.without & set(TARGETS))
        shapes = ("alone", "alone", "one directory", "two directories")
        shape = self._unless("company", self.draw.choice(shapes), "alone")
        names = ("A", "B") if shape == "two directories" else ("A",)
        self.crowded = shape == "one directory"
        self.machines = [Machine(name, root / name) for name in names]
        self.wired = self._unless("wire", self._happens(WIRED), False)
        if self._unless("batches", self._happens(0.7), False):
            patch.setattr(creation, "FEW", 0)
            patch.setattr(creation, "BATCH", self.draw.choice((1, 2, 200)))
        self._known: dict[str, None] = {}

    def _unless(self, part: str, value: Any, otherwise: Any) -> Any:
        return otherwise if part in self.case.without else value

    def _happens(self, share: float) -> bool:
        return self.draw.random() < share

    def _moment(self) -> float:
        """Return a duration in seconds: a few moments or several minutes."""
        return float(10 ** self.draw.uniform(-2, 2.5))

    # The storm.

    def live(self) -> None:
        """Live through the storm, and through the calm after it. Raises BrokenError."""
        rounds = self.draw.choice(_ROUNDS)
        for _ in range(self.case.rounds or rounds):
            self.stormy_round()
        self.settle()

    def stormy_round(self) -> None:
        """Change something, lose something, and run into whatever weather there is."""
        for _ in range(self._unless("changes", self.draw.choice((0, 0, 1, 2)), 0)):
            self.project.change()
        for machine in self.machines:
            if self._unless("losses", self._happens(0.05), False):
                FIGURES.fault("lockfile deleted")
                machine.lose_lockfile()
        if self._unless("meddling", self._happens(0.3), False):
            self.world.meddle()
        self.site.loop.run_until_complete(asyncio.sleep(self._moment()))
        meddling = self._unless("meddling", self._happens(0.4), False)
        self.world.weather = self._weather()
        runs = self._runs()
        self.site.together(*runs, meddling=self._pause if meddling else None)
        self._check(*runs)

    def _pause(self) -> float:
        return float(10 ** self.world.draw.uniform(-2, 2.5))

    def _weather(self) -> Weather:
        weather = storm(self.draw) if self._happens(0.8) else CALM
        off = self.case.without & set(Weather.__dataclass_fields__)
        nothing: dict[str, Any] = dict.fromkeys(off, 0.0)
        return replace(weather, **nothing)

    def _runs(self) -> list[Run]:
        runs = [self._run(machine) for machine in self.machines]
        if self.crowded and self._happens(0.7):
            runs.append(self._run(self.machines[0]))
        if len(runs) > 1:
            for run in runs:
                run.delay = self.draw.choice((0.0, 0.0, self._moment() / 30))
            FIGURES.count("rounds with two runs at once")
        return runs

    def _run(self, machine: Machine) -> Run:
        death, interrupt = self._death(), self._moment()
        errand = self._errand()
        if self._unless("destroying", self._happens(0.05), False):
            errand = replace(errand, destroying=True)
        return Run(
            machine,
            errand,
            verb="destroy" if errand.destroying else "apply",
            thinks=self._moment() if self._happens(0.1) else 0.0,
            parallelism=self.draw.choice((1, 2, 10)),
            wait=self._happens(0.8),
            timeout=self.draw.choice((None, None, 30.0)),
            death=self._unless("crashes", death if self._happens(0.4) else None, None),
            interrupt=self._unless("interrupts", interrupt if self._happens(0.15) else None, None),
            wired=self.wired,
        )

    def _death(self) -> Death:
        loss = self.draw.choice((Loss.NONE, Loss.NONE, Loss.NAMES, Loss.CONTENT))
        if self._known and self._happens(0.7):
            return Death(self.draw.choice((1, 1, 2, 3)), self.draw.choice(list(self._known)), loss)
        return Death(int(10 ** self.draw.uniform(0, 2.3)), "", loss)

    def _errand(self) -> Errand:
        desired = self.project.declared()
        chosen = self.draw.choice(self.project.names())
        if self._unless("scopes", self._happens(0.2), False):
            desired = narrow(desired, Scope(targets=(f"{REPO}/{chosen}",)))
        return Errand(
            desired,
            None,
            prune=self._happens(0.5),
            allow_destroy=self._happens(0.7),
            max_deletions=self.draw.choice((10, 10, 0, 0)),
            max_trajectories=self.draw.choice((None, None, None, 6)),
        )

    def go(self, *runs: Run) -> None:
        """Carry out runs together, and check what they did. Raises BrokenError."""
        self.site.together(*runs)
        self._check(*runs)

    def _check(self, *runs: Run) -> None:
        """Check what runs did. Raises BrokenError."""
        for run in runs:
            self._known |= dict.fromkeys(run.process.passed)
            if run.process.dead:
                FIGURES.name("crashed at", run.process.passed[-1])
            strayed = [b for b in run.process.passed if not b.startswith(_FOYER)]
            if run.ended == "LockHeldError" and strayed:
                self.world.breaks(f"went on without the lock: {strayed}")
        if self.world.broken:
            raise BrokenError("; ".join(self.world.broken))

    # The calm after it.

    def settle(self) -> None:
        """Let everything come to rest. Raises BrokenError."""
        self.world.calm_down()
        if self._happens(0.5):
            self.project.give_in()
        errand = Errand(
            self.project.declared(),
            None,
            prune=self._happens(0.5),
            allow_destroy=self._happens(0.7),
        )
        results = self._rest(errand)
        for machine, result in zip(self.machines, results, strict=True):
            if self._happens(0.3):
                self._check_refresh(machine, errand.desired, result)

    def _rest(self, errand: Errand) -> list[RunResult]:
        """Run until nothing changes any more; return how that ended. Raises BrokenError."""
        for taken in range(ENOUGH + 1):
            before = self._state()
            results = [self._calm_run(machine, errand) for machine in self.machines]
            restless = [outcome for result in results for outcome in _unsettled(result)]
            if self._state() == before and not restless:
                FIGURES.count(f"seeds at rest after: {taken}")
                return results
        raise BrokenError(f"still no rest after {ENOUGH} runs in the calm: {restless}")

    def _state(self) -> tuple[object, ...]:
        """Return what must not change any more at rest: live state, and every lockfile."""
        return len(self.world.journal), *(machine.disk.text() for machine in self.machines)

    def _calm_run(self, machine: Machine, errand: Errand) -> RunResult:
        run = Run(machine, errand, wired=self.wired)
        self.go(run)
        if not isinstance(run.result, RunResult):
            raise BrokenError(f"a run on a calm day ended early: {run.ended}")
        return run.result

    def _check_refresh(self, machine: Machine, desired: Desired, result: RunResult) -> None:
        before = machine.disk.text()
        orphans = bool(find_orphans(desired, machine.lock))
        if before is None or not any(o.resource.kind is Kind.REPO for o in result.outcomes):
            return  # refused as a whole: such a run records nothing
        errand = Errand(desired, None)
        refreshing = Run(machine, errand, verb="refresh", wired=self.wired)
        self.go(refreshing)
        if refreshing.result is not False:
            raise BrokenError("refresh changes the lockfile of a project at rest")
        if result.converged and not orphans:
            machine.lose_lockfile()
            self.go(Run(machine, errand, verb="refresh", wired=self.wired))
            if machine.disk.text() != before:
                raise BrokenError("refresh does not bring back the same lockfile")


def _unsettled(result: RunResult) -> list[Outcome]:
    """Return what is neither as wanted nor blocked for a reason that is told."""
    return [
        outcome
        for outcome in result.outcomes
        if outcome.code not in {ExitCode.OK, ExitCode.BLOCKED}
        or (outcome.code is ExitCode.BLOCKED and not outcome.message)
    ]


def survive(case: Case) -> Life:
    """Live a case in a directory of its own. Raises BrokenError."""
    with scratch() as root, pytest.MonkeyPatch.context() as patch:
        life = Life(case, root, patch)
        try:
            life.live()
        finally:
            life.site.loop.close()
    FIGURES.count("seeds")
    return life


def shrunk(case: Case, fails: Callable[[Case], bool]) -> Case:
    """Return a smaller case that still fails, of which no single thing can be left out."""
    smaller = next((c for c in _smaller(case) if fails(c)), None)
    return case if smaller is None else shrunk(smaller, fails)


def _smaller(case: Case) -> Iterator[Case]:
    for rounds in range(1, case.rounds or max(_ROUNDS)):
        yield replace(case, rounds=rounds)
    for part in (*PARTS, *TARGETS):
        if part not in case.without:
            yield replace(case, without=case.without | {part})


def breaks(case: Case) -> str:
    """Return what is broken in a life, if anything is."""
    try:
        survive(case)
    except BrokenError as error:
        return str(error)
    except Exception:  # noqa: BLE001 - whatever it is, its seed has to be told
        return traceback.format_exc()
    return ""


def require(case: Case) -> None:
    """Live a case; raises BrokenError, with the command that replays the smallest one like it."""
    why = breaks(case)
    if why:
        least = shrunk(case, lambda smaller: bool(breaks(smaller)))
        raise BrokenError(f"{breaks(least) or why}\n\nReplay it:\n  {least.command()}")
