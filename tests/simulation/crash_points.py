"""A reference run, cut into acts, and what becomes of it when it crashes at one boundary.

The reference is three runs of one small project: everything is created and a failed job is retried;
a prompt and its target are revised; one target is replaced and another pruned. Whatever befalls one
of them, repeating it leads to where it would have led without.
"""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from builders import declare, project, prompt, repo, target
from fake_api import Job

from reconciler.core.model.desired import Stage
from reconciler.core.model.events import RunResult
from reconciler.engine import creation

from .client import Errand
from .machine import Machine, Run, Site, scratch
from .process import Death, Loss
from .storms import ENOUGH

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.core.model.desired import Desired

CALLS = (
    "repo",
    "prompt_names",
    "target_names",
    "prompt",
    "target",
    "stage",
    "create_repo",
    "create_prompt",
    "create_prompts",
    "create_target",
    "create_targets",
    "delete_target",
    "run",
)
STEPS = (
    "reconciler.lock: not yet removed",
    "reconciler.lock: removed",
    "reconciler.lock: no temporary file yet",
    "reconciler.lock: temporary file made",
    "reconciler.lock: before writing",
    "reconciler.lock: half written",
    "reconciler.lock: written",
    "reconciler.lock: not yet mode set",
    "reconciler.lock: mode set",
    "reconciler.lock: not yet synced",
    "reconciler.lock: synced",
    "reconciler.lock: not yet renamed",
    "reconciler.lock: renamed",
    "directory: not yet synced",
    "directory: synced",
    ".reconciler: not yet made",
    ".reconciler: made",
    ".gitignore: not yet opened",
    ".gitignore: opened",
    ".gitignore: before writing",
    ".gitignore: half written",
    ".gitignore: written",
    "run.lock: not yet opened",
    "run.lock: opened",
    "run.lock: before emptying",
    "run.lock: emptied",
    "run.lock: before writing",
    "run.lock: half written",
    "run.lock: written",
)
EXPECTED = {*STEPS, *(f"{c}: {when}" for c in CALLS for when in ("not yet sent", "answered"))}


def declared(text: str, questions: int, *, with_last: bool) -> Desired:
    """Return a project of a target that gets revised, one that is replaced, one that is removed."""
    spec = {"teacher_prompt": "expert", "generators": [{"type": "oneshot_qs", "numq": 2}]}
    plain = {"teacher_prompt": "plain", "generators": [{"type": "oneshot_qs", "numq": 2}]}
    other = {**plain, "generators": [{"type": "oneshot_qs", "numq": questions}]}
    revised = target("revised", spec=spec, policy={"on_change": "revise", "retries": 3})
    replaceable = {"on_change": "replace", "prevent_destroy": False}
    replaced = target("replaced", spec=other, policy=replaceable)
    last = target(
        "last", spec=plain, desired={"rollout": "none"}, policy={"prevent_destroy": False}
    )
    return declare(
        project(),
        repo(base_model="m"),
        prompt("expert", text, on_change="revise"),
        prompt("plain", "Be plain."),
        revised,
        replaced,
        *([last] if with_last else []),
    )


ERRANDS = (
    Errand(declared("Be exact.", 2, with_last=True), None),
    Errand(declared("Be brief.", 2, with_last=True), None),
    Errand(declared("Be brief.", 3, with_last=False), None, prune=True, allow_destroy=True),
)


LEFT = ".reconciler.lock.abcd0123.tmp"
JOB = Job(seconds=0.5)
JOBS = {(name, stage): [JOB] for name in ("revised", "replaced", "last") for stage in Stage} | {
    ("revised", Stage.STIM): [Job(seconds=0.5, error="out of memory"), JOB]
}


@dataclass(frozen=True, slots=True)
class Moment:
    """All there is between two runs: live state and the directory."""

    at: float
    repos: Any
    starts: Counter[Any]
    root: Path


class Play:
    """A world with one machine in it, on which runs of the reference are played."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, since: Moment | None = None) -> None:
        self.site = Site(Random(0), patch)
        patch.setattr(creation, "FEW", 1)  # so that two prompts make a batch
        self.world = self.site.world
        self.world.job, self.world.jobs = JOB, JOBS
        if since:
            shutil.copytree(since.root, root)
            self.site.loop.jumping.now = since.at
            self.world.repos = deepcopy(since.repos)
            self.world.starts = Counter(since.starts)
        self.machine = Machine("A", root)
        self.machine.disk.note_written()
        self.machine.read_back()

    def now(self, keep_in: Path) -> Moment:
        """Return a copy of everything."""
        shutil.copytree(self.machine.place.root, keep_in)
        repos, starts = deepcopy(self.world.repos), Counter(self.world.starts)
        return Moment(self.world.clock.now(), repos, starts, keep_in)

    def go(self, act: int, death: Death | None = None) -> Run:
        run = Run(self.machine, ERRANDS[act], death=death)
        self.site.together(run)
        return run

    def converge(self, act: int) -> None:
        """Repeat a run until it goes through, which must not take long."""
        for _ in range(ENOUGH):
            run = self.go(act)
            if isinstance(run.result, RunResult) and run.result.converged:
                return
        self.world.breaks(f"does not converge after a crash: {run.ended} {run.result}")

    def outcome(self) -> Any:
        """Return all that counts in the end: live state, and how far it is recorded."""
        repo = self.world.repos["coding"]
        live = {
            name: (held.config, {str(s): self.world._status(held, s) for s in held.runs})
            for name, held in repo.targets.items()
        }
        lock = self.machine.lock
        return (
            live,
            dict(repo.prompts),
            lock and {id_: (e.digest, e.live_name) for id_, e in lock.targets.items()},
        )


@dataclass(frozen=True, slots=True)
class Act:
    """A run of the reference: where it began, its boundaries, which are risky, where it led."""

    began: Moment
    passed: list[str]
    at_risk: list[bool]
    outcome: Any


@contextmanager
def reference() -> Iterator[tuple[list[Act], Path]]:
    with scratch() as root, pytest.MonkeyPatch.context() as patch:
        play, acts = Play(root / "reference", patch), []
        (root / "reference" / LEFT).write_text("left by a write that was killed")
        for number in range(len(ERRANDS)):
            began = play.now(root / f"before {number}")
            process = play.go(number).process
            acts.append(Act(began, process.passed, process.at_risk, play.outcome()))
        play.site.loop.close()
        yield acts, root


def deaths(act: Act, loss: Loss) -> Iterator[tuple[str, Death]]:
    """Give every crash that can be told apart: a power cut only where it takes something back."""
    for nth, boundary in enumerate(act.passed, start=1):
        if loss is Loss.NONE or act.at_risk[nth - 1]:
            yield boundary, Death(nth, "", loss)


def crashed(root: Path, number: int, act: Act, death: Death) -> tuple[Any, list[str]]:
    """Play an act with a crash in it; return where it led, and every rule that was broken."""
    with pytest.MonkeyPatch.context() as patch:
        play = Play(root, patch, act.began)
        run = play.go(number, death)
        if run.ended != "CrashError":
            play.world.breaks(f"there was no crash at {death}: {run.ended}")
        play.converge(number)
        rest, text = len(play.world.journal), play.machine.disk.text()
        if death.loss is Loss.NONE:
            play.go(number)
        if (len(play.world.journal), play.machine.disk.text()) != (rest, text):
            play.world.breaks("a run at rest writes something")
        if [path for path in root.iterdir() if path.suffix == ".tmp"]:
            play.world.breaks("a temporary file stays for good")
        play.site.loop.close()
        return play.outcome(), play.world.broken
