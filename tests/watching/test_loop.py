"""The loop: when rounds come, what is told of them, and what ends it. No time passes here."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.errors import ExitCode
from reconciler.core.model.events import EventKind
from reconciler.core.watching.rounds import Ending, Round
from reconciler.workflow.verbs import shared
from reconciler.workflow.watching.interrupts import Interrupts
from reconciler.workflow.watching.loop import LONGEST_PAUSE, Watch, exit_code, pause

if TYPE_CHECKING:
    from collections.abc import Iterator


def a_round(ending: Ending = Ending.CONVERGED, *, did: int = 0) -> Round:
    activity = {EventKind.CREATED: did} if did else {}
    return Round(ending, ExitCode.OK, 0.0, 1.0, 1, activity=activity)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@dataclass
class Story:
    """Rounds that end as told, the last one with a signal, and all that came of them."""

    rounds: list[Round]
    last: signal.Signals = signal.SIGTERM
    pauses: list[float] = field(default_factory=list)
    told: list[tuple[Round, bool]] = field(default_factory=list)

    def play(self, interval: float = 60.0, draw: float = 0.5) -> signal.Signals:
        with Interrupts() as interrupts:
            rounds = iter(self.rounds)

            def sleep(seconds: float) -> None:
                self.pauses.append(seconds)
                if len(self.pauses) == len(self.rounds):
                    send(self.last)

            watch = Watch(
                interval,
                lambda: next(rounds),
                lambda done, is_news: self.told.append((done, is_news)),
                interrupts,
                sleep,
                lambda: draw,
            )
            return watch.run()

    @property
    def news(self) -> list[bool]:
        return [is_news for _, is_news in self.told]


@pytest.fixture(autouse=True)
def handlers_are_put_back() -> Iterator[None]:
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


def test_rounds_follow_each_other_after_the_interval() -> None:
    story = Story([a_round()] * 3)
    assert story.play() is signal.SIGTERM
    assert story.pauses == [60.0] * 3
    assert [done.number for done, _ in story.told] == [1, 2, 3]
    assert {done.next_in for done, _ in story.told} == {60.0}


def test_failures_make_pauses_longer_and_a_success_makes_them_as_before() -> None:
    failed = a_round(Ending.FAILED)
    story = Story([failed] * 6 + [a_round(), failed])
    story.play()
    assert story.pauses == [60.0, 120.0, 240.0, 480.0, 900.0, 900.0, 60.0, 60.0]


@pytest.mark.parametrize("ending", [Ending.BLOCKED, Ending.PENDING, Ending.LOCKED])
def test_what_needs_a_person_or_time_is_no_failure(ending: Ending) -> None:
    story = Story([a_round(ending)] * 4)
    story.play()
    assert story.pauses == [60.0] * 4


@given(
    st.floats(0.1, 1e6),
    st.integers(0, 10_000),
    st.floats(0, 1, exclude_max=True),
)
def test_a_pause_is_spread_by_a_tenth_and_bounded(
    interval: float, failures: int, draw: float
) -> None:
    found = pause(interval, failures, draw)
    assert 0.89 * interval <= found <= 1.11 * max(interval, LONGEST_PAUSE)
    middle = pause(interval, failures, 0.5)
    assert 0.89 * middle <= found <= 1.11 * middle


def test_quiet_rounds_are_no_news() -> None:
    busy, failed, held = a_round(did=2), a_round(Ending.FAILED), a_round(Ending.LOCKED)
    blocked = a_round(Ending.BLOCKED)
    story = Story([a_round(), a_round(), busy, blocked, blocked, failed, failed, held, held])
    story.play()
    assert story.news == [False, False, True, True, False, True, True, True, False]


def test_a_first_round_that_is_not_converged_is_news() -> None:
    story = Story([a_round(Ending.BLOCKED)])
    story.play()
    assert story.news == [True]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, ExitCode.OK), (signal.SIGINT, ExitCode.INTERRUPTED)],
)
def test_what_ends_a_watch_decides_how_it_ends(number: signal.Signals, code: ExitCode) -> None:
    assert exit_code(Story([a_round()], last=number).play()) is code


class TestInterrupts:
    def test_a_signal_is_kept_until_it_may_break_off_a_pause(self) -> None:
        with Interrupts() as interrupts:
            send(signal.SIGTERM)
            with pytest.raises(KeyboardInterrupt), interrupts.pausing():
                pytest.fail("interrupted too late")
            assert interrupts.take() is signal.SIGTERM
            assert interrupts.take() is None

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_a_pause_is_broken_off_at_once(self, number: signal.Signals) -> None:
        with Interrupts() as interrupts:
            with pytest.raises(KeyboardInterrupt), interrupts.pausing():
                send(number)
            assert interrupts.take() is number
            with interrupts.pausing():
                pass

    def test_to_stop_counts_more_than_to_begin_anew(self) -> None:
        with Interrupts() as interrupts:
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
                send(number)
            assert interrupts.take() is signal.SIGTERM

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_what_runs_is_cancelled_and_has_time_to_end(self, number: signal.Signals) -> None:
        done = []

        async def work() -> None:
            try:
                asyncio.get_running_loop().call_later(0.01, send, number)
                await asyncio.sleep(30)
            finally:
                send(signal.SIGHUP)
                await asyncio.sleep(0.01)
                done.append("tidied up")

        with Interrupts() as interrupts:
            with pytest.raises(KeyboardInterrupt):
                shared.run(work())
            assert interrupts.take() is number
        assert done == ["tidied up"]

    def test_a_signal_between_two_runs_cancels_the_second(self) -> None:
        async def nothing() -> None:
            await asyncio.sleep(0)

        with Interrupts() as interrupts:
            shared.run(nothing())
            send(signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                shared.run(nothing())
            assert interrupts.take() is signal.SIGHUP
            shared.run(nothing())

    def test_who_presses_ctrl_c_again_wants_out(self) -> None:
        with Interrupts():
            send(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                send(signal.SIGINT)

    def test_a_hangup_begins_the_next_round_at_once(self) -> None:
        done: list[int] = []

        def sleep(_: float) -> None:
            send(signal.SIGHUP if len(done) < 3 else signal.SIGTERM)

        def round_() -> Round:
            done.append(1)
            return a_round()

        with Interrupts() as interrupts:
            watch = Watch(60.0, round_, lambda *_: None, interrupts, sleep, lambda: 0.5)
            assert watch.run() is signal.SIGTERM
        assert len(done) == 3

    def test_a_round_that_is_broken_off_is_told_to_nobody(self) -> None:
        told: list[Round] = []

        def round_() -> Round:
            send(signal.SIGTERM)
            raise KeyboardInterrupt

        with Interrupts() as interrupts:
            watch = Watch(
                60.0, round_, lambda done, _: told.append(done), interrupts, print, lambda: 0.5
            )
            assert watch.run() is signal.SIGTERM
        assert told == []
