"""A Parquet file beside each JSONL file, with the extra ``reconciler[parquet]``.

Made from the JSONL in two passes of bounded memory: what kinds of values a column holds, then the
rows. A column of numbers, texts or truth values keeps their type; one of anything else, or of
several kinds, holds JSON text. Never replaces a Parquet file that another program wrote.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from reconciler import __version__
from reconciler.core.errors import ReconcilerError
from reconciler.core.jsonl import KEYS
from reconciler.workflow.pulling.files import UnfitPlaceError, file_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from arro3.core import RecordBatchReader, Schema

    from reconciler.core.model.desired import Stage
    from reconciler.workflow.pulling.files import Folder

_WRITER = "reconciler pull"
_ROWS = 5000
#: The name of the writer stands so near to the end, however many columns there are.
_FOOTER = 4096
_INTEGERS = range(-(2**63), 2**63)


def require() -> None:
    """Raise ReconcilerError unless Parquet can be written."""
    try:
        import arro3.io  # noqa: F401 - whether it is there is the question
    except ImportError:
        raise ReconcilerError(
            "Parquet files take an extra that is not installed",
            hint="pip install arro3-io",
        ) from None


def convert(folder: Folder, stage: Stage) -> None:
    """Write ``STAGE.parquet`` beside ``STAGE.jsonl``; raises UnfitPlaceError."""
    from arro3.io import write_parquet

    name = f"{stage}.parquet"
    _require_ours(folder, name)
    with folder.reading(file_name(stage)) as source:
        kinds = _kinds(source, stage)
        with folder.writing(name) as file:
            source.seek(0)
            sink = _Sink(file)
            write_parquet(
                _reader(source, kinds),
                cast("BinaryIO", sink),
                compression="zstd(3)",
                created_by=f"{_WRITER} {__version__}",
                max_row_group_size=20 * _ROWS,
            )
            sink.require_written()


class _Sink:
    """A file whose errors are kept for later: the writer panics where it meets one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write, unless that failed before."""
        try:
            return len(data) if self._error else self._file.write(data)
        except OSError as error:
            self._error = error
            return len(data)

    def flush(self) -> None:
        """Do nothing: whoever opened the file sees to that."""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go elsewhere; that the file can is looked at, but not used."""
        return self._file.seek(offset, whence)

    def require_written(self) -> None:
        """Raise the error that writing met."""
        if self._error:
            raise self._error


def _require_ours(folder: Folder, name: str) -> None:
    """Raise UnfitPlaceError where there is a file whose footer names another writer."""
    if (footer := folder.ending(name, _FOOTER)) is not None and _WRITER.encode() not in footer:
        raise UnfitPlaceError(f"{folder.path / name} was not written by reconciler: move it away")


def _kinds(source: BinaryIO, stage: Stage) -> dict[str, str]:
    """Return what each column holds, documented ones first."""
    seen: dict[str, set[str]] = {}
    for line in source:
        for key, value in json.loads(line).items():
            seen.setdefault(key, set()).add(_kind(value))
    first = [key for key in KEYS[stage] if key in seen]
    return {key: _common(seen[key]) for key in (*first, *sorted(seen.keys() - first))}


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if value in _INTEGERS else "json"
    if isinstance(value, float):
        return "float"
    return "text" if isinstance(value, str) and _is_plain(value) else "json"


def _is_plain(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _common(kinds: set[str]) -> str:
    found = kinds - {"null"}
    if found == {"int", "float"}:
        return "float"
    return found.pop() if len(found) == 1 else "json" if found else "text"


def _reader(source: BinaryIO, kinds: dict[str, str]) -> RecordBatchReader:
    from arro3.core import RecordBatchReader

    schema = _schema(kinds)
    return RecordBatchReader.from_batches(schema, _batches(source, kinds, schema))


def _schema(kinds: dict[str, str]) -> Schema:
    from arro3.core import Field, Schema

    return Schema([Field(_name(key), _types()[kind]) for key, kind in kinds.items()])


def _batches(source: BinaryIO, kinds: dict[str, str], schema: Schema) -> Iterator[Any]:
    from arro3.core import Array, RecordBatch

    types = _types()
    while lines := list(islice(source, _ROWS)):
        rows = [json.loads(line) for line in lines]
        columns = [
            Array([_AS[kind](row.get(key)) for row in rows], type=types[kind])
            for key, kind in kinds.items()
        ]
        yield RecordBatch.from_arrays(columns, schema=schema)


def _types() -> dict[str, Any]:
    from arro3.core import DataType

    text = DataType.string()
    return {
        "bool": DataType.bool(),
        "int": DataType.int64(),
        "float": DataType.float64(),
        "text": text,
        "json": text,
    }


def _name(key: str) -> str:
    return key if _is_plain(key) else json.dumps(key)


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _as_it_is(value: Any) -> Any:
    return value


_AS: dict[str, Callable[[Any], Any]] = {
    "bool": _as_it_is,
    "int": _as_it_is,
    "float": lambda value: None if value is None else float(value),
    "text": _as_it_is,
    "json": _json,
}
