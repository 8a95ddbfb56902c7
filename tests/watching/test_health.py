"""Alive is who succeeded not long ago, or waits for jobs; ready who has succeeded at all."""

from __future__ import annotations

import pytest

from reconciler.workflow.watching.health import Health


class Watched:
    def __init__(self) -> None:
        self.time = 1000.0
        self.health = Health(60.0, lambda: self.time)

    def alive(self) -> bool:
        return self.health.is_alive

    def round(self, seconds: float = 1.0, *, success: bool = True, after: float = 60.0) -> None:
        self.time += after
        self.health.begins()
        self.time += seconds
        self.health.ends(success=success)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_it_is_alive_from_the_start_but_ready_only_after_a_success(watched: Watched) -> None:
    assert (watched.alive(), watched.health.is_ready) == (True, False)
    watched.round(success=False, after=0.0)
    assert not watched.health.is_ready
    watched.round()
    assert watched.health.is_ready


def test_three_intervals_without_a_success_are_too_many(watched: Watched) -> None:
    watched.round()
    watched.time += 179.0
    assert watched.alive()
    watched.time += 2.0
    assert not watched.alive()
    watched.round(after=0.0)
    assert watched.alive()


def test_failed_rounds_do_not_count(watched: Watched) -> None:
    watched.round()
    for _ in range(3):
        watched.round(success=False)
    assert not watched.alive()
    assert watched.health.is_ready


def test_a_round_that_waits_for_hours_is_alive(watched: Watched) -> None:
    watched.round()
    watched.time += 60.0
    watched.health.begins()
    watched.time += 7200.0
    assert watched.alive()


def test_a_round_that_begins_after_many_failures_is_not_alive_yet(watched: Watched) -> None:
    for _ in range(4):
        watched.round(success=False)
    watched.health.begins()
    assert not watched.alive()
