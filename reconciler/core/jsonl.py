"""Records of an output → the lines of a JSONL file: one form for whatever shape the API sends.

The same record is always the same bytes, so that a digest of them means something. Values are
never altered and keys never dropped.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from reconciler.core.model.desired import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.model.manifest import JsonValue

#: The keys that the API documents, in the order in which they are written before all others.
KEYS: Mapping[Stage, tuple[str, ...]] = {
    Stage.STIM: ("stimulus_id", "question"),
    Stage.ROLLOUT: (
        "stimulus_id",
        "trajectory_id",
        "stimulus",
        "response",
        "model",
        "temperature",
        "tokens",
    ),
}
#: What some programs take for the end of a line, and what UTF-8 cannot express.
_ESCAPED = re.compile("[\x85\u2028\u2029\ud800-\udfff]")
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_SORTING = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, sort_keys=True
)


def line(stage: Stage, number: int, record: JsonValue) -> bytes:
    """Return the line of the record that stands at place ``number`` (from 0) of an output.

    A stimulus that is a bare string, or has no ``stimulus_id``, gets its place as one. Raises
    ValueError for what is no record.
    """
    if stage is Stage.STIM and isinstance(record, str):
        record = {"question": record}
    if not isinstance(record, dict):
        raise ValueError(f"record {number} is no object")
    if stage is Stage.STIM and "stimulus_id" not in record:
        record = {**record, "stimulus_id": number}
    try:
        text = _ordered(record, KEYS[stage])
    except RecursionError as error:
        raise ValueError(f"record {number} is nested too deeply") from error
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode() + b"\n"


def _ordered(record: Mapping[str, JsonValue], first: tuple[str, ...]) -> str:
    known = [key for key in first if key in record]
    others = sorted(record.keys() - first)
    parts = (f"{_ENCODER.encode(key)}:{_SORTING.encode(record[key])}" for key in (*known, *others))
    return "{" + ",".join(parts) + "}"
