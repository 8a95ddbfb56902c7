"""Stim and rollout: what they make, in which order, and how they say how far they are."""

from __future__ import annotations

import time
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.service import Settings, embedded

from .support import EXPERT, KEY, TEMPLATE, Api, client, hardcoded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.service import Running


def questions(api: Api, target: str) -> list[str]:
    status = api.run(f"{target}/stim")
    assert status["status"] == "complete", status
    rows = api.output(f"{target}/stim")
    assert [row["stimulus_id"] for row in rows] == list(range(status["lines"]))
    return [row["question"] for row in rows]


class TestLifeOfAStim:
    def test_from_not_started_to_complete(self, api: Api) -> None:
        stim = f"{api.target(generators=hardcoded(*'abc'))}/stim"
        before = api.ok("GET", stim)
        assert (before["status"], before["lines"]) == ("not_started", 0)
        assert "job_id" not in before
        started = api.ok("POST", stim)
        assert (started["status"], started["lines"]) == ("running", 0)
        assert isinstance(started["job_id"], int)
        assert started["parameters"] == started["config"] == before["parameters"]
        complete = api.settled(stim)
        assert (complete["status"], complete["lines"]) == ("complete", 3)
        assert "progress_percent" not in complete
        assert api.ok("POST", stim) == complete

    def test_output_before_it_started(self, api: Api) -> None:
        page = api.ok("GET", f"{api.target()}/stim/output")
        assert (page["status"], page["output"], page["has_more"]) == ("not_started", [], False)
        assert (page["offset"], page["limit"], page["lines"]) == (0, 100, 0)

    def test_pages(self, api: Api) -> None:
        stim = f"{api.target(generators=hardcoded(*'abcde'))}/stim"
        api.run(stim)
        page = api.ok("GET", f"{stim}/output?offset=1&limit=2")
        assert page["output"] == [
            {"stimulus_id": 1, "question": "b"},
            {"stimulus_id": 2, "question": "c"},
        ]
        assert (page["offset"], page["limit"], page["lines"], page["has_more"]) == (1, 2, 5, True)
        assert api.ok("GET", f"{stim}/output?offset=3&limit=2")["has_more"] is False
        beyond = api.ok("GET", f"{stim}/output?offset={10**17}")
        assert (beyond["output"], beyond["has_more"]) == ([], False)

    def test_after_a_failure_a_new_attempt(self, api: Api, datasets: Path) -> None:
        generators = [{"type": "from_dataset", "dataset": "later"}]
        stim = f"{api.target(generators=generators)}/stim"
        first = api.run(stim)
        assert first["status"] == "failed"
        assert "later.jsonl" in first["error"]
        (datasets / "later.jsonl").write_text('"now"\n')
        second = api.run(stim)
        assert (second["status"], second["lines"]) == ("complete", 1)
        assert second["job_id"] > first["job_id"]
        assert "error" not in second


class TestGenerators:
    def test_hardcoded_all_or_the_first(self, api: Api) -> None:
        everything = api.target("all", generators=hardcoded("a", "a", "", "b", numq=100))
        assert questions(api, everything) == ["a", "a", "", "b"]
        some = api.target("some", generators=hardcoded("a", "b", "c", numq=2))
        assert questions(api, some) == ["a", "b"]

    def test_several_follow_each_other(self, api: Api) -> None:
        generators = [*hardcoded("a"), {"type": "persona", "numq": 2}, *hardcoded("z")]
        found = questions(api, api.target(generators=generators))
        assert (found[0], found[-1], len(found)) == ("a", "z", 4)

    @pytest.mark.parametrize("kind", ["oneshot_qs", "persona", "custom"])
    @pytest.mark.parametrize("numq", [1, 7, 130, None])
    def test_exactly_as_many_distinct_questions(
        self, api: Api, kind: str, numq: int | None
    ) -> None:
        generator: dict[str, Any] = {"type": kind, "numq": numq, "model": "claude", "seed": 3}
        if kind == "custom":
            generator |= {"template_path": "mine", "template_content": TEMPLATE}
        found = questions(api, api.target(generators=[generator]))
        assert len(found) == len(set(found)) == (numq or 10)
        assert all(found)

    def test_more_distinct_questions_than_there_are_combinations(self, api: Api) -> None:
        found = questions(api, api.target(generators=[{"type": "oneshot_qs", "numq": 1500}]))
        assert len(set(found)) == 1500

    def test_the_prompt_shows_in_the_questions(self, api: Api) -> None:
        found = questions(api, api.target(generators=[{"type": "oneshot_qs", "numq": 30}]))
        assert any("packaging" in question for question in found)

    def test_the_same_config_asks_the_same_another_seed_does_not(self, api: Api) -> None:
        kinds = product(["first", "second"], [1, 2])
        found = {
            (name, seed): questions(
                api,
                api.target(f"{name}{seed}", generators=[{"type": "persona", "seed": seed}]),
            )
            for name, seed in kinds
        }
        assert found["first", 1] == found["second", 1]
        assert found["first", 1] != found["first", 2]

    def test_nothing_to_ask(self, api: Api) -> None:
        target = api.target(generators=[{"type": "hardcoded"}])
        status = api.run(f"{target}/stim")
        assert status["status"] == "failed"
        assert status["error"] == "The generators have no questions"
        assert api.post(f"{target}/rollout").status_code == 400


class TestRollout:
    def test_several_trajectories_for_each_stimulus(self, api: Api) -> None:
        target = api.target(num_traj_per_stimulus=3, temperature=0.7)
        api.run(f"{target}/stim")
        assert api.ok("GET", f"{target}/rollout")["status"] == "not_started"
        started = api.ok("POST", f"{target}/rollout")
        assert (started["status"], started["lines"], started["total_expected"]) == ("running", 0, 6)
        status = api.settled(f"{target}/rollout")
        assert (status["status"], status["lines"], status["total_expected"]) == ("complete", 6, 6)
        assert status["parameters"] == status["config"]
        assert status["config"]["num_traj_per_stimulus"] == 3
        assert api.ok("POST", f"{target}/rollout") == status
        rows = api.output(f"{target}/rollout", limit=4)
        assert [(row["stimulus_id"], row["trajectory_id"], row["stimulus"]) for row in rows] == [
            (stimulus, trajectory, "ab"[stimulus])
            for stimulus, trajectory in product(range(2), range(3))
        ]
        for row in rows:
            assert row["model"] == "offline/Qwen/Qwen3-32B"
            assert row["temperature"] == 0.7
            assert row["response"]
            assert isinstance(row["tokens"], int)
        assert len({row["response"] for row in rows}) > 3

    def test_the_question_shows_in_the_answer(self, api: Api) -> None:
        target = api.target(generators=hardcoded("How do I knead sourdough?"))
        rows = self.rows(api, target)
        assert "sourdough" in rows[0]["response"]

    def test_temperature_zero_repeats_itself(self, api: Api) -> None:
        rows = self.rows(api, api.target(num_traj_per_stimulus=5, temperature=0))
        assert len({row["response"] for row in rows}) == 2

    def test_max_tokens_cuts_answers(self, api: Api) -> None:
        rows = self.rows(api, api.target(max_tokens=5))
        assert [row["tokens"] for row in rows] == [5, 5]
        assert all(len(row["response"].split()) <= 5 for row in rows)

    def test_the_same_config_answers_the_same(self, api: Api) -> None:
        first, second = (api.target(name, num_traj_per_stimulus=2) for name in "xy")
        assert self.rows(api, first) == self.rows(api, second)

    def test_conditioned_generators_roll_out_from_the_student(self, api: Api) -> None:
        plain = [{"role": "system", "content": "Talk about volcanoes."}]
        api.ok("POST", "/v1/repo", {"repo_name": "r"})
        api.ok("POST", "/v1/repo/r/prompts", {"prompt_name": "plain", "messages": plain})
        generators = [
            *hardcoded("one question"),
            *hardcoded("one question", rollout_with_conditioned=True),
        ]
        target = api.target(student_prompt="plain", generators=generators)
        api.run(f"{target}/stim")
        first, second = api.output(f"{target}/stim")
        assert "trajectory_override_stimulus" not in first
        assert second["trajectory_override_stimulus"] == "Talk about volcanoes.\n\none question"
        teacher, student = self.rows(api, target)
        assert teacher["response"] != student["response"]
        assert teacher["stimulus"] == student["stimulus"] == "one question"

    def test_prompts_count_as_they_were_when_the_job_was_started(self, api: Api) -> None:
        plain, changed = api.target("plain"), api.target("changed")
        for target in (plain, changed):
            api.run(f"{target}/stim")
        before = self.rows(api, plain)
        put = {"messages": [{"role": "system", "content": "Only speak of glaciers."}]}
        api.ok("PUT", "/v1/repo/r/prompts/expert", put)
        assert self.rows(api, plain) == before != self.rows(api, changed)

    @staticmethod
    def rows(api: Api, target: str) -> list[Any]:
        api.run(f"{target}/stim")
        assert api.run(f"{target}/rollout")["status"] == "complete"
        return api.output(f"{target}/rollout")


PACE = 0.05


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    settings = Settings(tmp_path_factory.mktemp("slow"), key=KEY, pace=PACE)
    with embedded(settings) as service, client(service.url) as api:
        yield api


class TestPace:
    """Every row takes ``pace``: stimuli one by one, trajectories max_concurrency at a time."""

    @pytest.mark.parametrize("generators", [hardcoded(*"abcd"), [{"type": "persona", "numq": 4}]])
    def test_stimuli_one_after_the_other(self, slow: Api, generators: Any) -> None:
        stim = f"{slow.target(generators[0]['type'], generators=generators)}/stim"
        started = time.monotonic()
        slow.run(stim)
        assert time.monotonic() - started >= 4 * PACE

    def test_trajectories_up_to_max_concurrency_at_once(self, slow: Api) -> None:
        target = slow.target("wide", num_traj_per_stimulus=32, max_concurrency=16)
        slow.run(f"{target}/stim")
        started = time.monotonic()
        assert slow.run(f"{target}/rollout")["lines"] == 64
        assert 4 * PACE <= time.monotonic() - started < 64 * PACE

    def test_progress_and_a_prefix_while_it_runs(self, slow: Api) -> None:
        letters = [chr(ord("a") + number) for number in range(10)]
        stim = f"{slow.target('seen', generators=hardcoded(*letters))}/stim"
        slow.ok("POST", stim)
        half = slow.until(stim, lambda status: status["lines"] >= 4)
        assert half["status"] == "running"
        assert half["progress_percent"] == 10 * half["lines"]
        page = slow.ok("GET", f"{stim}/output")
        seen = [row["question"] for row in page["output"]]
        assert seen == letters[: len(seen)] != letters
        assert page["lines"] == len(seen)
        assert slow.ok("POST", stim)["job_id"] == half["job_id"]
        assert slow.settled(stim)["lines"] == 10

    def test_a_deleted_target_stops_and_leaves_nothing(self, slow: Api) -> None:
        target = slow.target("gone", generators=hardcoded(*"abcdefgh"))
        slow.ok("POST", f"{target}/stim")
        slow.until(f"{target}/stim", lambda status: status["lines"] >= 1)
        slow.ok("DELETE", target)
        target = slow.target("gone", generators=hardcoded("z"))
        assert questions(slow, target) == ["z"]


def test_ten_thousand_rows_do_not_hold_up_anybody(running: Running, api: Api) -> None:
    target = api.target(generators=[{"type": "oneshot_qs", "numq": 2000}], num_traj_per_stimulus=5)
    api.run(f"{target}/stim")
    api.ok("POST", f"{target}/rollout")
    answers = 0
    status: dict[str, Any] = {"status": "running"}
    while status["status"] == "running":
        status = api.ok("GET", f"{target}/rollout")
        answers += 1
    assert status["lines"] == 10_000
    assert answers > 5


def test_the_tenth_page_costs_what_the_first_does(api: Api) -> None:
    target = api.target(generators=[{"type": "oneshot_qs", "numq": 1000}])
    api.run(f"{target}/stim")
    rows = api.output(f"{target}/stim", limit=100)
    assert [row["stimulus_id"] for row in rows] == list(range(1000))
    assert EXPERT[0]["content"].split()[-1].rstrip(".") in str(rows)
