"""What git knows of the place where a project is begun, and the one setting that is made there."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DRIVER = "reconciler merge-driver %O %A %B %P"
#: How a main branch is called unless something tells otherwise.
MAIN = "main"
_KEY = "merge.reconciler.driver"


@dataclass(frozen=True, slots=True)
class Repository:
    """A working tree of git: its top directory, the addresses it fetches from, its main branch."""

    root: Path
    remotes: str
    branch: str


def repository(directory: Path) -> Repository | None:
    """Return the working tree that a directory lies in; None outside of any, or without git."""
    top = _ask(directory, "rev-parse", "--show-toplevel")
    if not top:
        return None
    root = Path(top)
    return Repository(root, _ask(root, "config", "--get-regexp", r"remote\..*\.url"), _branch(root))


def _branch(root: Path) -> str:
    upstream = _ask(root, "symbolic-ref", "--short", "refs/remotes/origin/HEAD")
    current = _ask(root, "symbolic-ref", "--short", "HEAD")
    if upstream:
        return upstream.removeprefix("origin/")
    return "master" if current == "master" else MAIN


def install_driver(root: Path) -> str:
    """Tell git how to merge lockfiles in this clone; return the command, if it was not told yet."""
    if _ask(root, "config", "--get", _KEY):
        return ""
    _ask(root, "config", _KEY, DRIVER)
    return f'git config {_KEY} "{DRIVER}"' if _ask(root, "config", "--get", _KEY) else ""


def ignored(root: Path, paths: Iterable[Path]) -> list[tuple[str, str]]:
    """Return each path that git leaves out, with the rule that says so and where it stands."""
    real = [f"{os.path.realpath(path.parent)}/{path.name}" for path in paths]
    options = ("--verbose", "-z", "--stdin")
    fields = _ask(root, "check-ignore", *options, given="\0".join(real)).split("\0")
    told = zip(fields[::4], fields[1::4], fields[2::4], fields[3::4], strict=False)
    return [
        (path, f"{source}:{line}: {pattern}")
        for source, line, pattern, path in told
        if not pattern.startswith("!")
    ]


def _ask(directory: Path, *arguments: str, given: str = "") -> str:
    """Return what git says; nothing where it says nothing, or is not there."""
    try:
        done = subprocess.run(  # noqa: S603 - words of this module, and no shell
            ["git", "-C", str(directory), *arguments],  # noqa: S607 - whichever git people use
            check=False,
            capture_output=True,
            text=True,
            input=given,
        )
    except (OSError, ValueError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
