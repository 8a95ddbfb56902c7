"""Downloading outputs to files, and recording what they are.

A file takes its place whole, and only if it is what the status said; the lockfile then gets its
digest. What was cut off goes on where it was, if that is still the same. A file that holds anything
but what was pulled is never replaced unless that is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from reconciler.core.errors import (
    ApiError,
    AuthenticationError,
    PaymentRequiredError,
    ReconcilerError,
)
from reconciler.core.model.desired import Stage
from reconciler.core.model.outputs import Output, Pulled, PullResult, Verdict
from reconciler.core.planning.outputs import choose
from reconciler.core.planning.record import record
from reconciler.engine.downloading import WINDOW, OutputReader, UnsteadyOutputError
from reconciler.engine.keeper import Keeper
from reconciler.engine.observer import observe
from reconciler.engine.tasks import for_each
from reconciler.workflow import pulling
from reconciler.workflow.connection import SystemClock
from reconciler.workflow.pulling.files import Folder, UnfitPlaceError, file_name
from reconciler.workflow.pulling.placed import Placed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from reconciler.client import Api
    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock, LockedStage
    from reconciler.lockfile import Store
    from reconciler.workflow.connection import Connection
    from reconciler.workflow.pulling.files import Part, Scan

Value = TypeVar("Value")

DIRECTORY = pulling.DIRECTORY
_CHANGED = "its records are not those that were pulled before"


@dataclass(frozen=True, slots=True)
class PullOptions:
    """What to pull and where to: to ``out``, or to ``outputs/`` beside the manifests."""

    stages: tuple[Stage, ...] = tuple(Stage)
    out: Path | None = None
    parquet: bool = False
    force: bool = False


class Watcher(Protocol):
    """Who is told how downloads get on."""

    def moved(self, output: Output, lines: int) -> None:
        """Hear that so many lines are there."""
        ...

    def ended(self, pulled: Pulled) -> None:
        """Hear how it went with an output."""
        ...


async def pull(
    connection: Connection,
    root: Path,
    desired: Desired,
    lock: Lock | None,
    store: Store,
    options: PullOptions,
    watcher: Watcher,
) -> PullResult:
    """Download and record every complete output in scope; return how it went with each."""
    async with connection.open() as api:
        observed = await observe(desired, lock, api)
        recorded = record(desired, observed, lock, api_url=connection.name)
        keeper = Keeper(recorded, store, SystemClock(), empty_is_news=False)
        work = _Download(
            api, asyncio.Semaphore(WINDOW), watcher, root, options, keeper, Placed(root)
        )
        chosen = choose(desired, observed, lock, options.stages)
        try:
            return PullResult(await _each(chosen, work.pull, watcher))
        finally:
            keeper.flush(force=True)


async def check(
    connection: Connection,
    desired: Desired,
    lock: Lock | None,
    stages: tuple[Stage, ...],
    watcher: Watcher,
) -> PullResult:
    """Read every complete output in scope and compare it with what is recorded; write nothing."""
    async with connection.open() as api:
        observed = await observe(desired, lock, api)
        window = asyncio.Semaphore(WINDOW)

        async def checked(output: Output) -> Pulled:
            return await _checked(output, OutputReader(output, api, window), watcher)

        chosen = choose(desired, observed, lock, stages)
        return PullResult(await _each(chosen, checked, watcher), check=True)


async def _each(
    chosen: tuple[Output | Pulled, ...],
    work: Callable[[Output], Awaitable[Pulled]],
    watcher: Watcher,
) -> tuple[Pulled, ...]:
    """Do the work for every output; what goes wrong with one of them concerns it alone."""
    done: dict[Output | Pulled, Pulled] = {}

    async def one(item: Output | Pulled) -> None:
        done[item] = item if isinstance(item, Pulled) else await _guarded(item, work)
        watcher.ended(done[item])

    await for_each(chosen, one, limit=WINDOW)
    return tuple(done[item] for item in chosen)


async def _guarded(output: Output, work: Callable[[Output], Awaitable[Pulled]]) -> Pulled:
    try:
        return await work(output)
    except (AuthenticationError, PaymentRequiredError):
        raise
    except (ApiError, UnsteadyOutputError, UnfitPlaceError) as error:
        return Pulled(output.resource, output.stage, Verdict.FAILED, _sentence(error))


def _sentence(error: ReconcilerError) -> str:
    return f"{error.message}. {error.hint}" if error.hint else error.message


async def _checked(output: Output, reader: OutputReader, watcher: Watcher) -> Pulled:
    made, lines, size = hashlib.sha256(), 0, 0
    async for page in reader.pages(0):
        for line in page:
            made.update(line)
            size += len(line)
        lines += len(page)
        watcher.moved(output, lines)
    await reader.confirm(None)
    digest = f"sha256:{made.hexdigest()}"
    verdict, message = Verdict.UNCHANGED, ""
    if output.recorded is None:
        verdict, message = Verdict.UNRECORDED, "no digest of it is recorded"
    elif output.recorded != digest:
        verdict, message = Verdict.CHANGED, _CHANGED
    return Pulled(output.resource, output.stage, verdict, message, "", lines, size, digest)


@dataclass(frozen=True, slots=True)
class _Download:
    """What all downloads of a run share."""

    api: Api
    window: asyncio.Semaphore
    watcher: Watcher
    root: Path
    options: PullOptions
    keeper: Keeper
    placed: Placed

    async def pull(self, output: Output) -> Pulled:
        with self._folder(output) as folder:
            pulled = await self._pulled(output, folder)
            if self.options.parquet and pulled.digest:
                from reconciler.workflow.pulling import parquet

                await _apart(partial(parquet.convert, folder, output.stage))
            return pulled

    def _folder(self, output: Output) -> Folder:
        parts = (output.resource.repo, output.resource.name)
        if self.options.out:
            return Folder(self.options.out, parts)
        return Folder(self.root, (DIRECTORY, *parts))

    async def _pulled(self, output: Output, folder: Folder) -> Pulled:
        name = file_name(output.stage)
        reader = OutputReader(output, self.api, self.window)
        there = await _apart(partial(folder.scan, name))
        if there and not self.options.force:
            settled = await self._without_download(output, folder, reader, there)
            if settled:
                return settled
        with await _apart(partial(folder.part, name)) as part:
            await self._fill(part, output, reader)
            return await self._placed(output, folder, part, there)

    async def _without_download(
        self, output: Output, folder: Folder, reader: OutputReader, there: Scan
    ) -> Pulled | None:
        """Return what can be said of the file that is there by looking at its ends only."""
        is_same = there.lines == output.lines and await reader.holds(there.ends)
        if is_same and there.digest == self._entry(output).output:
            folder.drop_part(file_name(output.stage))
            self.placed.add(_path(output, folder), there.digest)
            return _result(output, Verdict.UNCHANGED, folder, there)
        is_ours = self._is_ours(there, output, folder)
        return None if is_same or is_ours else _refused(output, folder)

    async def _placed(
        self, output: Output, folder: Folder, part: Part, there: Scan | None
    ) -> Pulled:
        """Put a whole download in its place, unless what is there is the same or foreign."""
        name = file_name(output.stage)
        if there and part.digest == there.digest:
            folder.drop_part(name)
            return self._recorded(output, Verdict.UNCHANGED, folder, part)
        is_ours = there is not None and self._is_ours(there, output, folder)
        if there and not (is_ours or self.options.force):
            return _refused(output, folder)
        await _apart(partial(folder.publish, part, name))
        verdict = Verdict.REPLACED if there else Verdict.PULLED
        pulled = self._recorded(output, verdict, folder, part)
        return replace(pulled, message=_CHANGED) if is_ours else pulled

    async def _fill(self, part: Part, output: Output, reader: OutputReader) -> None:
        """Bring a download to its end; one that is no longer the same begins anew."""
        try:
            if not await reader.holds(part.ends):
                part.restart()
            async with contextlib.aclosing(reader.pages(part.lines)) as pages:
                async for lines in pages:
                    part.append(lines)
                    self.watcher.moved(output, part.lines)
            await reader.confirm(part.first)
        except UnsteadyOutputError:
            part.restart()
            raise

    def _is_ours(self, there: Scan, output: Output, folder: Folder) -> bool:
        """Tell whether a file holds what was pulled before, be it of a target since made anew."""
        return there.digest in {output.recorded, self.placed.digest(_path(output, folder))}

    def _entry(self, output: Output) -> LockedStage:
        """Return what the lockfile says now: an output of the same live target, if any."""
        return self.keeper.targets[output.resource].stages[output.stage]

    def _recorded(self, output: Output, verdict: Verdict, folder: Folder, part: Part) -> Pulled:
        target = self.keeper.targets[output.resource]
        stage = replace(self._entry(output), output=part.digest)
        stages = {**target.stages, output.stage: stage}
        self.placed.add(_path(output, folder), part.digest)
        self.keeper.put_target(output.resource, replace(target, stages=stages))
        return _result(output, verdict, folder, part)


def _path(output: Output, folder: Folder) -> Path:
    return folder.path / file_name(output.stage)


def _result(output: Output, verdict: Verdict, folder: Folder, there: Part | Scan) -> Pulled:
    return Pulled(
        output.resource,
        output.stage,
        verdict,
        file=str(_path(output, folder)),
        records=there.lines,
        size=there.size,
        digest=there.digest,
    )


async def _apart(work: Callable[[], Value]) -> Value:
    """Do what takes long in a thread, and wait for its end even if nobody wants it any more.

    It uses open files, which its caller closes.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _refused(output: Output, folder: Folder) -> Pulled:
    text = f"{_path(output, folder)} holds something else than what was pulled; --force replaces it"
    return Pulled(output.resource, output.stage, Verdict.BLOCKED, text)
