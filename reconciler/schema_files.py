"""The JSON Schemas that come with the package, by name.

They lie in ``reconciler/schemas/`` of an installed package and in ``schemas/`` of a checkout. This
module reads only those, and never looks anywhere else.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from reconciler.core.model.manifest import JsonObject

_PACKAGE = Path(__file__).parent
_VERSION = re.compile(r"\.v([0-9]+)$")


@cache
def names() -> tuple[str, ...]:
    """Return the names of all schemas, such as ``manifest.v1``, sorted."""
    return tuple(sorted(file.stem for file in _folder().glob("*.v*.json")))


def text(name: str) -> str:
    """Return a schema as it stands in its file.

    ``name`` may end in ``.json``; without a version it means the newest one. Raises KeyError for a
    name that does not exist.
    """
    return (_folder() / f"{_full_name(name)}.json").read_text(encoding="utf-8")


def load(name: str) -> JsonObject:
    """Return a schema as a value, to be shared and not changed; accepts and raises as ``text``."""
    return _parsed(_full_name(name))


@cache
def _parsed(full_name: str) -> JsonObject:
    return cast("JsonObject", json.loads(text(full_name)))


@cache
def _folder() -> Path:
    packaged = _PACKAGE / "schemas"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "schemas"


def _full_name(name: str) -> str:
    wanted = name.removesuffix(".json")
    if wanted in names():
        return wanted
    versions = [known for known in names() if _VERSION.sub("", known) == wanted]
    if not versions:
        raise KeyError(name)
    return max(versions, key=_version)


def _version(full_name: str) -> int:
    found = _VERSION.search(full_name)
    return int(found[1]) if found else 0
