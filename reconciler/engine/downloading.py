"""Read the output of a complete stage page by page, several pages at once, in order.

What is read is held against what the status said: as many lines, of one and the same job that did
not run again meanwhile. Memory is bounded by a window of pages that all downloads share. Never
writes anything.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from reconciler.core import jsonl
from reconciler.core.errors import ReconcilerError
from reconciler.core.model.observed import COMPLETE
from reconciler.core.model.outputs import PAGE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from reconciler.core.model.desired import Stage
    from reconciler.core.model.outputs import Output, OutputPage

#: Pages that are held at once, on their way or waiting for those before them, in all downloads.
WINDOW = 8


class OutputApi(Protocol):
    """The one call that reads output; raises subclasses of ApiError."""

    async def output(
        self, repo: str, target: str, stage: Stage, offset: int, limit: int
    ) -> OutputPage:
        """Return at most ``limit`` records from ``offset`` on."""
        ...


class UnsteadyOutputError(ReconcilerError):
    """The output is not what the status said, or not the same from one page to the next."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            hint="Nothing of it was recorded; run `reconciler pull` again.",
        )


@dataclass(frozen=True, slots=True)
class Slice:
    """Lines from ``start`` up to ``stop``, known by the digest of their bytes."""

    start: int
    stop: int
    digest: str


def digest_of(lines: Iterable[bytes]) -> str:
    """Return the hex digest of lines."""
    return hashlib.sha256(b"".join(lines)).hexdigest()


class OutputReader:
    """Reads one output; what it reads is of one job, or UnsteadyOutputError is raised."""

    def __init__(self, output: Output, api: OutputApi, window: asyncio.Semaphore) -> None:
        self._output = output
        self._api = api
        self._window = window
        self._size = PAGE
        self._job: int | None = None

    async def pages(self, start: int) -> AsyncGenerator[list[bytes], None]:
        """Yield the lines from ``start`` to the end, in order, some at a time."""
        total = self._output.lines
        waiting: deque[asyncio.Task[list[bytes]]] = deque()
        try:
            while start < total or waiting:
                # Only what is next may wait for room; more is asked for where there is some.
                while start < total and not (waiting and self._window.locked()):
                    await self._window.acquire()
                    stop = min(start + PAGE, total)
                    waiting.append(asyncio.create_task(self._lines(start, stop)))
                    start = stop
                yield await waiting[0]
                waiting.popleft()
                self._window.release()
        finally:
            for task in waiting:
                task.cancel()
                self._window.release()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def holds(self, known: Iterable[Slice]) -> bool:
        """Tell whether these slices are still what they were; costs a page for each."""
        for each in known:
            if each.stop > self._output.lines:
                return False
            async with self._window:
                if digest_of(await self._lines(each.start, each.stop)) != each.digest:
                    return False
        return True

    async def confirm(self, first: Slice | None) -> None:
        """Look once more, now that all is read: raises UnsteadyOutputError for another output."""
        page = await self._page(0, 1)
        lines = self._as_lines(0, page)
        if first and digest_of(lines) != first.digest:
            raise UnsteadyOutputError("its records changed while they were read")

    async def _lines(self, start: int, stop: int) -> list[bytes]:
        """Return these lines, in several requests where an answer holds fewer."""
        lines: list[bytes] = []
        while start < stop:
            limit = min(self._size, stop - start)
            page = await self._page(start, limit)
            found = self._as_lines(start, page)
            self._size = max(1, min(self._size, len(found))) if len(found) < limit else self._size
            lines += found
            start += len(found)
        return lines

    async def _page(self, offset: int, limit: int) -> OutputPage:
        output = self._output
        resource = output.resource
        page = await self._api.output(resource.repo, output.live_name, output.stage, offset, limit)
        self._require_same_job(page)
        end, count = offset + len(page.records), len(page.records)
        if page.offset not in {None, offset}:
            raise UnsteadyOutputError(f"asked for record {offset}, the API sent {page.offset}")
        if count > limit or end > output.lines or (page.has_more and end >= output.lines):
            raise UnsteadyOutputError(f"there are more records than the {output.lines:,} it counts")
        missing = page.has_more is False or not page.records
        if end < output.lines and missing:
            raise UnsteadyOutputError(f"there are {end:,} records where it counts {output.lines:,}")
        return page

    def _require_same_job(self, page: OutputPage) -> None:
        if page.status not in {None, COMPLETE}:
            raise UnsteadyOutputError(f"its job is now {page.status}")
        if page.lines not in {None, self._output.lines}:
            raise UnsteadyOutputError(f"it had {self._output.lines:,} records, now {page.lines:,}")
        if page.job is not None:
            if self._job not in {None, page.job}:
                raise UnsteadyOutputError("its job ran again while it was read")
            self._job = page.job

    def _as_lines(self, start: int, page: OutputPage) -> list[bytes]:
        stage = self._output.stage
        try:
            return [jsonl.line(stage, start + n, record) for n, record in enumerate(page.records)]
        except ValueError as error:
            raise UnsteadyOutputError(str(error)) from error
