"""The service under a rehearsal: what its clients see of failures on demand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest

from reconciler.service import ServiceError, Settings, embedded

from .support import KEY, client, hardcoded

if TYPE_CHECKING:
    from pathlib import Path

QUESTIONS = hardcoded(*(f"question {n}" for n in range(10)))


def settings(tmp_path: Path, rules: str) -> Settings:
    file = tmp_path / "rehearsal.yaml"
    file.write_text(rules)
    return Settings(tmp_path / "data", key=KEY, rehearsal=file)


def test_a_bad_file_stops_the_service_before_it_begins(tmp_path: Path) -> None:
    with (
        pytest.raises(ServiceError, match=r"rehearsal.yaml:1:8: "),
        embedded(settings(tmp_path, "jobs: [foo]")),
    ):
        pass
    assert not (tmp_path / "data").exists()


def test_a_job_fails_once_and_succeeds_then(tmp_path: Path) -> None:
    rules = "jobs: [{target: r/t, stage: stim, fail: CUDA out of memory, at: 50%, times: 1}]"
    with embedded(settings(tmp_path, rules)) as service, client(service.url) as api:
        stim = api.target(generators=QUESTIONS) + "/stim"
        failed, done = api.run(stim), api.run(stim)
    assert (failed["status"], failed["error"]) == ("failed", "CUDA out of memory")
    assert failed["lines"] == 5
    assert (done["status"], done["lines"]) == ("complete", 10)


def test_short_counts(tmp_path: Path) -> None:
    rules = "jobs: [{stage: rollout, lines: 80%}, {stage: stim, lines: 5}]"
    with embedded(settings(tmp_path, rules)) as service, client(service.url) as api:
        target = api.target(generators=QUESTIONS, num_traj_per_stimulus=4)
        stim, rollout = api.run(target + "/stim"), api.run(target + "/rollout")
        rows = api.output(target + "/rollout")
    assert (stim["status"], stim["lines"]) == ("complete", 5)
    assert (rollout["status"], rollout["lines"], rollout["total_expected"]) == ("complete", 16, 20)
    assert len(rows) == 16


def test_a_rollout_fails_about_where_it_should(tmp_path: Path) -> None:
    rules = "jobs: [{stage: rollout, fail: Overheated, at: 50%}]"
    with embedded(settings(tmp_path, rules)) as service, client(service.url) as api:
        target = api.target(generators=QUESTIONS, num_traj_per_stimulus=10)
        api.run(target + "/stim")
        rollout = api.run(target + "/rollout")
    assert (rollout["status"], rollout["error"]) == ("failed", "Overheated")
    assert 40 <= rollout["lines"] <= 50


def test_a_stalled_job_goes_on_without_the_rehearsal(tmp_path: Path) -> None:
    stalling = settings(tmp_path, "jobs: [{stall: true, at: 3}]")
    with embedded(stalling) as service, client(service.url) as api:
        stim = api.target(generators=QUESTIONS) + "/stim"
        api.ok("POST", stim)
        api.until(stim, lambda status: status["lines"] == 3)
        time.sleep(0.05)
        assert api.ok("GET", stim)["status"] == "running"
    with embedded(Settings(tmp_path / "data", key=KEY)) as service, client(service.url) as api:
        assert api.settled(stim)["lines"] == 10


def test_a_lost_answer_was_given(tmp_path: Path) -> None:
    rules = "requests: [{method: POST, path: '**/stim', lose: answer, times: 1}]"
    with embedded(settings(tmp_path, rules)) as service, client(service.url) as api:
        stim = api.target(generators=QUESTIONS) + "/stim"
        with pytest.raises(httpx.TransportError):
            api.post(stim)
        assert api.settled(stim)["status"] == "complete"


def test_waiting_requests_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with embedded(settings(tmp_path, "requests: [{delay: 1h}]")) as service:
        with pytest.raises(httpx.ReadTimeout), client(service.url) as api:
            api.get("/v1/repo", timeout=0.1)
        begun = time.monotonic()
    assert time.monotonic() - begun < 30
