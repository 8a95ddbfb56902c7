"""What is repeated, how patiently, and that a 429 slows everybody down."""

from __future__ import annotations

import asyncio
import socket
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import VirtualClock, virtual
from virtual_time import clock as virtual_clock

from reconciler.client import Api, Http, HttpSettings, transport
from reconciler.client.http import RetryPolicy
from reconciler.core.errors import ApiError, UnreachableError
from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import LiveRepo, LiveStage

from .support import HANG_UP, KEY, Answer, Clock, answer, asynchronous, ok, serving, speaking

BUSY = answer(503, {"error": "Busy"})
REPO = ok(repo_name="r", base_model="m")
RUNNING = ok(status="running", lines=0)
ATTEMPTS = RetryPolicy().attempts


def limited(retry_after: str | None = None, **headers: str) -> Answer:
    given = {**headers, **({} if retry_after is None else {"Retry-After": retry_after})}
    return answer(429, {"error": "Too many requests"}, given)


def busy(retry_after: str) -> Answer:
    return answer(503, {"error": "Busy"}, {"Retry-After": retry_after})


@asynchronous
async def test_a_passing_fault_is_lived_through() -> None:
    async with speaking(BUSY, HANG_UP, REPO) as (api, server):
        assert await api.repo("r") == LiveRepo("m")
    assert len(server.requests) == 3
    assert len(server.clock.slept) == 2


@asynchronous
async def test_a_lasting_fault_is_given_up_with_its_sentence() -> None:
    async with speaking(BUSY) as (api, server):
        with pytest.raises(UnreachableError, match="503: Busy"):
            await api.repo("r")
    assert len(server.requests) == ATTEMPTS


@pytest.mark.parametrize("fault", [BUSY, HANG_UP, answer(200, {"status": "running"}, cut=5)])
@asynchronous
async def test_a_start_is_sent_once_when_nobody_knows_whether_it_worked(fault: Answer) -> None:
    async with speaking(fault, RUNNING) as (api, server):
        with pytest.raises(UnreachableError):
            await api.run("r", "t", Stage.STIM)
    assert len(server.requests) == 1


@asynchronous
async def test_a_start_has_no_body_and_no_second_try_after_a_slow_answer() -> None:
    slow = answer(200, {"status": "running"}, after=0.3)
    async with speaking(slow, timeout=0.05) as (api, server):
        with pytest.raises(UnreachableError, match="no answer in time"):
            await api.run("r", "t", Stage.STIM)
        assert [request.method for request in server.requests] == ["POST"]
        assert server.requests[0].body == b""


@asynchronous
async def test_creating_may_be_repeated_because_twice_is_once() -> None:
    async with speaking(BUSY, ok(repo_name="r")) as (api, server):
        await api.create_repo("r", None)
    assert [request.method for request in server.requests] == ["POST", "POST"]


@pytest.mark.parametrize("fault", [HANG_UP, BUSY])
@asynchronous
async def test_a_call_that_replaces_is_not_repeated_unseen(fault: Answer) -> None:
    async with speaking(fault, ok(created=["p"], failed={})) as (api, server):
        with pytest.raises(UnreachableError):
            await api.create_prompts("r", {"p": []})
    assert len(server.requests) == 1


@asynchronous
async def test_a_refusal_is_not_repeated() -> None:
    async with speaking(answer(400, {"error": "No"})) as (api, server):
        with pytest.raises(ApiError):
            await api.create_repo("r", None)
    assert len(server.requests) == 1


@asynchronous
async def test_a_slow_answer_is_waited_for_again() -> None:
    slow = answer(200, {"base_model": "late"}, after=0.3)
    async with speaking(slow, REPO, timeout=0.1) as (api, server):
        assert await api.repo("r") == LiveRepo("m")
        assert len(server.requests) == 2


@asynchronous
async def test_where_nobody_listens_every_call_ends_soon_and_says_where() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        clock = Clock()
        async with Http(HttpSettings(url, KEY), clock) as http:
            api = Api(http)
            for call in (api.stage, api.run):
                with pytest.raises(UnreachableError) as caught:
                    await call("r", "t", Stage.STIM)
                assert url in caught.value.hint
    # A connection that never came about carried no request: a start may be tried again.
    assert http.requests == 2 * ATTEMPTS
    assert clock.now() < 60


@pytest.mark.parametrize("seconds", ["7", "0.5", "120"])
@asynchronous
async def test_retry_after_is_obeyed_to_the_second(seconds: str) -> None:
    async with speaking(limited(seconds), REPO) as (api, server):
        assert await api.repo("r") == LiveRepo("m")
    assert server.requests[1].at - server.requests[0].at >= float(seconds)
    assert server.clock.now() < float(seconds) + 1


class _Unhurried(Clock):
    """Time passes once for all who sleep, and not before all do."""

    async def sleep(self, seconds: float) -> None:
        end = self.time + seconds
        await asyncio.sleep(0.1)
        self.time = max(self.time, end)


@asynchronous
async def test_a_long_hold_is_told_once_however_many_requests_met_it() -> None:
    told: list[float] = []
    answers, clock = (*[limited("3600")] * 5, *[REPO] * 5), _Unhurried()
    async with serving(*answers, clock=clock) as server:
        async with Http(HttpSettings(server.url, KEY, held=told.append), clock) as http:
            await asyncio.gather(*(Api(http).repo("r") for _ in range(5)))
        assert len(server.requests) == 10
    assert told == [600.0]


@asynchronous
async def test_every_long_hold_is_told_and_a_short_one_is_not() -> None:
    told: list[float] = []
    answers = (limited("1"), limited("60"), limited("2"), limited("3600"), REPO)
    async with speaking(*answers, held=told.append) as (api, _):
        await api.repo("r")
    assert told == [60.0, 600.0]


@asynchronous
async def test_a_long_hold_is_told_though_a_short_one_is_under_way() -> None:
    told: list[float] = []
    async with speaking(limited("1"), limited("90"), REPO, held=told.append) as (api, _):
        await asyncio.gather(api.repo("r"), api.repo("r"))
    assert told == [90.0]


@asynchronous
async def test_retry_after_may_be_a_date() -> None:
    now, then = "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:30 GMT"
    dated = limited(then, Date=now)
    async with speaking(dated, REPO) as (api, server):
        await api.repo("r")
    assert server.clock.now() == pytest.approx(30)


@asynchronous
async def test_a_fault_that_says_when_it_is_over_holds_up_everybody_until_then() -> None:
    told: list[float] = []
    async with speaking(busy("45"), REPO, held=told.append) as (api, server):
        assert await api.repo("r") == LiveRepo("m")
        await api.repo("r")
    assert all(request.at >= 45 for request in server.requests[1:])
    assert told == [45.0]


@pytest.mark.parametrize("header", ["3600", "soon", "-5"])
@asynchronous
async def test_a_fault_that_lasts_is_told_and_not_waited_for(header: str) -> None:
    async with speaking(busy(header)) as (api, server):
        with pytest.raises(UnreachableError, match="Busy"):
            await api.repo("r")
    assert len(server.requests) == ATTEMPTS
    assert 1 < server.clock.now() < 60


@pytest.mark.parametrize("header", ["soon", "", "nan", "-5", "Wed, 99 Foo", "inf", "1e300"])
@asynchronous
async def test_a_retry_after_without_meaning_neither_hurts_nor_hangs(header: str) -> None:
    async with speaking(limited(header), REPO) as (api, server):
        assert await api.repo("r") == LiveRepo("m")
    assert server.clock.now() < 3600


@asynchronous
async def test_a_429_without_retry_after_is_waited_out_with_growing_delays() -> None:
    several = [limited() for _ in range(6)]
    async with speaking(*several, REPO) as (api, server):
        assert await api.repo("r") == LiveRepo("m")
    waits = [after.at - before.at for before, after in pairwise(server.requests)]
    assert len(waits) == 6
    assert waits[-1] > waits[0] > 0


@asynchronous
async def test_a_429_holds_up_the_whole_client() -> None:
    first = limited("60")
    async with speaking(first, REPO) as (api, server):
        early = asyncio.create_task(api.repo("r"))
        while not server.clock.slept:  # noqa: ASYNC110 - until the 429 has been met
            await asyncio.sleep(0)
        await asyncio.gather(early, *(api.repo("r") for _ in range(20)))
    assert all(request.at >= 60 for request in server.requests[1:])
    assert len(server.requests) == 22


class Limiting:
    """Takes a second for every request, and answers the first with a hold of a minute."""

    def __init__(self, clock: VirtualClock) -> None:
        self.sent: list[float] = []
        self._clock = clock

    async def send(self, method: str, path: str, body: bytes | None) -> transport.Answer:
        is_first = not self.sent
        self.sent.append(self._clock.now())
        await self._clock.sleep(1)
        if is_first:
            return transport.Answer(429, "", [(b"retry-after", b"60")], b"{}")
        return transport.Answer(200, "", [], b"{}")

    async def aclose(self) -> None:
        """Close nothing."""


@virtual
async def test_a_429_holds_up_what_waits_for_its_turn_as_well() -> None:
    time = virtual_clock()
    carrier = Limiting(time)
    settings = HttpSettings("http://127.0.0.1", KEY, concurrency=2)
    async with Http(settings, time, connect=lambda _: carrier) as http:
        await asyncio.gather(*(Api(http).repo("r") for _ in range(20)))
    held = [at for at in carrier.sent if at > 0]
    assert len(held) == 19
    assert min(held) == 61


@asynchronous
async def test_a_start_refused_by_a_429_did_not_happen_and_is_repeated() -> None:
    async with speaking(limited("1"), RUNNING) as (api, server):
        assert await api.run("r", "t", Stage.STIM) == LiveStage("running", 0)
    assert len(server.requests) == 2


@asynchronous
async def test_endless_429s_end_as_unreadable() -> None:
    async with speaking(limited("1")) as (api, server):
        with pytest.raises(UnreachableError, match="429"):
            await api.repo("r")
    assert len(server.requests) == RetryPolicy().attempts_when_limited


@asynchronous
async def test_a_client_opens_no_more_connections_than_it_may() -> None:
    slow = answer(200, {"base_model": "m"}, after=0.02)
    connections: set[object] = set()
    clock = Clock()
    async with serving(slow, clock=clock) as server:
        handle = server.handle

        async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.add(writer.get_extra_info("peername"))
            await handle(reader, writer)

        async with await asyncio.start_server(counted, "127.0.0.1", 0) as listening:
            url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            async with Http(HttpSettings(url, KEY, concurrency=3), clock) as http:
                await asyncio.gather(*(Api(http).repo("r") for _ in range(12)))
                assert http.requests == 12
    assert len(connections) <= 3


@given(attempt=st.integers(1, 1000), seed=st.integers())
def test_delays_grow_and_stay_within_bounds(attempt: int, seed: int) -> None:
    policy, draw = RetryPolicy(), Random(seed).random()
    delay = policy.delay(attempt, draw)
    assert policy.first_delay / 2 <= delay <= policy.longest_delay
    assert policy.delay(attempt + 1, draw) >= delay
