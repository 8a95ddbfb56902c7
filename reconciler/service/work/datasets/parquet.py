"""Reads datasets that are Parquet files, batch by batch, with the extra ``reconciler[parquet]``.

Only text columns can be asked; every other column is skipped unseen. The reader is loaded when a
Parquet file is read and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from reconciler.service.work.datasets.columns import choose
from reconciler.service.work.generators import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from arro3.core import RecordBatchReader

T = TypeVar("T")

_MAGIC = b"PAR1"
_LEAST_BYTES = 12


def parquet_records(path: Path, label: str, column: str | None) -> Iterator[tuple[str, object]]:
    """Yield place and value of each row."""
    reader = _opened(path, label)
    name = choose(label, reader.schema.names, column)
    _check_text(reader, label, name)
    row = 0
    while (batch := _attempt(lambda: next(reader, None), label)) is not None:
        for value in batch.column(name).to_pylist():
            row += 1
            yield f"{label} row {row}", value


def _opened(path: Path, label: str) -> RecordBatchReader:
    try:
        from arro3.io import read_parquet
    except ImportError:
        message = f"{label} is a Parquet file: to read it, pip install arro3-io"
        raise SourceError(message) from None
    if not _is_parquet(path):
        raise SourceError(f"{label} is not a Parquet file, or only a part of one")
    return _attempt(lambda: read_parquet(path), label)


def _is_parquet(path: Path) -> bool:
    """Look for the marks at both ends, without which the reader would panic."""
    size = path.stat().st_size
    if size < _LEAST_BYTES:
        return False
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
        file.seek(size - len(_MAGIC))
        return start == file.read() == _MAGIC


def _check_text(reader: RecordBatchReader, label: str, name: str) -> None:
    from arro3.core import DataType

    kind = reader.schema.field(name).type
    if kind not in {DataType.string(), DataType.large_string(), DataType.string_view()}:
        raise SourceError(f"{label} column '{name}' holds no text")


def _attempt(step: Callable[[], T], label: str) -> T:
    """Return what a step of the reader returns; its panics derive from BaseException."""
    try:
        return step()
    except OSError:
        raise
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise SourceError(f"{label} cannot be read as Parquet: {error}") from error
        raise
