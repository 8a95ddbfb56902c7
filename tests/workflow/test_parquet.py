"""Parquet files beside the JSONL: the same rows, in types of their own where that can be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.core import jsonl
from reconciler.core.errors import ReconcilerError
from reconciler.core.model.desired import Stage
from reconciler.workflow.pulling import parquet
from reconciler.workflow.pulling.files import Folder, UnfitPlaceError

if TYPE_CHECKING:
    from collections.abc import Sequence

ROLLOUT = Stage.ROLLOUT


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, ("coding", "one"))


def converted(folder: Folder, records: Sequence[Any]) -> dict[str, tuple[str, list[Any]]]:
    """Write records, convert them, and return the type and the values of each column."""
    from arro3.io import read_parquet

    lines = [jsonl.line(ROLLOUT, n, record) for n, record in enumerate(records)]
    (folder.path / "rollout.jsonl").write_bytes(b"".join(lines))
    parquet.convert(folder, ROLLOUT)
    table = read_parquet(folder.path / "rollout.parquet").read_all()
    assert table.num_rows == len(records) or not table.column_names
    return {
        name: (str(table.schema.field(name).type).strip(), table.column(name).to_pylist())
        for name in table.column_names
    }


def kind(name: str) -> str:
    return f"arro3.core.DataType<{name}>"


def test_columns_keep_their_order_and_their_types(folder: Folder) -> None:
    records = [
        {"tokens": 4, "stimulus_id": 0, "response": "Só.", "temperature": 1, "ok": True},
        {"stimulus_id": 1, "response": None, "temperature": 0.5, "extra": [1, {"a": "b"}]},
    ]
    with folder:
        found = converted(folder, records)
    assert list(found) == ["stimulus_id", "response", "temperature", "tokens", "extra", "ok"]
    assert found == {
        "stimulus_id": (kind("Int64"), [0, 1]),
        "response": (kind("Utf8"), ["Só.", None]),
        "temperature": (kind("Float64"), [1.0, 0.5]),
        "tokens": (kind("Int64"), [4, None]),
        "extra": (kind("Utf8"), [None, '[1, {"a": "b"}]']),
        "ok": (kind("Boolean"), [True, None]),
    }


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1, "a"], ["1", '"a"']),
        ([2**70, None], [str(2**70), None]),
        (["a\ud800", "b"], [r'"a\ud800"', '"b"']),
        ([None, None], [None, None]),
        ([True, 1], ["true", "1"]),
    ],
)
def test_what_has_no_type_in_common_is_json(
    folder: Folder, values: list[Any], texts: list[Any]
) -> None:
    with folder:
        found = converted(folder, [{"x": value} for value in values])
    assert found == {"x": (kind("Utf8"), texts)}


def test_many_rows_stay_in_order(folder: Folder) -> None:
    with folder:
        found = converted(folder, [{"stimulus_id": n} for n in range(12_345)])
    assert found["stimulus_id"][1] == list(range(12_345))


def test_an_empty_output_is_an_empty_file(folder: Folder) -> None:
    with folder:
        assert converted(folder, []) == {}


def test_the_same_rows_are_the_same_bytes(folder: Folder) -> None:
    with folder:
        converted(folder, [{"x": "a"}])
        before = (folder.path / "rollout.parquet").read_bytes()
        converted(folder, [{"x": "a"}])
        assert (folder.path / "rollout.parquet").read_bytes() == before


def test_a_file_of_another_program_is_left_alone(folder: Folder) -> None:
    from arro3.core import Array, DataType, RecordBatch
    from arro3.io import write_parquet

    path = folder.path / "rollout.parquet"
    write_parquet(RecordBatch.from_pydict({"a": Array([1], type=DataType.int64())}), path)
    before = path.read_bytes()
    with folder, pytest.raises(UnfitPlaceError, match="was not written by reconciler"):
        converted(folder, [{"x": 1}])
    assert path.read_bytes() == before


def test_an_error_of_the_file_is_raised_once_the_writer_is_done() -> None:
    """The library would panic if it met one."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        sink = parquet._Sink(full)
        assert [sink.write(b"some"), sink.write(b"more")] == [4, 4]
        with pytest.raises(OSError, match="No space left"):
            sink.require_written()


def test_without_the_extra_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arro3.io", None)
    with pytest.raises(ReconcilerError) as caught:
        parquet.require()
    assert caught.value.hint == "pip install arro3-io"
