"""The questions of a dataset: one file in one directory, read record by record.

A dataset is called ``NAME`` or, to say which column holds the questions, ``NAME#COLUMN``. Whatever
the format: a blank line is no record, and a record without a question that can be asked is an
error. Never reads outside that directory, symbolic links resolved, and never holds more than a
batch of records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.service.work.datasets.finding import find
from reconciler.service.work.datasets.parquet import parquet_records
from reconciler.service.work.datasets.text import csv_records, jsonl_records
from reconciler.service.work.generators import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_READERS: dict[str, Callable[[Path, str, str | None], Iterator[tuple[str, object]]]] = {
    ".jsonl": jsonl_records,
    ".csv": csv_records,
    ".parquet": parquet_records,
}
"""By suffix: from a file, what to call it and a column to the place and the value of each record.

They raise SourceError and OSError.
"""


def read(folder: Path | None, dataset: str) -> Iterator[str]:
    """Yield a dataset's questions in order; raises SourceError. Blocks on the file."""
    name, mark, column = dataset.partition("#")
    label = f"Dataset '{name}'"
    if mark and not column:
        raise SourceError(f"{label} is followed by '#' and no column")
    try:
        path = find(folder, name)
        for place, value in _READERS[path.suffix](path, label, column or None):
            yield _question(value, place)
    except OSError as error:
        raise SourceError(f"{label} cannot be read: {error.strerror or error}") from error


def _question(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise SourceError(f"{place} holds no text where the question belongs")
    if not value.strip():
        raise SourceError(f"{place} holds a blank question")
    if "\0" in value:
        raise SourceError(f"{place} holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise SourceError(f"{place} is not valid Unicode") from None
    return value
