"""How a job makes its rows: questions for a stim, trajectories for a rollout.

Begins after the rows that exist and makes each of the others once. Never decides whether a job may
run, nor what becomes of it when this fails.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from reconciler.service.resources.config import ROLLOUT, STIM
from reconciler.service.wire import dumps
from reconciler.service.work import datasets
from reconciler.service.work.fate import Undisturbed
from reconciler.service.work.generators import Context, sources, stimuli
from reconciler.service.work.meter import NoMeter
from reconciler.service.work.model import AnswerRequest, ClosedError, ModelError, Prompt, prompt_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from reconciler.service.resources.config import Config
    from reconciler.service.state.store import Store, Work
    from reconciler.service.work.fate import Fates
    from reconciler.service.work.meter import Meter
    from reconciler.service.work.model import Model
    from reconciler.service.work.sink import Sink

MOST_AT_ONCE = 256
"""Requests in flight for one job, whatever ``max_concurrency`` allows."""

_CHUNK = 200


@dataclass(frozen=True, slots=True)
class Workshop:
    """What jobs work with.

    ``pace`` is the time in seconds that every row takes at least; ``grace`` how long answers under
    way are waited for when the service stops.
    """

    store: Store
    model: Model
    datasets: Path | None = None
    pace: float = 0.0
    grace: float = 0.0
    meter: Meter = field(default_factory=NoMeter)
    fates: Fates = field(default_factory=Undisturbed)


@dataclass(frozen=True, slots=True)
class _Trajectory:
    n: int
    sample: int
    stimulus: Config


async def make_stim(shop: Workshop, job: int, work: Work, sink: Sink) -> None:
    """Make the stimuli that are missing, one after the other.

    Raises SourceError, ModelError, ClosedError.
    """
    config, inputs = json.loads(work.config), json.loads(work.inputs)
    dataset = partial(datasets.read, shop.datasets)
    found = await asyncio.to_thread(sources, config["generators"], dataset)
    total = sum(source.count for source in found)
    shop.store.set_total(job, total)
    records = shop.store.records(job, 0, sink.lines, sink.lines)
    done = [json.loads(record)["question"] for record in records]
    context = Context(_prompt(inputs["teacher"]), config.get("model_name", ""), inputs["templates"])
    student = _prompt(inputs["student"])
    fate = shop.fates.of(work.number, STIM, work.target)
    async with aclosing(stimuli(found, context, shop.model, done)) as coming:
        n = sink.lines
        async for source, question in coming:
            await asyncio.sleep(shop.pace)
            if not await fate.before(n, total):
                return
            override = _conditioned(student, question) if source.conditioned else None
            sink.add(n, _stimulus(n, question, override))
            if source.questions is None:
                sink.flush()
            n += 1


async def make_rollout(shop: Workshop, work: Work, sink: Sink) -> None:
    """Make the trajectories that are missing, several at once; raises ModelError, ClosedError."""
    config, inputs = json.loads(work.config), json.loads(work.inputs)
    samples = config["num_traj_per_stimulus"]
    coming = _missing(shop.store, inputs["stim"], samples, sink)
    teacher, student = _prompt(inputs["teacher"]), _prompt(inputs["student"])
    fate = shop.fates.of(work.number, ROLLOUT, work.target)
    unmade: list[_Trajectory] = []

    async def make(trajectory: _Trajectory) -> None:
        prompt = student if _is_conditioned(trajectory.stimulus) else teacher
        try:
            record = await _answered(shop.model, config, prompt, trajectory)
        except ClosedError:
            unmade.append(trajectory)
        else:
            sink.add(trajectory.n, record)
            await asyncio.sleep(0)  # answers that came at the same moment are committed together
            sink.flush()

    async def worker() -> None:
        for trajectory in coming:
            if shop.pace:
                await asyncio.sleep(shop.pace)
            if unmade or not await fate.before(trajectory.n, work.total or 0):
                return
            await make(trajectory)

    await _together(worker, min(config["max_concurrency"], MOST_AT_ONCE))
    if unmade:
        raise ClosedError


async def _together(worker: Callable[[], Coroutine[Any, Any, None]], number: int) -> None:
    """Run several workers at once; raises what the first of them raises that fails."""
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(number):
                group.create_task(worker())
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


def _missing(store: Store, stim: int, samples: int, sink: Sink) -> Iterator[_Trajectory]:
    """Yield the trajectories without a row, in order, reading the stimuli as they are needed."""
    first, present = sink.lines, frozenset(sink.ahead)
    start = first // samples
    while records := store.records(stim, start, start + _CHUNK, _CHUNK):
        start += _CHUNK
        for stimulus in map(json.loads, records):
            base = stimulus["stimulus_id"] * samples
            for n in range(max(base, first), base + samples):
                if n not in present:
                    yield _Trajectory(n, n - base, stimulus)


async def _answered(model: Model, config: Config, prompt: Prompt, trajectory: _Trajectory) -> str:
    question = trajectory.stimulus["question"]
    request = AnswerRequest(
        model=config["model_name"],
        prompt=prompt,
        question=question,
        sample=trajectory.sample,
        temperature=config["temperature"],
        max_tokens=config.get("max_tokens"),
        extra_kwargs=config.get("extra_kwargs", {}),
    )
    try:
        answer = await model.answer(request)
    except ModelError as error:
        place = f"stimulus {trajectory.stimulus['stimulus_id']}, trajectory {trajectory.sample}"
        raise ModelError(f"{place}: {error}") from error
    record = {
        "stimulus_id": trajectory.stimulus["stimulus_id"],
        "trajectory_id": trajectory.sample,
        "stimulus": question,
        "response": answer.text,
        "model": model.name(request.model),
        "temperature": request.temperature,
        "tokens": answer.tokens,
    }
    return dumps({**record, **answer.details})


def _stimulus(n: int, question: str, override: str | None) -> str:
    record: dict[str, Any] = {"stimulus_id": n, "question": question}
    if override is not None:
        record["trajectory_override_stimulus"] = override
    return dumps(record)


def _is_conditioned(stimulus: Config) -> bool:
    return "trajectory_override_stimulus" in stimulus


def _conditioned(student: Prompt, question: str) -> str:
    return f"{student.text}\n\n{question}" if student.text else question


def _prompt(stored: Config | None) -> Prompt:
    return prompt_of(stored["messages"], stored["tools"] or []) if stored else Prompt()
