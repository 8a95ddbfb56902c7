"""Whether the files that a project begins with become a valid one beside what is there already.

That is tried out in a temporary directory; nothing is written where the project comes.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from reconciler.core.errors import ExitCode, InvalidManifestsError, ReconcilerError
from reconciler.core.model.manifest import Diagnostic, Severity
from reconciler.core.schema.wording import counted
from reconciler.lockfile import Store
from reconciler.manifests import files, load
from reconciler.manifests.discovery import IGNORE_FILE, discover
from reconciler.workflow.place import LOCKFILE
from reconciler.workflow.scaffold import templates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.manifests.discovery import Source


class UnfitPlaceError(ReconcilerError):
    """A directory, ``place``, holds what no project can be begun beside; ``or_else`` is a hint."""

    exit_code = ExitCode.INVALID

    def __init__(self, what: object, place: Path, or_else: str = "") -> None:
        super().__init__(
            f"{what}; a project cannot be begun beside that",
            hint="Nothing was written. "
            f"`reconciler init {place / 'targets'}` begins it in a directory of its own.{or_else}",
        )


def require_valid(directory: Path) -> list[Path]:
    """Return the manifests that are there; raises UnfitPlaceError unless all are valid."""
    if not files.is_directory(str(directory)):
        return []
    found = discover(directory)
    may_be = _may_be_manifests(directory, found.sources)
    if not may_be and not any(map(_is_error, found.diagnostics)):
        return []
    try:
        load(directory)
    except InvalidManifestsError as error:
        or_else = f" {IGNORE_FILE} lists what is no manifest."
        raise UnfitPlaceError(_first(error), directory, or_else) from error
    return [Path(source.path) for source in found.sources]


def project(directory: Path, name: str) -> dict[str, str]:
    """Return the files of a small project that is valid with those of them that are there.

    Raises UnfitPlaceError where there is no such project.
    """
    texts = templates.project(name)
    there = _contents(directory, texts)
    if templates.QUESTIONS in there:
        texts = templates.project(name, _count(there[templates.QUESTIONS]))
    written = {file: text.encode() for file, text in texts.items()}
    _try_out(directory, [*texts], written | there)
    return texts


def recorded(directory: Path) -> str:
    """Return a sentence for what a lockfile records already, nothing where there is none.

    Raises UnfitPlaceError for one that cannot be read.
    """
    path = directory / LOCKFILE
    if not os.path.lexists(path):
        return ""
    try:
        lock = Store(path).read()
    except ReconcilerError as error:
        raise UnfitPlaceError(error.message, directory) from error
    if not (lock and lock.ids()):
        return ""
    count = counted(len(lock.ids()), "resource")
    return (
        f"{path} is there already and records {count} of {lock.api_url}: "
        "those that are not declared are orphans"
    )


def _may_be_manifests(directory: Path, sources: list[Source]) -> list[Source]:
    """Return those sources that the list of what is no manifest, if it is new, will not name."""
    if not sources or os.path.lexists(directory / IGNORE_FILE):
        return sources
    from pathspec import GitIgnoreSpec

    listed = GitIgnoreSpec.from_lines(templates.no_manifests())
    return [one for one in sources if not listed.match_file(os.path.relpath(one.path, directory))]


def _contents(directory: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Return what those files hold that are there."""
    there = (name for name in names if os.path.lexists(directory / name))
    return {name: _content(directory, directory / name) for name in there}


def _content(directory: Path, path: Path) -> bytes:
    if not files.is_inside(os.path.realpath(path), os.path.realpath(directory)):
        raise UnfitPlaceError(f"{path} is a link that leads out of {directory}", directory)
    try:
        return files.read_bytes(str(path))
    except files.MissingError as error:
        raise UnfitPlaceError(f"{path} is a link to nothing", directory) from error
    except files.UnreadableError as error:
        raise UnfitPlaceError(f"{path} {error}", directory) from error


def _count(questions: bytes) -> int:
    text = files.decode(questions)
    return sum(bool(line.strip()) for line in text.split("\n")) if isinstance(text, str) else 0


def _try_out(directory: Path, names: list[str], contents: Mapping[str, bytes]) -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        for name, content in contents.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(content)
        read = {Path(source.path) for source in discover(root).sources}
        for name in names:
            if name.endswith(".yaml") and root / name not in read:
                raise UnfitPlaceError(f"{directory / IGNORE_FILE} leaves out {name}", directory)
        try:
            load(root)
        except InvalidManifestsError as error:
            first = _first(error)
            place = str(directory / os.path.relpath(first.file, root))
            there = Diagnostic(place, first.line, first.column, first.message)
            raise UnfitPlaceError(there, directory) from error


def _first(error: InvalidManifestsError) -> Diagnostic:
    return next(filter(_is_error, error.diagnostics))


def _is_error(diagnostic: Diagnostic) -> bool:
    return diagnostic.severity is Severity.ERROR
