"""Which files a project begins with, and writing those that are not there."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.core.errors import ExitCode, InvalidManifestsError, ReconcilerError
from reconciler.core.names import is_name
from reconciler.manifests import files, load
from reconciler.manifests.discovery import discover
from reconciler.workflow.directories import create, link_on_the_way
from reconciler.workflow.place import LOCKFILE
from reconciler.workflow.scaffold import git, templates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.workflow.scaffold.git import Repository

_IGNORED = (".reconciler/", "outputs/")
_ATTRIBUTES = f"{LOCKFILE} merge=reconciler linguist-generated"
_GITLAB = ".gitlab-ci.yml"
_GITLAB_JOBS = ".gitlab/reconciler.yml"
_INCLUDE = f"include:\n  - local: {_GITLAB_JOBS}\n"


class Ci(StrEnum):
    """Whose CI looks after the project; AUTO finds out."""

    AUTO = "auto"
    GITHUB = "github"
    GITLAB = "gitlab"
    NONE = "none"


class ForeignYamlError(ReconcilerError):
    """The directory holds YAML that no project can be begun beside."""

    exit_code = ExitCode.INVALID


@dataclass(slots=True)
class Scaffolded:
    """What became of every file; ``git_config`` is the command that was run, if one was."""

    ci: Ci
    git_config: str = ""
    written: list[Path] = field(default_factory=list)
    extended: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Site:
    """Where the project comes: its directory, the top of the repository, and the way between."""

    directory: Path
    top: Path
    inside: str
    repository: Repository | None


def scaffold(directory: Path, ci: Ci = Ci.AUTO) -> Scaffolded:
    """Begin a project in a directory; what is there already is kept as it is.

    Before anything is written, raises ForeignYamlError where the directory holds YAML that is no
    valid manifest, and ReconcilerError where a file would be written through a link.
    """
    site = _site(directory)
    done = Scaffolded(_detected(site) if ci is Ci.AUTO else ci)
    there = _manifests(directory)
    done.kept += there
    try:
        _write_all(site, done, begun=bool(there))
    except OSError as error:
        place = error.filename or directory
        raise ReconcilerError(f"cannot write {place}: {error.strerror}") from error
    if site.repository:
        done.git_config = git.install_driver(site.repository.root)
    return done


def _site(directory: Path) -> _Site:
    repository = git.repository(_existing(directory))
    real = os.path.realpath(directory)
    top = str(repository.root) if repository else real
    seen = _as_called(directory, real, top)
    return _Site(directory, seen, Path(os.path.relpath(real, top)).as_posix(), repository)


def _as_called(directory: Path, real: str, top: str) -> Path:
    """Return the top as seen from where the user is, unless a link leads elsewhere."""
    seen = os.path.normpath(directory / os.path.relpath(top, real))
    return Path(seen if os.path.realpath(seen) == os.path.realpath(top) else top)


def _existing(directory: Path) -> Path:
    real = Path(os.path.realpath(directory))
    return next(path for path in (real, *real.parents) if path.is_dir())


def _detected(site: _Site) -> Ci:
    remotes = site.repository.remotes if site.repository else ""
    if "github.com" in remotes:
        return Ci.GITHUB
    if "gitlab" in remotes or (site.top / _GITLAB).exists():
        return Ci.GITLAB
    return Ci.GITHUB if (site.top / ".github").is_dir() else Ci.NONE


def _manifests(directory: Path) -> list[Path]:
    """Return the manifests that are there, all of which have to be valid."""
    sources = discover(directory).sources if directory.is_dir() else []
    if not sources:
        return []
    try:
        load(directory)
    except InvalidManifestsError as error:
        raise ForeignYamlError(
            f"{error.diagnostics[0]}; a project cannot be begun beside that",
            hint=f"`reconciler init {directory / 'targets'}` begins it in a directory of its own; "
            ".reconcilerignore lists what is no manifest.",
        ) from error
    return [Path(source.path) for source in sources]


def _write_all(site: _Site, done: Scaffolded, *, begun: bool) -> None:
    new = list(_files(site, done, begun=begun))
    for base, file, _ in new:
        _refuse_links(base, file)
    for base, file, text in new:
        if os.path.lexists(base / file):
            done.kept.append(base / file)
        else:
            create(base, file, text)
            done.written.append(base / file)
    for name, lines in ((".gitignore", _IGNORED), (".gitattributes", (_ATTRIBUTES,))):
        _add_lines(site.directory / name, lines, done)


def _refuse_links(base: Path, file: str) -> None:
    link = link_on_the_way(base, [file])
    if link is None:
        return
    way_out = ", or say --ci none" if file.startswith((".github/", ".gitlab/")) else ""
    raise ReconcilerError(
        f"{link} is a link, and nothing is written behind links",
        hint=f"Nothing was written. Put a directory in its place{way_out}.",
    )


def _files(site: _Site, done: Scaffolded, *, begun: bool) -> Iterator[tuple[Path, str, str]]:
    """Yield what each file says, with the directory it belongs to and its path below that."""
    if not begun:
        for name, text in templates.project(_name(site.top)).items():
            yield site.directory, name, text
    yield site.directory, templates.SCHEMA, templates.schema()
    if site.inside != "." and templates.is_plain(site.inside):
        yield site.top, ".vscode/settings.json", templates.editor_settings(site.inside)
    if done.ci is not Ci.NONE and site.inside != "." and not templates.is_plain(site.inside):
        done.notes.append(f"no CI is set up: a recipe cannot name {site.inside} as it is")
        done.ci = Ci.NONE
    if done.ci is Ci.GITHUB:
        branch = site.repository.branch if site.repository else ""
        for name, text in templates.github(site.inside, branch).items():
            yield site.top, name, text
    if done.ci is Ci.GITLAB:
        if not _includes_jobs(site.top / _GITLAB):
            done.notes.append(f"add to {_GITLAB}: include: [{{local: {_GITLAB_JOBS}}}]")
        yield site.top, _GITLAB, _INCLUDE
        yield site.top, _GITLAB_JOBS, templates.gitlab(site.inside)


def _includes_jobs(path: Path) -> bool:
    return not path.exists() or _GITLAB_JOBS in _text(path)


def _add_lines(path: Path, lines: tuple[str, ...], done: Scaffolded) -> None:
    """Append to a file those lines about something that it does not mention yet."""
    if not os.path.lexists(path):
        create(path.parent, path.name, _joined(lines))
        done.written.append(path)
        return
    before = _text(path)
    known = {_subject(line) for line in before.splitlines() if line.strip()}
    missing = [line for line in lines if _subject(line) not in known]
    if not missing or path.is_symlink():
        done.notes += [f"add to {path}, which is a link: {line}" for line in missing]
        done.kept.append(path)
        return
    joint = "" if before.endswith("\n") or not before else "\n"
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(joint + _joined(missing))
    done.extended.append(path)


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _subject(line: str) -> str:
    """Return what a line of such a file is about: the pattern, however it is anchored."""
    return line.split(maxsplit=1)[0].strip("/")


def _text(path: Path) -> str:
    """Return about what a file of bounded size says; raises ReconcilerError for any other."""
    try:
        return files.read_bytes(str(path)).decode(errors="replace")
    except files.MissingError:
        return ""  # a link to nothing
    except files.UnreadableError as error:
        raise ReconcilerError(f"{path} {error}") from error


def _name(top: Path) -> str:
    """Return a name for the project: that of its repository, as far as it may be one."""
    found = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(os.path.realpath(top)).name).strip("._-")[:128]
    return found if is_name(found) else "my-project"
