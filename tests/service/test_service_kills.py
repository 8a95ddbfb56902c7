"""Killed at any moment, fifty times: no row is lost, doubled, changed, or asked for again.

A seed is the history of one data directory. One that fails names itself: ``KILL_SEEDS=3-3`` in the
environment plays it again, as far as the timing of processes allows, and ``KILL_SEEDS=100-400``
goes looking for others.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from .endpoint import Said, completion, endpoint, numbered
from .support import Api, Json, client, hatchery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .endpoint import Asked
    from .support import Hatched, Hatchery

MOMENTS = (*["stim"] * 3, *["rollout"] * 3, *["post"] * 2, "start-up", "idle")
"""When a service is killed, in an order that the seed decides."""
STAGES = ("stim", "rollout")
QUESTIONS, WRITTEN, SAMPLES, AT_ONCE = 40, 4, 3, 5
ASKING = "Write "
SECONDS = 0.008
_FIRST, _LAST = (int(n) for n in os.environ.get("KILL_SEEDS", "0-4").split("-"))
SEEDS = range(_FIRST, _LAST + 1)


@pytest.fixture(scope="module")
def hatching() -> Iterator[Hatchery]:
    with hatchery() as ready:
        yield ready


@pytest.mark.parametrize("seed", SEEDS)
def test_no_kill_loses_or_doubles_a_row(seed: int, tmp_path: Path, hatching: Hatchery) -> None:
    _see(tmp_path, hatching, seed, processes=1)


@pytest.mark.parametrize("seed", SEEDS[::2])
def test_whoever_takes_over_goes_on_likewise(seed: int, tmp_path: Path, hatching: Hatchery) -> None:
    _see(tmp_path, hatching, seed, processes=3)


def _see(data: Path, hatching: Hatchery, seed: int, *, processes: int) -> None:
    rng = random.Random(seed)
    author = Author()
    with endpoint(author) as model:
        history = History(data, model.url, hatching, rng)
        for _ in range(processes - 1):
            history.start()
        for moment in rng.sample(MOMENTS, len(MOMENTS)):
            history.live(moment)
        history.end()
    history.account(author)


class Author:
    """Writes questions and answers of which no two are alike; notes which key asked for what."""

    def __init__(self) -> None:
        self.questions = 0
        self.answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._numbers = itertools.count()

    def __call__(self, asked: Asked) -> Said:
        number = next(self._numbers)
        if asked.text.startswith(ASKING):
            self.questions += 1
            items = (f"Question {number}, part {part}?" for part in range(WRITTEN))
            return replace(numbered(*items), delay=SECONDS)
        key = asked.headers["Authorization"].removeprefix("Bearer ")
        self.answers[key][asked.text] += 1
        unlike = SECONDS * (0.5 + number % 4)  # so that rows arrive out of order
        return Said(completion(f"answer {number}"), delay=unlike)


@dataclass
class Watched:
    """A target, and what has been seen of its stages."""

    path: str
    posted: set[str] = field(default_factory=set)
    complete: set[str] = field(default_factory=set)
    rows: dict[str, list[Json]] = field(default_factory=lambda: {stage: [] for stage in STAGES})

    def is_running(self, stage: str) -> bool:
        return stage in self.posted - self.complete

    def look(self, api: Api, stage: str) -> None:
        """See that all is as before, and remember what is new."""
        status = api.ok("GET", f"{self.path}/{stage}")
        rows, seen = api.output(f"{self.path}/{stage}"), self.rows[stage]
        assert (status["status"] == "not_started") == (stage not in self.posted)
        assert status["status"] == "complete" or stage not in self.complete
        assert rows[: len(seen)] == seen
        assert len(seen) <= status["lines"] <= len(rows)
        if status["status"] == "complete":
            self.complete.add(stage)
            assert len(rows) == QUESTIONS * (SAMPLES if stage == "rollout" else 1)
        self.rows[stage] = rows


class History:
    """One data directory and the services on it, of which one at a time is killed.

    Every service has a key of its own for the model, by which its requests are known.
    """

    def __init__(self, data: Path, model: str, hatching: Hatchery, rng: random.Random) -> None:
        self._data, self._model, self._hatching, self._rng = data, model, hatching, rng
        self._running: list[Hatched] = []
        self._targets: list[Watched] = []
        self._readable: dict[str, Counter[str]] = {}
        self._interrupted: Counter[str] = Counter()

    def start(self) -> Hatched:
        """Start a service; note what could be read before."""
        key = f"key-{len(self._readable)}"
        rows = (row for each in self._targets for row in each.rows["rollout"])
        self._readable[key] = Counter(row["stimulus"] for row in rows)
        self._running.append(self._hatching.start(self._data, model_url=self._model, model_key=key))
        return self._running[-1]

    def live(self, moment: str) -> None:
        """Start one more service, and kill it or another one at a moment."""
        victim = self.start()
        if moment == "start-up":
            time.sleep(self._rng.uniform(0, 0.03))
        else:
            self._await(moment)
            victim = self._rng.choice(self._running)
        self._kill(victim)
        for stage in STAGES:
            self._interrupted[stage] += sum(each.is_running(stage) for each in self._targets)

    def end(self) -> None:
        """Let everything be finished."""
        self.start()
        self._await("idle")
        for each in list(self._running):
            self._kill(each)

    def account(self, author: Author) -> None:
        """See that every row was made once, and that only what was in flight was made again."""
        for key, readable in self._readable.items():
            for question, times in author.answers[key].items():
                assert times <= SAMPLES - readable[question]
        questions, answers = (
            [row[field] for each in self._targets for row in each.rows[stage]]
            for stage, field in zip(STAGES, ("question", "response"), strict=True)
        )
        assert len(set(questions)) == len(questions) == QUESTIONS * len(self._targets)
        assert len(set(answers)) == len(answers) == QUESTIONS * SAMPLES * len(self._targets)
        assert author.questions <= len(questions) / WRITTEN + self._interrupted["stim"]
        asked = sum(each.total() for each in author.answers.values())
        assert asked <= len(answers) + self._interrupted["rollout"] * AT_ONCE

    def _kill(self, service: Hatched) -> None:
        service.kill()
        self._running.remove(service)

    def _await(self, moment: str) -> None:
        with client(self._rng.choice(self._running).url) as api:
            self._look(api)
            match moment:
                case "idle":
                    self._finish(api)
                case "post":
                    self._post(api, self._rng.choice(STAGES))
                    time.sleep(self._rng.uniform(0, 0.003))
                case stage:
                    self._post(api, stage)
                    until = time.monotonic() + self._rng.uniform(0, 0.15)
                    while time.monotonic() < until:
                        self._targets[-1].look(api, stage)

    def _finish(self, api: Api) -> None:
        """Run every stage of every target to its end."""
        for target in self._targets:
            for stage in STAGES:
                target.posted.add(stage)
                api.run(f"{target.path}/{stage}")
        self._look(api)

    def _look(self, api: Api) -> None:
        for target in self._targets:
            for stage in STAGES:
                target.look(api, stage)

    def _post(self, api: Api, stage: str) -> None:
        """Start a stage of the last target, or of a new one if that has completed it."""
        if not self._targets or stage in self._targets[-1].complete:
            self._targets.append(Watched(_create(api, len(self._targets))))
        target = self._targets[-1]
        if stage == "rollout":
            target.posted.add("stim")
            api.run(f"{target.path}/stim")
        target.posted.add(stage)
        api.ok("POST", f"{target.path}/{stage}")


def _create(api: Api, number: int) -> str:
    generator = {
        "type": "custom",
        "numq": QUESTIONS,
        "template_path": "t",
        "template_content": f"{ASKING}${{numq}} ${{prompt_u}}",
    }
    return api.target(
        f"t{number}",
        generators=[generator],
        num_traj_per_stimulus=SAMPLES,
        max_concurrency=AT_ONCE,
    )
