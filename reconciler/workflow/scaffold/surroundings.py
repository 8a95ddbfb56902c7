"""What around a project goes against it, in sentences: only people can say what is meant.

Looks after the files are there; changes nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.manifests import files
from reconciler.manifests.discovery import IGNORE_FILE, discover
from reconciler.workflow.place import LOCKFILE
from reconciler.workflow.scaffold import git, templates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def readers(directory: Path, top: Path, inside: str) -> Iterator[str]:
    """Yield a sentence for each project further up that reads the manifests of a directory, too.

    ``inside`` is the way to the directory from the top, where the search ends.
    """
    here = os.path.realpath(directory)
    for parent in Path(inside).parents:
        around = top / parent
        if not any(os.path.lexists(around / name) for name in (LOCKFILE, templates.SCHEMA)):
            continue
        sources = (os.path.realpath(source.path) for source in discover(around).sources)
        if any(files.is_inside(source, here) for source in sources):
            way = os.path.relpath(inside, parent)
            yield f"{around} is a project, too: list {way}/ in {around / IGNORE_FILE}"


def ignored(root: Path, top: Path, paths: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each rule by which git leaves out some paths.

    ``root`` is the top of the repository, and ``top`` how it is called.
    """
    by_rule: dict[str, list[str]] = {}
    for path, rule in git.ignored(root, paths):
        by_rule.setdefault(rule, []).append(path)
    for rule, found in by_rule.items():
        place = top / os.path.relpath(os.path.commonpath(found), root)
        yield f"git ignores {place} ({rule}), but a project belongs into git"
