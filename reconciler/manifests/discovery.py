"""Find the manifests under a path, and say what is odd about the tree on the way.

Looks at names only. Directory links are never followed, so that no walk leaves the tree or goes
round in circles; a manifest that is itself a link must lead to a place inside the tree.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.model.manifest import Diagnostic, Severity
from reconciler.core.schema.wording import quoted
from reconciler.manifests import files
from reconciler.manifests.syntax import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from pathspec import GitIgnoreSpec

_SUFFIXES = (".yaml", ".yml")
#: What it lists, in the syntax of .gitignore, is no manifest.
IGNORE_FILE = ".reconcilerignore"
_MOST_STARS = 3
_LEADS_OUT = "this link leads out of the directory that holds the manifests"


class Source(NamedTuple):
    """A manifest file: where it is, and how it is called in messages."""

    path: str
    shown: str


@dataclass(slots=True)
class Found:
    """The manifests under ``root``, sorted, and what was noticed while looking for them.

    ``shown`` is what the user calls the path that was looked at.
    """

    root: Path
    shown: str
    sources: list[Source] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def discover(path: Path) -> Found:
    """Find the manifests that ``path`` means: itself if it is a file, else those below it."""
    shown = printable(path.as_posix())
    if files.is_directory(str(path)):
        return _Walk(path).found
    return Found(path.parent, shown, [Source(str(path), shown)])


def printable(name: str) -> str:
    """Return a file name as it can be printed, whatever bytes it is made of."""
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name)


def _refuse_costly(pattern: str) -> None:
    """Refuse what takes longer to match than anybody waits, as regular expressions do."""
    if any(part != "**" and part.count("*") > _MOST_STARS for part in pattern.split("/")):
        raise re.error("too many stars")


class _Walk:
    """One walk through a directory."""

    def __init__(self, root: Path) -> None:
        self.found = Found(root, printable(root.as_posix()))
        self._prefix = "" if self.found.shown == "." else f"{self.found.shown.rstrip('/')}/"
        self._real_root = os.path.realpath(root)
        self._ignored = self._read_ignore_file()
        self._pending = [(str(root), "")]
        while self._pending:
            self._visit(*self._pending.pop())
        self.found.sources.sort(key=lambda source: source.shown)

    def _visit(self, directory: str, inside: str) -> None:
        try:
            entries = list(os.scandir(directory))
        except OSError as error:
            self._note(inside.rstrip("/"), f"this directory cannot be read: {error.strerror}")
            return
        for entry in entries:
            name = inside + entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if not self._is_ignored(f"{name}/"):
                    self._pending.append((entry.path, f"{name}/"))
            elif not self._is_ignored(name):
                self._take(entry, name)

    def _take(self, entry: os.DirEntry[str], name: str) -> None:
        if entry.is_symlink() and files.is_directory(entry.path):
            self._note(name, "this link to a directory is not followed", Severity.WARNING)
        elif not name.endswith(_SUFFIXES):
            return
        elif entry.is_symlink() and not self._leads_inside(entry.path):
            self._note(name, _LEADS_OUT)
        else:
            self.found.sources.append(Source(entry.path, self._shown(name)))

    def _read_ignore_file(self) -> GitIgnoreSpec | None:
        path = str(self.found.root / IGNORE_FILE)
        if not self._leads_inside(path):
            self._note(IGNORE_FILE, _LEADS_OUT)
            return None
        try:
            text = files.decode(files.read_bytes(path))
        except files.MissingError:
            return None
        except files.UnreadableError as error:
            self._note(IGNORE_FILE, f"this file {error}")
            return None
        if isinstance(text, Fault):
            self.found.diagnostics.append(text.within(self._shown(IGNORE_FILE)))
            return None
        return self._parse_patterns(text.splitlines())

    def _parse_patterns(self, lines: list[str]) -> GitIgnoreSpec:
        from pathspec import GitIgnoreSpec
        from pathspec.patterns.gitignore import GitIgnorePatternError

        good = []
        for number, line in enumerate(lines, start=1):
            try:
                _refuse_costly(line)
                GitIgnoreSpec.from_lines([line])
            except (GitIgnorePatternError, re.error):
                message = f"{quoted(line)} is no pattern in the syntax of .gitignore"
                shown = self._shown(IGNORE_FILE)
                self.found.diagnostics.append(Diagnostic(shown, number, 1, message))
            else:
                good.append(line)
        return GitIgnoreSpec.from_lines(good)

    def _leads_inside(self, path: str) -> bool:
        return files.is_inside(os.path.realpath(path), self._real_root)

    def _is_ignored(self, name: str) -> bool:
        return self._ignored is not None and self._ignored.match_file(name)

    def _shown(self, name: str) -> str:
        return printable(self._prefix + name) if name else self.found.shown

    def _note(self, name: str, message: str, severity: Severity = Severity.ERROR) -> None:
        self.found.diagnostics.append(Diagnostic(self._shown(name), 1, 1, message, severity))
