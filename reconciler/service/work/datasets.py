"""The questions of a dataset: ``NAME.jsonl`` in one directory, read as a whole.

Never reads outside that directory, symbolic links resolved.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reconciler.service.work.generators import SourceError

FIELDS = ("question", "prompt", "text", "input")
"""Where a record's question is looked for, in this order; a record may also be a bare string."""


def read(folder: Path | None, name: str) -> list[str]:
    """Return a dataset's questions in order; raises SourceError. Blocks on the file."""
    try:
        lines = _locate(folder, name).read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise SourceError(f"Dataset '{name}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"Dataset '{name}' cannot be read: it is not UTF-8") from error
    return [
        _question(line, f"Dataset '{name}' line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _locate(folder: Path | None, name: str) -> Path:
    if folder is None:
        raise SourceError(f"Dataset '{name}' not found: the service has no datasets directory")
    if Path(name).name != name or "\0" in name or name.startswith("."):
        raise SourceError(f"Dataset '{name}' not found: the name may not be a path")
    root = folder.resolve()
    path = (root / f"{name}.jsonl").resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise SourceError(f"Dataset '{name}' not found: no {name}.jsonl in the datasets directory")
    return path


def _question(line: str, place: str) -> str:
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise SourceError(f"{place} is not valid JSON") from None
    candidates = [record.get(field) for field in FIELDS] if isinstance(record, dict) else [record]
    found = next((text for text in candidates if isinstance(text, str)), None)
    if found is None:
        raise SourceError(f"{place} holds no question: expected one of {', '.join(FIELDS)}")
    if any("\ud800" <= char <= "\udfff" for char in found):
        raise SourceError(f"{place} is not valid Unicode")
    return found
