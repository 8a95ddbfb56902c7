"""The names of declared targets at a glance, for whoever completes a command line.

Looks at headings alone, checks nothing, follows no link, and finds nothing rather than fail: what
is offered may be wrong while somebody is editing. Knows neither ``.reconcilerignore`` nor templates
of a set, for which it offers a pattern that matches all of its targets.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_MOST_FILES = 2_000
_LARGEST = 10_000_000
_NEW_DOCUMENT = re.compile(r"^---.*$", re.MULTILINE)
_IS_TARGET = re.compile(r"""^kind:[ ]*["']?Target(?:Set)?["']?[ ]*(?:#.*)?$""", re.MULTILINE)
#: The line that begins the metadata, and all that is indented below.
_METADATA = re.compile(r"^metadata:.*(?:\n(?:[ \t].*|$))*", re.MULTILINE)
_LONGEST_METADATA = 10_000
_EXPRESSION = re.compile(r"\$\{\{.*?\}\}")
_NAME = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._*-]{0,127}")


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A declared target as far as its heading tells."""

    address: str
    labels: Mapping[str, str] = field(default_factory=dict)


def targets(path: Path) -> list[Glimpse]:
    """Return the targets that manifests seem to declare, in the order of their addresses."""
    found = {seen.address: seen for file in _files(str(path)) for seen in _in_file(file)}
    return [found[address] for address in sorted(found)]


def _files(path: str) -> Iterator[str]:
    if os.path.isfile(path):  # noqa: PTH113 - as cheap as can be
        yield path
        return
    count = 0
    for directory, below, files in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(files):
            if name.endswith((".yaml", ".yml")) and not name.startswith("."):
                count += 1
                if count > _MOST_FILES:
                    return
                yield os.path.join(directory, name)  # noqa: PTH118


def _in_file(path: str) -> Iterator[Glimpse]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            text = file.read(_LARGEST).decode(errors="replace").replace("\r\n", "\n")
    except OSError:
        return
    for document in _NEW_DOCUMENT.split(text):
        metadata = _METADATA.search(document) if _IS_TARGET.search(document) else None
        if metadata and len(metadata[0]) <= _LONGEST_METADATA:
            yield from _glimpse(metadata[0])


def _glimpse(text: str) -> Iterator[Glimpse]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        found: Any = yaml.load(text, Loader=loader)["metadata"]  # noqa: S506 - a safe one
        names = [_EXPRESSION.sub("*", found[key]) for key in ("repo", "name")]
        labels = found.get("labels") or {}
        told = {str(key): str(value) for key, value in labels.items()}
    except (yaml.YAMLError, TypeError, KeyError, AttributeError, ValueError, RecursionError):
        return
    if all(map(_NAME.fullmatch, names)):
        yield Glimpse("/".join(names), told)
