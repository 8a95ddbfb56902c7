"""Which files a project begins with, and writing those that are not there."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.core.errors import ReconcilerError
from reconciler.core.names import is_name
from reconciler.manifests import files
from reconciler.workflow.directories import create, file_on_the_way, link_on_the_way, take_back
from reconciler.workflow.place import LOCKFILE
from reconciler.workflow.scaffold import fitting, git, surroundings, templates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.workflow.scaffold.git import Repository

_IGNORED = (".reconciler/", "outputs/")
_ATTRIBUTES = f"{LOCKFILE} text eol=lf merge=reconciler linguist-generated"
_LINES = {".gitignore": _IGNORED, ".gitattributes": (_ATTRIBUTES,)}
#: Other line ends would be another prompt, and so another target.
_PROMPTS = "prompts/** text eol=lf"
_GITLAB = ".gitlab-ci.yml"
_GITLAB_JOBS = ".gitlab/reconciler.yml"
#: Remotes, and files at the top of a repository, that speak of the CI of another host.
_OTHER_HOSTS = ("bitbucket", "dev.azure.com", "visualstudio.com", "codeberg.org", "git.sr.ht")
_OTHER_CI = (
    "bitbucket-pipelines.yml",
    "azure-pipelines.yml",
    "Jenkinsfile",
    ".circleci",
    ".travis.yml",
    ".drone.yml",
    ".woodpecker.yml",
    ".woodpecker",
    ".buildkite",
    ".forgejo",
    ".gitea",
)
_INCLUDE = f"include:\n  - local: {_GITLAB_JOBS}\n"


class Ci(StrEnum):
    """Whose CI looks after the project; AUTO finds out, and takes GitHub where nothing tells."""

    AUTO = "auto"
    GITHUB = "github"
    GITLAB = "gitlab"
    NONE = "none"


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

    Before anything is written, raises UnfitPlaceError where that would be no valid project beside
    what the directory holds, and ReconcilerError where a file would be written through a link, or
    something else stands in its way. Where writing fails, nothing is left of it.
    """
    site = _site(directory)
    done = Scaffolded(_detected(site) if ci is Ci.AUTO else ci)
    there = fitting.require_valid(directory)
    done.kept += there
    try:
        _write_all(site, done, begun=bool(there))
    except OSError as error:
        take_back(done.written, error)
        place = error.filename or directory
        raise ReconcilerError(f"cannot write {place}: {error.strerror}") from error
    if not there:
        done.notes += surroundings.readers(directory, site.top, site.inside)
    if site.repository:
        root = site.repository.root
        own = [path for path in (*done.written, *done.kept) if path.is_relative_to(directory)]
        done.notes += surroundings.ignored(root, site.top, [*own, directory / LOCKFILE])
        done.git_config = git.install_driver(root)
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
    return next(path for path in (real, *real.parents) if files.is_directory(str(path)))


def _detected(site: _Site) -> Ci:
    remotes = site.repository.remotes if site.repository else ""
    if "github.com" in remotes:
        return Ci.GITHUB
    if "gitlab" in remotes or os.path.lexists(site.top / _GITLAB):
        return Ci.GITLAB
    if files.is_directory(str(site.top / ".github")):
        return Ci.GITHUB
    is_elsewhere = any(host in remotes for host in _OTHER_HOSTS)
    has_other = any(os.path.lexists(site.top / file) for file in _OTHER_CI)
    return Ci.NONE if is_elsewhere or has_other else Ci.GITHUB


def _write_all(site: _Site, done: Scaffolded, *, begun: bool) -> None:
    new = list(_files(site, done, begun=begun))
    for base, file in [*((base, file) for base, file, _ in new), *_additions(site)]:
        _refuse_links(base, file)
        _refuse_obstacles(base, file)
    for base, file in _additions(site):
        _text(base / file)  # whatever cannot be read
    for base, file, text in new:
        if os.path.lexists(base / file):
            done.kept.append(base / file)
        else:
            _create(base, file, text, done)
    has_begun_prompts = any(path.parent.name == "prompts" for path in done.written)
    for name, lines in _LINES.items():
        more = (_PROMPTS,) if has_begun_prompts and name == ".gitattributes" else ()
        _add_lines(site.directory / name, (*lines, *more), done)


def _additions(site: _Site) -> list[tuple[Path, str]]:
    return [(site.directory, name) for name in _LINES]


def _create(base: Path, file: str, text: str, done: Scaffolded) -> None:
    done.written.append(base / file)
    create(base, file, text)


def _refuse_links(base: Path, file: str) -> None:
    link = link_on_the_way(base, [file])
    if link is None:
        return
    way_out = ", or say --ci none" if file.startswith((".github/", ".gitlab/")) else ""
    raise ReconcilerError(
        f"{link} is a link, and nothing is written behind links",
        hint=f"Nothing was written. Put a directory in its place{way_out}.",
    )


def _refuse_obstacles(base: Path, file: str) -> None:
    path = base / file
    blocked = file_on_the_way(base, [file])
    if blocked or files.is_directory(str(path)):
        what = f"{blocked} is no directory" if blocked else f"{path} is a directory"
        hint = "Nothing was written. Move it away, or begin the project in another directory."
        raise ReconcilerError(f"{what}, and {file} is to be written there", hint=hint)


def _files(site: _Site, done: Scaffolded, *, begun: bool) -> Iterator[tuple[Path, str, str]]:
    """Yield what each file says, with the directory it belongs to and its path below that."""
    if not begun:
        for name, text in fitting.project(site.directory, _name(site.top)).items():
            yield site.directory, name, text
        done.notes += filter(None, [fitting.recorded(site.directory)])
    yield site.directory, templates.SCHEMA, templates.schema()
    if site.inside != "." and templates.is_plain(site.inside):
        yield site.top, ".vscode/settings.json", templates.editor_settings(site.inside)
    if done.ci is not Ci.NONE and site.inside != "." and not templates.is_plain(site.inside):
        done.notes.append(f"no CI is set up: a recipe cannot name {site.inside} as it is")
        done.ci = Ci.NONE
    if done.ci is Ci.GITHUB:
        branch = site.repository.branch if site.repository else git.MAIN
        for name, text in templates.github(site.inside, branch).items():
            yield site.top, name, text
    if done.ci is Ci.GITLAB:
        if not _includes_jobs(site.top / _GITLAB):
            done.notes.append(f"add to {_GITLAB}: include: [{{local: {_GITLAB_JOBS}}}]")
        yield site.top, _GITLAB, _INCLUDE
        yield site.top, _GITLAB_JOBS, templates.gitlab(site.inside)


def _includes_jobs(path: Path) -> bool:
    return not os.path.lexists(path) or _GITLAB_JOBS in _text(path)


def _add_lines(path: Path, lines: tuple[str, ...], done: Scaffolded) -> None:
    """Append to a file those lines about something that it does not mention yet."""
    if not os.path.lexists(path):
        _create(path.parent, path.name, _joined(lines), done)
        return
    before = _text(path)
    known = {_subject(line) for line in before.splitlines() if line.strip()}
    missing = [line for line in lines if _subject(line) not in known]
    if not missing or path.is_symlink():
        done.notes += [f"add to {path}, which is a link: {line}" for line in missing]
        done.kept.append(path)
        return
    joint = "" if before.endswith("\n") or not before else "\n"
    with path.open("a", encoding="utf-8", newline="\r\n" if "\r\n" in before else "\n") as file:
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
