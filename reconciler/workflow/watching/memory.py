"""What one run tells the next about what was told: ``.reconciler/rounds.json``.

Nothing that a run decides depends on it, so a file that is lost or makes no sense only means that
people may be told twice and that counters begin anew. Never holds a key or an address to notify.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.watching.rounds import Totals
from reconciler.core.watching.standing import State, Told
from reconciler.lockfile import UnfitFileError, read_file, replace_file, state_directory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FORMAT = "reconciler/rounds/v1"
_NAME = "rounds.json"
#: The file, from the root of a project.
FILE = f".reconciler/{_NAME}"
_LARGEST = 20_000_000
_NONSENSE = (ValueError, KeyError, TypeError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Memory:
    """What people were told of each resource, and what all rounds add up to."""

    told: Mapping[ResourceId, Told] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)


def read(root: Path) -> Memory:
    """Return what is remembered in a project; nothing where that makes no sense."""
    try:
        return _parsed(json.loads(read_file(state_directory(root) / _NAME, _LARGEST)))
    except (OSError, UnfitFileError, RecursionError, *_NONSENSE):
        return Memory()


def write(root: Path, memory: Memory) -> None:
    """Replace what is remembered; raises OSError, or ReconcilerError for an unfit directory."""
    value = {
        "format": _FORMAT,
        "told": {f"{id_.kind} {id_}": [it.state, it.at] for id_, it in memory.told.items()},
        "totals": asdict(memory.totals),
    }
    replace_file(state_directory(root) / _NAME, json.dumps(value, indent=1, sort_keys=True) + "\n")


def _parsed(value: Any) -> Memory:
    if value["format"] != _FORMAT:
        raise ValueError
    told = value["told"].items()
    return Memory(
        {_address(key): Told(State(state), float(at)) for key, (state, at) in told},
        _totals(value["totals"]),
    )


def _address(text: str) -> ResourceId:
    kind, _, rest = text.partition(" ")
    repo, _, name = rest.partition("/")
    return ResourceId(Kind(kind), repo, name)


def _totals(value: Any) -> Totals:
    found = Totals(**value)
    counts = [*found.rounds.values(), *found.requests.values(), *found.durations]
    times = [found.seconds, found.last_round or 0.0, found.last_success or 0.0]
    if len(found.durations) != len(Totals().durations) or any(it < 0 for it in (*counts, *times)):
        raise ValueError
    return Totals(**{**value, "durations": tuple(found.durations)})
