"""The versions of a lockfile that git has, counted. Changes nothing, and asks no other machine.

git gets neither the API key nor anything else of the environment that it does not need. What it has
to say is taken as far as it goes: without git, or without history, there is a note instead.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Timer
from typing import TYPE_CHECKING

from reconciler.core.model.desired import Stage
from reconciler.core.model.history import History, Moment
from reconciler.core.schema.wording import counted
from reconciler.lockfile.own_form import parse
from reconciler.lockfile.store import LARGEST
from reconciler.lockfile.text import HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

    from reconciler.core.model.lock import Lock
    from reconciler.core.model.manifest import ResourceId

#: Versions looked for, and versions read, spread evenly over those that were found.
MOST_COMMITS = 5_000
MOST_READ = 100
#: How long git may take for one answer.
SECONDS = 20.0
_MOST_VALUES = 1_000_000
_CHUNK = 1_000_000
#: A commit with its time, then what became of the file in it.
_VERSION = re.compile(r"=([0-9a-f]+) (\d{1,11})\n+:\d+ (100\d+) [0-9a-f]+ ([0-9a-f]+) ")
_KEPT = ("HOME", "PATH", "XDG_CONFIG_HOME")
_ALWAYS = {
    "GIT_ALLOW_PROTOCOL": "",  # a partial clone fetches nothing on the side
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_LOG = (
    "-c", "log.showRoot=true", "log", "--first-parent", "-m", "--raw", "--no-abbrev",
    "--no-renames", "--no-color", "--no-show-signature", "--no-notes",
    "--format==%H %ct", f"--max-count={MOST_COMMITS}",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Version:
    """One committed content of the file."""

    commit: str
    when: int
    blob: str


class _NoHistoryError(Exception):
    """There is nothing to tell; the message says why."""


def read(lockfile: Path, *, without: frozenset[ResourceId] = frozenset()) -> History:
    """Return what the committed versions of a lockfile count, without some of its resources.

    Follows the first parents of the current commit, so that it tells what this branch held.
    """
    try:
        git = _Git.at(lockfile)
        is_shallow = git.said("rev-parse", "--is-shallow-repository") == "true\n"
        versions = _versions(git.said(*_LOG, "--", lockfile.name))
        chosen = _spread(versions, MOST_READ)
        moments = tuple(_moments(git, chosen, without))
    except _NoHistoryError as error:
        return History(notes=(f"There is no history: {error}.",))
    return History(moments, tuple(_notes(len(versions), len(chosen), len(moments), is_shallow)))


def _notes(found: int, chosen: int, read_: int, is_shallow: bool) -> Iterator[str]:
    if chosen < found:
        most = f"{found:,} or more" if found == MOST_COMMITS else f"{found:,}"
        yield f"{chosen:,} of {most} versions are shown, spread evenly."
    if read_ < chosen:
        count = chosen - read_
        are = "is" if count == 1 else "are"
        yield f"{counted(count, 'version')} could not be read and {are} left out."
    if is_shallow:
        yield "This clone is shallow: older versions are not in it (`git fetch --unshallow`)."


def _versions(log: str) -> list[_Version]:
    """Return the versions that a log tells of, the oldest first; deletions are none."""
    found = [_Version(commit, int(when), blob) for commit, when, _, blob in _VERSION.findall(log)]
    if not found:
        raise _NoHistoryError("no version of the lockfile was committed yet")
    return found[::-1]


def _spread(versions: list[_Version], most: int) -> list[_Version]:
    """Return at most so many versions, the first and the last among them."""
    last = len(versions) - 1
    if last < most:
        return versions
    return [versions[round(i * last / (most - 1))] for i in range(most)]


def _moments(
    git: _Git, versions: list[_Version], without: frozenset[ResourceId]
) -> Iterator[Moment]:
    with git.blobs([version.blob for version in versions]) as blobs:
        for version, content in zip(versions, blobs, strict=False):
            lock = parse(content, HEADER, _MOST_VALUES) if content else None
            if lock:
                yield _moment(version, lock, without)


def _moment(version: _Version, lock: Lock, without: frozenset[ResourceId]) -> Moment:
    targets = [entry for id_, entry in lock.targets.items() if id_ not in without]
    lines = {
        stage: sum(entry.stages[stage].lines for entry in targets if stage in entry.stages)
        for stage in Stage
    }
    date = datetime.fromtimestamp(version.when, UTC).strftime("%Y-%m-%d %H:%M")
    return Moment(version.when, date, version.commit[:10], len(targets), lines)


@dataclass(frozen=True, slots=True)
class _Git:
    """git at work in one directory."""

    program: str
    directory: Path

    @classmethod
    def at(cls, lockfile: Path) -> _Git:
        program = shutil.which("git")
        if not program:
            raise _NoHistoryError("git is not installed")
        return cls(program, lockfile.parent)

    def said(self, *arguments: str) -> str:
        """Return what a command writes; raises _NoHistoryError with what it complains about."""
        with self._started(*arguments) as process:
            out, err = process.communicate()
        if process.returncode == 0:
            return out.decode(errors="replace")
        raise _NoHistoryError(_complaint(process.returncode, err.decode(errors="replace")))

    @contextmanager
    def blobs(self, ids: list[str]) -> Iterator[Iterator[str | None]]:
        """Yield the texts of blobs, None for one that is missing, too large or no text."""
        with self._started("cat-file", "--batch") as process:
            assert process.stdin  # noqa: S101 - it is a pipe
            assert process.stdout  # noqa: S101
            process.stdin.write("".join(f"{id_}\n" for id_ in ids).encode())
            process.stdin.close()
            yield _each(process.stdout)

    @contextmanager
    def _started(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start git, and see that it ends in time."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        command = [self.program, "--no-pager", "--literal-pathspecs", *arguments]
        try:
            process = subprocess.Popen(  # noqa: S603 - git, and arguments of our own
                command,
                cwd=self.directory,
                env={**kept, **_ALWAYS},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise _NoHistoryError(f"git cannot be started: {error.strerror}") from error
        limit = Timer(SECONDS, process.kill)
        limit.start()
        with process:
            try:
                yield process
            finally:
                limit.cancel()
                process.kill()


def _each(stream: IO[bytes]) -> Iterator[str | None]:
    while head := stream.readline().split():
        if len(head) != 3:
            yield None
            continue
        size = int(head[2])
        content = stream.read(min(size, LARGEST))
        _skip(stream, size - len(content) + 1)
        yield content.decode(errors="replace") if size <= LARGEST else None


def _skip(stream: IO[bytes], size: int) -> None:
    """Read over so many bytes, never holding many of them."""
    while size > 0 and (part := stream.read(min(size, _CHUNK))):
        size -= len(part)


def _complaint(code: int, words: str) -> str:
    if code < 0:
        return f"git took longer than {SECONDS:.0f} s"
    if "not a git repository" in words:
        return "the lockfile is in no git repository"
    if "does not have any commits" in words:
        return "nothing was committed yet"
    first = words.strip().partition("\n")[0]
    return f"git says: {first or f'exit code {code}'}"
