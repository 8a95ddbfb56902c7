"""Reading outputs: in order, in a window, and only what the status said."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
from virtual_time import virtual

from reconciler.core.errors import UnreachableError
from reconciler.core.model.desired import Stage
from reconciler.core.model.outputs import PAGE, Output, OutputPage
from reconciler.engine.downloading import (
    WINDOW,
    OutputReader,
    Slice,
    UnsteadyOutputError,
    digest_of,
)

from .support import target_id

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Pages:
    """An output of so many records; ``cap`` is the most that it puts on a page."""

    count: int
    cap: float = inf
    #: What becomes of a page, given its place among all that were asked for.
    change: Callable[[int, OutputPage], OutputPage] = lambda _, page: page
    #: Seconds that the page at an offset takes.
    takes: Callable[[int], float] = lambda _: 1.0
    asked: list[tuple[int, int]] = field(default_factory=list)
    under_way: int = 0
    most: int = 0

    async def output(
        self, repo: str, target: str, stage: Stage, offset: int, limit: int
    ) -> OutputPage:
        number = len(self.asked)
        self.asked.append((offset, limit))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.takes(offset))
        finally:
            self.under_way -= 1
        end = int(min(self.count, offset + min(limit, self.cap)))
        records = [record(n) for n in range(offset, end)]
        page = OutputPage(records, "complete", self.count, offset, end < self.count, job=1)
        return self.change(number, page)


def record(n: int) -> Any:
    return {"response": f"answer {n}"}


def line(n: int) -> bytes:
    return json.dumps(record(n), separators=(",", ":")).encode() + b"\n"


def lines(start: int, stop: int) -> list[bytes]:
    return [line(n) for n in range(start, stop)]


def output(count: int) -> Output:
    return Output(target_id("t"), Stage.ROLLOUT, "live", count)


def reader(pages: Pages, count: int | None = None, window: int = WINDOW) -> OutputReader:
    wanted = output(pages.count if count is None else count)
    return OutputReader(wanted, pages, asyncio.Semaphore(window))


async def read(reading: OutputReader, start: int = 0) -> list[bytes]:
    return [each async for page in reading.pages(start) for each in page]


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 10 * PAGE + 3])
@pytest.mark.parametrize("cap", [inf, 300])
@virtual
async def test_all_records_are_read_in_order(count: int, cap: float) -> None:
    assert await read(reader(Pages(count, cap))) == lines(0, count)


@virtual
async def test_pages_that_come_late_keep_their_place() -> None:
    pages = Pages(6 * PAGE, takes=lambda offset: 10 - offset / PAGE)
    assert await read(reader(pages)) == lines(0, 6 * PAGE)


@virtual
async def test_reading_begins_where_it_is_told_to() -> None:
    pages = Pages(3 * PAGE)
    assert await read(reader(pages), 2 * PAGE - 7) == lines(2 * PAGE - 7, 3 * PAGE)
    assert min(offset for offset, _ in pages.asked) == 2 * PAGE - 7


@virtual
async def test_several_pages_are_on_their_way_at_once() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    pages = Pages(4 * WINDOW * PAGE)
    await read(reader(pages))
    assert pages.most == WINDOW
    assert loop.time() - began < 4 * WINDOW / 2


@virtual
async def test_pages_that_nobody_takes_are_not_piled_up() -> None:
    pages = Pages(100 * PAGE)
    async with aclosing(reader(pages).pages(0)) as reading:
        await anext(reading)
        await asyncio.sleep(1000)
        assert len(pages.asked) <= WINDOW


@virtual
async def test_all_readers_share_a_window() -> None:
    """A page that arrives early waits, and yet no reader keeps another from its next page."""
    window = asyncio.Semaphore(3)
    pages = Pages(10 * PAGE, takes=lambda offset: 9.0 if offset == 0 else 0.1)
    readers = [OutputReader(output(10 * PAGE), pages, window) for _ in range(7)]
    found = await asyncio.gather(*map(read, readers))
    assert found == [lines(0, 10 * PAGE)] * 7
    assert pages.most <= 3


@virtual
async def test_giving_up_leaves_nothing_under_way_and_frees_the_window() -> None:
    window = asyncio.Semaphore(WINDOW)
    pages = Pages(100 * PAGE)
    reading = OutputReader(output(100 * PAGE), pages, window).pages(0)
    await anext(reading)
    await reading.aclose()
    assert pages.under_way == 0
    assert await read(OutputReader(output(100 * PAGE), pages, window)) == lines(0, 100 * PAGE)


@virtual
async def test_a_server_with_smaller_pages_is_asked_for_those() -> None:
    pages = Pages(3 * PAGE, cap=100)
    await read(reader(pages, window=1))
    assert [limit for _, limit in pages.asked[:2]] == [PAGE, 100]
    assert len(pages.asked) == 30


@virtual
async def test_an_error_ends_the_reading() -> None:
    def fail(number: int, page: OutputPage) -> OutputPage:
        raise UnreachableError("down")

    pages = Pages(5 * PAGE, change=fail)
    with pytest.raises(UnreachableError, match="down"):
        await read(reader(pages))
    assert pages.under_way == 0


LIES: dict[str, tuple[Callable[[OutputPage], OutputPage], str]] = {
    "shorter": (
        lambda page: replace(page, records=page.records[:-1], has_more=False),
        "there are 2,999 records where it counts 3,000",
    ),
    "empty": (
        lambda page: replace(page, records=[], has_more=None),
        "there are 2,000 records where it counts 3,000",
    ),
    "longer": (lambda page: replace(page, has_more=True), "more records than the 3,000"),
    "stuffed": (
        lambda page: replace(page, records=[*page.records, record(0)]),
        "more records than the 3,000",
    ),
    "elsewhere": (lambda page: replace(page, offset=7), "asked for record 2000, the API sent 7"),
    "counting anew": (
        lambda page: replace(page, lines=2900),
        "it had 3,000 records, now 2,900",
    ),
    "running": (lambda page: replace(page, status="running"), "its job is now running"),
    "of another job": (lambda page: replace(page, job=2), "its job ran again"),
    "no records": (lambda page: replace(page, records=[7, *page.records[1:]]), "2000 is no object"),
}


@pytest.mark.parametrize("lie", LIES)
@virtual
async def test_what_does_not_fit_is_an_error(lie: str) -> None:
    change, words = LIES[lie]
    pages = Pages(3 * PAGE, change=lambda _, it: change(it) if it.offset == 2 * PAGE else it)
    with pytest.raises(UnsteadyOutputError, match=words) as caught:
        await read(reader(pages))
    assert "Nothing of it was recorded" in caught.value.hint


@virtual
async def test_a_service_that_tells_nothing_beside_the_records_is_believed() -> None:
    pages = Pages(2 * PAGE + 5, change=lambda _, page: OutputPage(page.records))
    assert await read(reader(pages)) == lines(0, 2 * PAGE + 5)


class TestConfirming:
    """After the last page, one more look."""

    FIRST = Slice(0, 1, digest_of(lines(0, 1)))

    @virtual
    async def test_the_same_output_is_confirmed(self) -> None:
        await reader(Pages(5)).confirm(self.FIRST)
        await reader(Pages(0)).confirm(None)

    @virtual
    async def test_another_first_record_is_not(self) -> None:
        other = Slice(0, 1, digest_of([b"another\n"]))
        with pytest.raises(UnsteadyOutputError, match="changed while they were read"):
            await reader(Pages(5)).confirm(other)

    @virtual
    async def test_another_job_is_not(self) -> None:
        reading = reader(Pages(5, change=lambda number, page: replace(page, job=number)))
        await read(reading)
        with pytest.raises(UnsteadyOutputError, match="ran again"):
            await reading.confirm(self.FIRST)

    @virtual
    async def test_records_where_there_were_none_are_not(self) -> None:
        with pytest.raises(UnsteadyOutputError):
            await reader(Pages(1), 0).confirm(None)


class TestHolding:
    """What is there already is compared with what is live."""

    @virtual
    async def test_slices_that_are_still_the_same_hold(self) -> None:
        pages = Pages(3 * PAGE)
        ends = [Slice(n, n + PAGE, digest_of(lines(n, n + PAGE))) for n in (0, 1500)]
        assert await reader(pages).holds(ends)
        assert await reader(pages).holds([])
        assert len(pages.asked) == 2

    @virtual
    async def test_other_records_do_not_hold(self) -> None:
        slices = [Slice(0, 2, digest_of(lines(0, 2))), Slice(3, 4, digest_of(lines(2, 3)))]
        assert not await reader(Pages(5)).holds(slices)

    @virtual
    async def test_more_than_there_is_does_not_hold(self) -> None:
        assert not await reader(Pages(5)).holds([Slice(0, 6, digest_of(lines(0, 6)))])
