"""What survives: restarts, killed processes, and several processes on one data directory."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.service import Settings, embedded
from reconciler.service.state.store import FAILED, Job, Store
from reconciler.service.work.runner import SETBACK_SECONDS

from .endpoint import Said, completion, echo, endpoint, numbered
from .support import KEY, Api, Process, client, hardcoded, hatchery, new_job, process

if TYPE_CHECKING:
    from .endpoint import Asked

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


def posted_at_once(url: str, stage: str) -> list[Any]:
    """Return what four callers are told that start a stage at the same time."""
    gate = threading.Barrier(4)

    def post(_: int) -> Any:
        with client(url) as api:
            gate.wait()
            return api.ok("POST", stage)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(post, range(4)))


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
    settings = Settings(tmp_path, key=KEY, pace=0.5)
    with embedded(settings) as service, client(service.url) as api:
        stim = f"{api.target(generators=hardcoded(*LETTERS))}/stim"
        api.ok("POST", stim)
        api.until(stim, lambda status: status["lines"] > 0)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < settings.pace * len(LETTERS) / 2
    with embedded(Settings(tmp_path, key=KEY)) as service, client(service.url) as api:
        first = api.ok("GET", f"{stim}/output")["output"]
        assert len(first) > 0
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
        assert here.run(f"{target}/stim")["lines"] == 2
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
        jobs = {each["job_id"] for each in posted_at_once(service.url, f"{target}/stim")}
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


def test_nothing_more_is_asked_for_before_an_answer_is_committed(tmp_path: Path) -> None:
    """So that a kill costs no more than the requests in flight."""
    committed: dict[str, list[int]] = {"stim": [], "rollout": []}

    def says(asked: Asked) -> Said:
        stage = "stim" if asked.text.startswith("An assistant") else "rollout"
        with closing(Store(tmp_path)) as store:
            row = store.stage("", "r", "t", stage)
        assert row is not None
        assert row.job is not None
        committed[stage].append(row.job.done)
        made = len(committed["stim"])
        return numbered(f"{made}a?", f"{made}b?") if stage == "stim" else echo(asked)

    with (
        endpoint(says) as model,
        embedded(Settings(tmp_path, key=KEY, model_url=model.url)) as service,
        client(service.url) as api,
    ):
        generators = [{"type": "oneshot_qs", "numq": 10}]
        target = api.target(generators=generators, max_concurrency=1)
        for stage in ("stim", "rollout"):
            api.run(f"{target}/{stage}")
    assert committed == {"stim": [0, 2, 4, 6, 8], "rollout": list(range(10))}


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits processes as Linux can")
def test_a_full_disk_costs_no_answers_and_no_rows(tmp_path: Path) -> None:
    def limit(size: int) -> None:
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    with hatchery() as hatching, endpoint(lambda _: Said(completion("."), delay=0.005)) as model:
        service = hatching.start(tmp_path, model_url=model.url)
        with client(service.url) as api:
            target = api.target(generators=hardcoded(*LETTERS), num_traj_per_stimulus=5)
            api.run(f"{target}/stim")
            rollout = f"{target}/rollout"
            api.ok("POST", rollout)
            api.until(rollout, lambda status: status["lines"] > 20)
            limit((tmp_path / "service.db-wal").stat().st_size // 2)
            time.sleep(0.1)
            asked, rows = len(model.asked), api.output(rollout)
            time.sleep(SETBACK_SECONDS + 0.2)
            assert len(model.asked) == asked
            status = api.ok("GET", rollout)
            assert (status["status"], status["lines"]) == ("running", len(rows))
            assert api.post("/v1/repo", {"repo_name": "other"}).status_code == 500
            limit(resource.RLIM_INFINITY)
            assert api.settled(rollout)["status"] == "complete"
            whole = api.output(rollout)
        assert whole[: len(rows)] == rows
        places = [(row["stimulus_id"], row["trajectory_id"]) for row in whole]
        assert places == list(product(range(len(LETTERS)), range(5)))
        assert len(whole) <= len(model.asked) <= len(whole) + 10


class TestAnotherAttemptAtARollout:
    """After a failure it begins with the rows of the one before."""

    def test_it_makes_what_is_missing_and_leaves_other_jobs_alone(self, tmp_path: Path) -> None:
        asked_for: Counter[str] = Counter()
        refused = [LETTERS[30]]

        def says(asked: Asked) -> Said:
            asked_for[asked.text] += 1
            if asked.text in refused:
                refused.clear()
                return Said({"error": "no"}, status=400)
            return Said(completion(f"answer {asked_for.total()}"), delay=0.002)

        with (
            endpoint(says) as model,
            embedded(Settings(tmp_path, key=KEY, model_url=model.url)) as service,
            client(service.url) as api,
        ):
            one, other = (
                api.target(name, generators=hardcoded(*LETTERS), max_concurrency=3) for name in "ab"
            )
            api.run(f"{one}/stim")
            failed = api.run(f"{one}/rollout")
            kept = api.output(f"{one}/rollout")
            assert failed["status"] == "failed"
            assert 20 < failed["lines"] == len(kept) <= 30
            whole = ran(api, other)
            asked_for.clear()
            told = posted_at_once(service.url, f"{one}/rollout")
            assert len({each["job_id"] for each in told}) == 1
            assert told[0]["job_id"] > whole[0]["job_id"] > failed["job_id"]
            again, rows = ran(api, one)
            assert "error" not in again
            assert rows[: len(kept)] == kept
            assert [row["stimulus"] for row in rows] == LETTERS
            assert set(asked_for.values()) == {1}
            assert not asked_for.keys() & {row["stimulus"] for row in kept}
            assert ran(api, other) == whole

    def test_a_crash_while_it_begins_changes_nothing(self, tmp_path: Path) -> None:
        with closing(Store(tmp_path)) as store:
            failed = failed_rollout(store)
        killed = f"""
import os, pathlib
from reconciler.service.state.store import Store
store = Store(pathlib.Path({str(tmp_path)!r}))
with store.writing():
    store.continue_job({failed.id})
    os.kill(os.getpid(), 9)
"""
        root = Path(__file__).parents[2]
        ended = subprocess.run([sys.executable, "-c", killed], cwd=root, check=False)
        assert ended.returncode == -9
        with closing(Store(tmp_path)) as store:
            assert (rollout(store), store.unfinished()) == (failed, [])
            assert store.numbers(failed.id, 0) == [0, 1, 2, 4]
            with store.writing():
                store.continue_job(failed.id)
            new = rollout(store)
            assert (new.status, new.lines, new.done, new.error) == ("running", 3, 4, None)
            assert new.number > failed.number
            assert store.unfinished() == [new.id]
            assert store.numbers(new.id, 0) == [0, 1, 2, 4]

    def test_no_attempt_has_the_number_of_another(self, tmp_path: Path) -> None:
        with closing(Store(tmp_path)) as store:
            failed = failed_rollout(store)
            seen = [failed.number]
            for _ in range(2):
                store.continue_job(failed.id)
                seen.append(rollout(store).number)
            repo = store.repo("", "r")
            assert repo is not None
            store.delete_target(repo.id, "t")
            seen.append(failed_rollout(store).number)
        assert seen == sorted(set(seen))


def ran(api: Api, target: str) -> tuple[Any, list[Any]]:
    """Run both stages; return how the rollout ended and its rows."""
    api.run(f"{target}/stim")
    status = api.run(f"{target}/rollout")
    assert (status["status"], status["lines"]) == ("complete", len(LETTERS))
    return status, api.output(f"{target}/rollout")


def failed_rollout(store: Store) -> Job:
    """Make a target whose rollout failed with four of six rows there, three of them readable."""
    job = new_job(store, "rollout", 6)
    store.add_rows(job, [(n, "{}") for n in (4, 1, 0, 2)], lines=3, done=4)
    store.finish(job, FAILED, "no")
    return rollout(store)


def rollout(store: Store) -> Job:
    row = store.stage("", "r", "t", "rollout")
    assert row is not None
    assert row.job is not None
    return row.job
