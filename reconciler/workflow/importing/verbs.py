"""``import``: from live state, or from a repository of bgit, to files that nobody had before."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.core.errors import BlockedError, ReconcilerError
from reconciler.core.model.manifest import Severity
from reconciler.manifests import files, load
from reconciler.manifests.discovery import IGNORE_FILE, discover
from reconciler.workflow.directories import create, file_on_the_way, link_on_the_way, take_back
from reconciler.workflow.importing import layout
from reconciler.workflow.importing.drafts import Draft, left_out, sift

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.observed import Observed
    from reconciler.workflow.access import Access
    from reconciler.workflow.importing.repos import Seen, Wanted
    from reconciler.workflow.place import Place


@dataclass(frozen=True, slots=True)
class Imported:
    """The files that were written, and a sentence for everything that is not in them.

    ``unread`` says whether some of that is live but could not be read.
    """

    written: tuple[Path, ...]
    notes: tuple[str, ...]
    unread: bool = False


def from_live(place: Place, access: Access, wanted: Wanted, out: Path) -> Imported:
    """Write manifests for what is wanted and live, for which a plan has nothing to do.

    Raises BlockedError where a file is there already, and the errors of ``repos.observe``.
    """
    import asyncio

    from reconciler.core.model.desired import Desired
    from reconciler.workflow.connection import connect
    from reconciler.workflow.importing.live import drafts
    from reconciler.workflow.importing.repos import observe

    async def look() -> Seen:
        async with connection.open() as api:
            return await observe(wanted, api)

    with connect(place, access, Desired({}, {}, {})) as connection:
        seen = asyncio.run(look())
    written = write(out, drafts(seen.observed), seen.notes, seen.observed)
    return replace(written, unread=seen.unread)


def from_bgit(directory: Path, out: Path) -> Imported:
    """Write manifests for what the ``input.yml`` of a repository of bgit declares; asks no API.

    Raises BlockedError where a file is there already, and ReconcilerError for what is no such
    repository.
    """
    from reconciler.workflow.importing.bgit import read

    found = read(directory)
    return write(out, found.drafts, found.notes)


def write(
    out: Path, drafts: Iterable[Draft], notes: Iterable[str] = (), observed: Observed | None = None
) -> Imported:
    """Write documents that nobody declares yet, without those that are wrong or not as observed.

    Raises, before anything is written, BlockedError where a file is there already, and
    ReconcilerError where one would be written through a link.
    """
    known = _declared(out)
    fresh = list(drafts)
    sifted = sift([draft for draft in fresh if draft.id not in known], observed)
    texts, refused = layout.lay_out(sifted.drafts)
    twice = [left_out(draft.id, "declared already") for draft in fresh if draft.id in known]
    written = _write(out, texts)
    return Imported(written, (*notes, *twice, *sifted.notes, *refused, *_unread(out, written)))


def _declared(out: Path) -> frozenset[ResourceId]:
    """Return what manifests in a directory declare; raises InvalidManifestsError."""
    if not files.is_directory(str(out)):
        return frozenset()
    found = discover(out)
    is_wrong = any(it.severity is Severity.ERROR for it in found.diagnostics)
    return load(out).desired.ids() if found.sources or is_wrong else frozenset()


def _unread(out: Path, written: Iterable[Path]) -> list[str]:
    """Return a sentence for each manifest that was written and is none for those who read them."""
    read = {Path(source.path) for source in discover(out).sources}
    manifests = (path for path in written if path.suffix == ".yaml")
    why = f"{out / IGNORE_FILE} lists it"
    return [f"{path} is not read as a manifest: {why}" for path in manifests if path not in read]


def _write(out: Path, texts: Mapping[str, str]) -> tuple[Path, ...]:
    link, blocked = link_on_the_way(out, texts), file_on_the_way(out, texts)
    if link:
        raise ReconcilerError(
            f"{link} is a link, and nothing is written behind links",
            hint="Nothing was written. Put a directory in its place, or say --out DIR.",
        )
    if blocked:
        raise ReconcilerError(
            f"{blocked} is no directory",
            hint="Nothing was written. Move it away, or say --out DIR.",
        )
    paths = [out / name for name in texts]
    there = [str(path) for path in paths if os.path.lexists(path)]
    if there:
        raise BlockedError(
            f"not written over: {', '.join(there)}",
            hint="Nothing was written. Move them away, or say --out DIR.",
        )
    for number, (name, text) in enumerate(texts.items(), start=1):
        try:
            create(out, name, text)
        except OSError as error:
            take_back(paths[:number], error)
            place = error.filename or out
            raise ReconcilerError(f"cannot write {place}: {error.strerror}") from error
    return tuple(paths)
