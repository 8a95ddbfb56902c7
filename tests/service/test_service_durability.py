"""What survives: restarts, killed processes, and several processes on one data directory."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from reconciler.service import Settings, embedded

from .support import KEY, Api, Process, client, hardcoded, process

if TYPE_CHECKING:
    from pathlib import Path

LETTERS = [f"question {number}" for number in range(60)]


def fresh(data: Path, generators: Any, samples: int) -> tuple[list[Any], list[Any]]:
    """Return the rows of a stim and a rollout that nobody interrupted."""
    with embedded(Settings(data, key=KEY)) as service, client(service.url) as api:
        target = api.target(generators=generators, num_traj_per_stimulus=samples)
        for stage in ("stim", "rollout"):
            api.run(f"{target}/{stage}")
        return api.output(f"{target}/stim"), api.output(f"{target}/rollout")


def killed_until_done(data: Path, stage: str, first: Process) -> int:
    """Kill whatever runs a stage each time it has got further; return how often that was."""
    running, kills, lines = first, 0, 0
    while True:
        with client(running.url) as api:
            status = api.until(stage, _further(lines))
        if status["status"] == "complete":
            running.kill()
            return kills
        running.kill()
        kills, lines = kills + 1, status["lines"]
        running = Process(data, pace=0.01)


def _further(lines: int) -> Any:
    return lambda status: status["lines"] > lines + 15 or status["status"] != "running"


def test_a_killed_service_goes_on_where_it_was(tmp_path: Path) -> None:
    generators = [
        *hardcoded(*LETTERS[:25]),
        {"type": "oneshot_qs", "numq": 30},
    ]
    expected = fresh(tmp_path / "fresh", generators, samples=2)
    data = tmp_path / "killed"
    first = Process(data, pace=0.01)
    with client(first.url) as api:
        target = api.target(generators=generators, num_traj_per_stimulus=2, max_concurrency=7)
        api.ok("POST", f"{target}/stim")
    assert killed_until_done(data, f"{target}/stim", first) >= 2
    second = Process(data, pace=0.01)
    with client(second.url) as api:
        api.ok("POST", f"{target}/rollout")
    assert killed_until_done(data, f"{target}/rollout", second) >= 2
    with embedded(Settings(data, key=KEY)) as service, client(service.url) as api:
        assert (api.output(f"{target}/stim"), api.output(f"{target}/rollout")) == expected
        assert api.ok("GET", f"{target}/rollout")["lines"] == 110


def test_what_was_created_is_there_after_a_restart(tmp_path: Path) -> None:
    seen = []
    for _ in range(2):
        with embedded(Settings(tmp_path, key=KEY)) as service, client(service.url) as api:
            target = api.target()
            api.run(f"{target}/stim")
            seen.append([api.ok("GET", path) for path in (target, f"{target}/stim/output")])
    assert seen[0] == seen[1]


def test_an_embedded_service_stops_at_once_and_the_next_one_goes_on(tmp_path: Path) -> None:
    settings = Settings(tmp_path, key=KEY, pace=0.02)
    with embedded(settings) as service, client(service.url) as api:
        stim = f"{api.target(generators=hardcoded(*LETTERS))}/stim"
        api.ok("POST", stim)
        api.until(stim, lambda status: status["lines"] > 3)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 0.5
    with embedded(Settings(tmp_path, key=KEY)) as service, client(service.url) as api:
        first = api.ok("GET", f"{stim}/output")["output"]
        assert len(first) > 3
        assert api.settled(stim)["lines"] == len(LETTERS)
        assert [row["question"] for row in api.output(stim)] == LETTERS


def test_a_process_that_only_serves_hands_jobs_to_the_one_that_runs(tmp_path: Path) -> None:
    settings = Settings(tmp_path, key=KEY, pace=0.02)
    with (
        process(tmp_path) as runner,
        embedded(settings) as guest,
        client(runner.url) as there,
        client(guest.url) as here,
    ):
        target = here.target()
        started = time.monotonic()
        assert here.run(f"{target}/stim")["lines"] == 2
        assert time.monotonic() - started < 0.5
        assert there.output(f"{target}/stim") == here.output(f"{target}/stim")


def test_another_process_takes_over_when_the_runner_is_killed(tmp_path: Path) -> None:
    with process(tmp_path, pace=0.02) as runner, client(runner.url) as there:
        target = there.target(generators=hardcoded(*LETTERS))
        there.ok("POST", f"{target}/stim")
        there.until(f"{target}/stim", lambda status: status["lines"] > 3)
        with embedded(Settings(tmp_path, key=KEY)) as guest, client(guest.url) as here:
            runner.kill()
            assert here.settled(f"{target}/stim")["lines"] == len(LETTERS)
            rows = here.output(f"{target}/stim")
    assert [row["question"] for row in rows] == LETTERS


def test_many_writers_in_two_processes_see_no_lock(tmp_path: Path) -> None:
    """Both processes create, run and delete while jobs of both write rows."""

    def work(url: str, number: int) -> int:
        generators = [{"type": "oneshot_qs", "numq": 300}]
        with client(url) as api:
            name = f"t{number}"
            target = api.target(name, generators=generators, num_traj_per_stimulus=2)
            for prompt in range(15):
                put = {"messages": [{"role": "user", "content": str(prompt)}]}
                api.ok("PUT", f"/v1/repo/r/prompts/p{number}", put)
            for stage in ("stim", "rollout"):
                api.run(f"{target}/{stage}")
            rows = len(api.output(f"{target}/rollout"))
            if number % 2:
                api.ok("DELETE", target)
            return rows

    with (
        process(tmp_path) as other,
        embedded(Settings(tmp_path, key=KEY)) as own,
        ThreadPoolExecutor(4) as pool,
    ):
        urls = [own.url, other.url] * 2
        assert list(pool.map(work, urls, range(4))) == [600] * 4
        with client(own.url) as api:
            assert api.ok("GET", "/v1/repo/r/targets") == {"targets": ["t0", "t2"]}


def test_two_posts_at_once_start_one_job(tmp_path: Path) -> None:
    settings = Settings(tmp_path, key=KEY, pace=0.05)
    with embedded(settings) as service, client(service.url) as api:
        target = api.target()
        gate = threading.Barrier(4)

        def post() -> Any:
            with client(service.url) as mine:
                gate.wait()
                return mine.ok("POST", f"{target}/stim")["job_id"]

        with ThreadPoolExecutor(4) as pool:
            jobs = {future.result() for future in [pool.submit(post) for _ in range(4)]}
        assert len(jobs) == 1
        assert api.settled(f"{target}/stim")["lines"] == 2


def test_opening_and_closing_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Embedding and leaving again, in several threads and over the same directory."""

    def come_and_go(number: int) -> None:
        for turn in range(3):
            with embedded(Settings(tmp_path, key=KEY)) as service, client(service.url) as api:
                Api.ok(api, "POST", "/v1/repo", {"repo_name": f"{number}-{turn}"})

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(come_and_go, range(3)))
    with embedded(Settings(tmp_path, key=KEY)) as service, client(service.url) as api:
        assert len(api.ok("GET", "/v1/repo")["repos"]) == 9
