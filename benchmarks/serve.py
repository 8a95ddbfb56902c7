"""How fast the local service makes trajectories with a model endpoint, and pages through them.

Trajectories: a stub endpoint answers each request after 20 ms; with 50 at once, 10,000 take 4 s at
best. Measured against that ideal, and against asyncio sockets that send the same number of requests
to the same stub in the same run and do nothing with the answers.

Pages: a job with a million rows; the time of a page at the end over that of one at the beginning.

    python -m benchmarks.serve [--scale 1.0]
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from benchmarks.common import ROOT, Figure, run
from reconciler.service.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "benchmark"
SECONDS = 0.02
TRAJECTORIES, CONCURRENCY, ROUNDS, ROWS = 10_000, 50, 3, 1_000_000
TARGET = "/v1/repo/r/targets/t"
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: stub\r\nContent-Length: 2\r\n\r\n{}"
SAMPLES, PAGE = 10, 1000


def measure(scale: float = 1.0) -> list[Figure]:
    """Return the figures; ``scale`` is a share of the trajectories and of the rows."""
    trajectories = max(SAMPLES, round(TRAJECTORIES * scale))
    return [*_trajectories(trajectories), *_pages(max(PAGE, round(ROWS * scale)))]


def _trajectories(number: int) -> Iterator[Figure]:
    ideal = number / CONCURRENCY * SECONDS
    bare, ours = [], []
    with _stub() as (port, length):
        for _ in range(ROUNDS):
            bare.append(asyncio.run(_by_sockets(port, length, number, CONCURRENCY)))
            ours.append(_by_service(port, number, CONCURRENCY))
    note = f"median of {ROUNDS}; {CONCURRENCY} at once, {SECONDS * 1000:g} ms each"
    name = f"{number:,} trajectories"
    ratio = statistics.median(ours) / statistics.median(bare)
    yield Figure(f"{name} / bare sockets", ratio, "x", note=note)
    note = f"bare sockets: {statistics.median(bare) / ideal:.2f} x"
    yield Figure(f"{name} / ideal", statistics.median(ours) / ideal, "x", note=note)


def _by_service(port: int, number: int, concurrency: int) -> float:
    """Return the seconds from the POST to the complete status, asked for every 0.1 s."""
    with tempfile.TemporaryDirectory() as data, _service(data, port) as api:
        _create(api, number, concurrency)
        api.post(f"{TARGET}/stim")
        _wait(api, "stim")
        started = time.perf_counter()
        api.post(f"{TARGET}/rollout")
        _wait(api, "rollout")
        return time.perf_counter() - started


def _create(api: httpx.Client, number: int, concurrency: int) -> None:
    api.post("/v1/repo", json={"repo_name": "r"})
    prompt = {"prompt_name": "p", "messages": [{"role": "system", "content": "Be an expert. " * 9}]}
    api.post("/v1/repo/r/prompts", json=prompt)
    questions = [f"What is {n}?" for n in range(number // SAMPLES)]
    config = {
        "teacher_prompt": "p",
        "generators": [{"type": "hardcoded", "questions": questions}],
        "num_traj_per_stimulus": SAMPLES,
        "max_concurrency": concurrency,
    }
    body = {"target_name": "t", "template": "default", "overrides": config}
    api.post("/v1/repo/r/targets", json=body).raise_for_status()


def _wait(api: httpx.Client, stage: str) -> None:
    while (status := api.get(f"{TARGET}/{stage}").json())["status"] == "running":
        time.sleep(0.1)
    if status["status"] != "complete":
        sys.exit(f"{stage} failed: {status}")


async def _by_sockets(port: int, length: int, number: int, concurrency: int) -> float:
    """Return the seconds of requests whose answers are read by their length alone."""
    left = iter(range(number))

    async def worker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            writer.write(REQUEST)
            await reader.readexactly(length)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return time.perf_counter() - started


def _pages(rows: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as data, _service(data) as api:
        _create(api, SAMPLES, 1)
        for stage in ("stim", "rollout"):
            api.post(f"{TARGET}/{stage}")
            _wait(api, stage)
        _fill(Path(data), rows)
        begin, end = (
            statistics.median(_page(api, offset) for _ in range(15)) for offset in (0, rows - PAGE)
        )
    note = f"median of 15; {end * 1000:.1f} ms"
    yield Figure(f"page of {PAGE} at the end of {rows:,} rows / begin", end / begin, "x", note=note)


def _page(api: httpx.Client, offset: int) -> float:
    started = time.perf_counter()
    page = api.get(f"{TARGET}/rollout/output?offset={offset}&limit={PAGE}").json()
    assert len(page["output"]) == PAGE
    return time.perf_counter() - started


def _fill(data: Path, rows: int) -> None:
    """Give the rollout as many rows as wanted, past the service but through its store."""
    store = Store(data)
    stage = store.stage("", "r", "t", "rollout")
    assert stage is not None
    assert stage.job is not None
    record = store.records(stage.job.id, 0, 1, 1)[0]
    for start in range(stage.job.lines, rows, 100_000):
        stop = min(start + 100_000, rows)
        store.add_rows(stage.job.id, ((n, record) for n in range(start, stop)), stop, stop)
    store.close()


@contextmanager
def _stub() -> Iterator[tuple[int, int]]:
    with _process("-m", "benchmarks.stub_endpoint", str(SECONDS), stdout=subprocess.PIPE) as stub:
        assert stub.stdout is not None
        port, length = map(int, stub.stdout.readline().split())
        yield port, length


@contextmanager
def _service(data: str, model_port: int | None = None) -> Iterator[httpx.Client]:
    model = ["--model-url", f"http://127.0.0.1:{model_port}/v1"] if model_port else []
    command = ["-m", "reconciler", "serve", "--port", "0", "--data", data, *model]
    env = {**os.environ, "BREAD_API_KEY": KEY}
    with _process(*command, stderr=subprocess.PIPE, env=env) as service:
        assert service.stderr is not None
        url = service.stderr.readline().split()[-1]
        headers = {"Authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as api:
            yield api


@contextmanager
def _process(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, *arguments], text=True, cwd=ROOT, **options) as running:
        try:
            yield running
        finally:
            running.terminate()


if __name__ == "__main__":
    run(measure, __doc__)
