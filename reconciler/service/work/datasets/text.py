"""Reads datasets that are text, JSON lines and CSV, line by line.

Both are UTF-8, with or without a byte order mark. Says of everything that is wrong in which line it
is; never guesses an encoding or a delimiter, and never skips what it does not understand.
"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from reconciler.service.work.datasets.columns import FIELDS, absent, choose
from reconciler.service.work.generators import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def jsonl_records(path: Path, label: str, column: str | None) -> Iterator[tuple[str, object]]:
    """Yield place and value of each record: an object's column, or a line that is a string."""
    for number, line in enumerate(_lines(path, label), start=1):
        if line.strip():
            place = f"{label} line {number}"
            yield place, _value(_parsed(line, place), place, column)


def csv_records(path: Path, label: str, column: str | None) -> Iterator[tuple[str, object]]:
    """Yield place and value of each row; the first row names the columns."""
    rows = _rows(path, label)
    _, header = next(rows, (label, None))
    if header is None:
        raise SourceError(f"{label} is empty: its first line has to name the columns")
    names = [name.strip() for name in header]
    position = names.index(choose(label, names, column))
    for place, row in rows:
        if len(row) != len(names):
            raise SourceError(f"{place} has {len(row)} cells where the header has {len(names)}")
        yield place, row[position]


def _lines(path: Path, label: str) -> Iterator[str]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if b"\0" in raw:
                raise SourceError(f"{label} line {number} holds a NUL byte: it is not UTF-8 text")
            try:
                yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise SourceError(f"{label} line {number} is not UTF-8") from error


def _parsed(line: str, place: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise SourceError(f"{place} is not valid JSON") from None


def _value(record: Any, place: str, column: str | None) -> object:
    if not isinstance(record, dict):
        if column is not None:
            raise SourceError(f"{place} has no columns: '{column}' needs an object")
        return record
    if column is None:
        present = [each for each in FIELDS if each in record]
        texts = (each for each in present if isinstance(record[each], str))
        column = next(texts, present[0] if present else None)
    if column not in record:
        raise absent(place, record, column)
    return record[column]


def _rows(path: Path, label: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows and where each begins, for a quoted cell may go on over many lines."""
    reader = csv.reader(_lines(path, label), strict=True)
    while True:
        place = f"{label} line {reader.line_num + 1}"
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise SourceError(f"{place} is not valid CSV: {error}") from None
        if row is None:
            return
        if row:
            yield place, row
