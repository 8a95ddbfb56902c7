"""Whether outputs that were pulled are still the live ones, as far as one request for each tells.

The last line of a file is compared with the last live record: it is found without reading the
file, and an output of fewer records has none in that place. A difference counts once the whole file
turns out to be what was pulled. Never writes anything, and fails no run: what cannot be read here
is no evidence, what the API does not tell is unknown.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from reconciler.core.errors import ApiError, AuthenticationError, PaymentRequiredError
from reconciler.core.planning.outputs_pulled import Compared, Finding
from reconciler.engine.downloading import OutputReader, Slice, UnsteadyOutputError
from reconciler.engine.tasks import for_each
from reconciler.workflow.pulling import DIRECTORY
from reconciler.workflow.pulling.files import Folder, UnfitPlaceError, file_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Iterator, Mapping
    from pathlib import Path

    from reconciler.core.model.outputs import Output
    from reconciler.engine.downloading import OutputApi
    from reconciler.workflow.connection import Connection
    from reconciler.workflow.pulling.files import Tail

Tails: TypeAlias = "Mapping[Output, Tail]"

#: How long all requests may take together: so many seconds, and these for each output.
_PATIENCE, _PATIENCE_EACH = 10.0, 0.01
#: How many bytes of files may be read to find out whether they are what was pulled.
_MOST_READ = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Looks:
    """The outputs whose last record is another one live, and why others could not be read."""

    different: tuple[Output, ...]
    unknown: Mapping[Output, str]


def tails(root: Path, outputs: Iterable[Output]) -> Tails:
    """Return the ends of those files that are in their place; makes nothing."""
    found = ((output, _tail(root, output)) for output in outputs)
    return {output: tail for output, tail in found if tail}


async def look(connection: Connection, known: Tails, *, parallelism: int) -> tuple[Looks, int]:
    """Compare the ends of files with live records; return what that showed, and the requests."""
    async with connection.open() as api:
        return await compare(api, known, parallelism=parallelism), api.http.requests


async def compare(api: OutputApi, known: Tails, *, parallelism: int) -> Looks:
    """Compare the ends of files with live records, one request for each; raises nothing."""
    window = asyncio.Semaphore(parallelism)
    #: Whether the end of a file is the live one, or why that is unknown.
    answers: dict[Output, bool | str] = {}

    async def one(output: Output) -> None:
        reader = OutputReader(output, api, window)
        answers[output] = await _answer(reader, output, known[output])

    why = await _ended(for_each(known, one, limit=parallelism), len(known))
    return Looks(
        tuple(output for output in known if answers.get(output) is False),
        {it: answer for it in known if isinstance(answer := answers.get(it, why), str)},
    )


async def _answer(reader: OutputReader, output: Output, tail: Tail) -> bool | str:
    try:
        return await reader.holds([Slice(output.lines - 1, output.lines, tail.digest)])
    except (AuthenticationError, PaymentRequiredError):
        raise
    except (ApiError, UnsteadyOutputError) as error:
        return error.message


async def _ended(work: Awaitable[None], count: int) -> str:
    """Do the work for so many outputs; return why it did not come to its end, if so."""
    patience = _PATIENCE + _PATIENCE_EACH * count
    try:
        async with asyncio.timeout(patience):
            await work
    except TimeoutError:
        return f"the API took longer than {patience:.0f} s"
    except (AuthenticationError, PaymentRequiredError) as error:
        return error.message
    return ""


def judged(root: Path, known: Tails, looks: Looks) -> Iterator[Compared]:
    """Yield what is to be told, once it is clear whether files that differ are what was pulled."""
    left = _MOST_READ
    for output in looks.different:
        size = known[output].size
        if size > left:
            yield Compared(output, Finding.EITHER)
            continue
        left -= size
        if _digest(root, output, size) == output.recorded:
            yield Compared(output, Finding.CHANGED)
    for output, why in looks.unknown.items():
        yield Compared(output, Finding.UNKNOWN, why)


def _tail(root: Path, output: Output) -> Tail | None:
    try:
        with _folder(root, output) as folder:
            return folder.tail(file_name(output.stage))
    except UnfitPlaceError:
        return None


def _digest(root: Path, output: Output, size: int) -> str | None:
    try:
        with _folder(root, output) as folder:
            return folder.digest(file_name(output.stage), size)
    except UnfitPlaceError:
        return None


def _folder(root: Path, output: Output) -> Folder:
    return Folder(root, (DIRECTORY, output.resource.repo, output.resource.name), make=False)
