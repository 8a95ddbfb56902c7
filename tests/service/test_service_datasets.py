"""Datasets: which questions they hold whatever the format, what is wrong with them, and samples."""

from __future__ import annotations

import csv
import json
import sys
import tracemalloc
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from arro3.core import Array, DataType, Table
from arro3.io import write_parquet
from hypothesis import given
from hypothesis import strategies as st

from reconciler.service import Settings, embedded
from reconciler.service.work.datasets import read
from reconciler.service.work.generators import SourceError, sources

from .support import KEY, Api, client

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Write = Callable[[Path, Sequence[str], Sequence[Sequence[str | None]]], None]


def jsonl(folder: Path, names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> None:
    records = (dict(zip(names, row, strict=True)) for row in rows)
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "some.jsonl").write_text(text)


def comma_separated(
    folder: Path, names: Sequence[str], rows: Sequence[Sequence[str | None]]
) -> None:
    with (folder / "some.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *rows])


def parquet(folder: Path, names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> None:
    columns = zip(names, zip(*rows, strict=True), strict=True)
    table: dict[str, Any] = {
        name: Array(list(column), DataType.string()) for name, column in columns
    }
    write_parquet(Table.from_pydict(table), folder / "some.parquet")


every_format = pytest.mark.parametrize("write", [jsonl, comma_separated, parquet])


def error(folder: Path | None, dataset: str) -> str:
    with pytest.raises(SourceError) as caught:
        list(read(folder, dataset))
    return str(caught.value)


@every_format
class TestEveryFormat:
    def test_the_first_column_that_may_hold_questions(self, tmp_path: Path, write: Write) -> None:
        write(tmp_path, ["input", "text", "answer"], [["i1", "t1", "a1"], ["i2", "t2", "a2"]])
        assert list(read(tmp_path, "some")) == ["t1", "t2"]

    def test_the_column_that_is_named(self, tmp_path: Path, write: Write) -> None:
        write(tmp_path, ["question", "a #1 column"], [["no", "yes"], ["no", "yes, too"]])
        assert list(read(tmp_path, "some#a #1 column")) == ["yes", "yes, too"]

    def test_a_column_that_is_not_there(self, tmp_path: Path, write: Write) -> None:
        write(tmp_path, ["title", "answer"], [["t", "a"]])
        sentence = error(tmp_path, "some#titel")
        assert sentence.startswith("Dataset 'some'")
        assert "has no column 'titel': it has answer, title; did you mean 'title'?" in sentence
        assert "did you mean" not in error(tmp_path, "some#zzz")

    def test_no_column_that_may_hold_questions(self, tmp_path: Path, write: Write) -> None:
        write(tmp_path, ["title", "answer"], [["t", "a"]])
        wanted = "expected one of question, prompt, text, input; it has answer, title"
        assert wanted in error(tmp_path, "some")

    @pytest.mark.parametrize("blank", [None, "", " \t\n"])
    def test_a_record_without_a_question(
        self, tmp_path: Path, write: Write, blank: str | None
    ) -> None:
        write(tmp_path, ["id", "question"], [["1", "fine"], ["2", blank], ["3", "fine"]])
        places: dict[Write, str] = {jsonl: "line 2", comma_separated: "line 3", parquet: "row 2"}
        place = places[write]
        assert error(tmp_path, "some#question").startswith(f"Dataset 'some' {place} holds")

    def test_a_question_that_nobody_can_type(self, tmp_path: Path, write: Write) -> None:
        write(tmp_path, ["question"], [["fine"], ["a\0b"]])
        assert "holds a NUL" in error(tmp_path, "some")

    def test_many_columns_are_not_all_listed(self, tmp_path: Path, write: Write) -> None:
        names = [f"c{number:03}" for number in range(300)]
        write(tmp_path, names, [names])
        assert error(tmp_path, "some").endswith("c008, c009 and 290 more")

    def test_several_batches_are_one_dataset(self, tmp_path: Path, write: Write) -> None:
        questions = [f"question {number}" for number in range(5000)]
        write(tmp_path, ["question"], [[question] for question in questions])
        assert list(read(tmp_path, "some")) == questions


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@every_format
@given(questions=st.lists(texts.filter(str.strip), min_size=1))
def test_a_question_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, write: Write, questions: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("written")
    write(folder, ["id", "question"], [[str(n), text] for n, text in enumerate(questions)])
    assert list(read(folder, "some")) == questions


class TestJsonLines:
    def test_strings_and_objects_may_be_mixed(self, tmp_path: Path) -> None:
        records: list[object] = [{"question": "q"}, {"prompt": "p"}, {"input": "i"}, "s"]
        records += [{"question": None, "text": "not null"}]
        (tmp_path / "some.jsonl").write_text("\n\n".join(map(json.dumps, records)))
        assert list(read(tmp_path, "some")) == ["q", "p", "i", "s", "not null"]

    def test_an_empty_file_has_no_questions(self, tmp_path: Path) -> None:
        (tmp_path / "some.jsonl").write_text("\n \n")
        assert list(read(tmp_path, "some")) == []

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b'"fine"\n{nonsense\n', "line 2 is not valid JSON"),
            (b"[" * 100_000, "line 1 is not valid JSON"),
            (b'"fine"\n\n"caf\xe9"', "line 3 is not UTF-8"),
            (b'"\\ud800"', "line 1 is not valid Unicode"),
            (b"[1]", "line 1 holds no text where the question belongs"),
            (b"{}", "line 1 holds no question: expected one of question, prompt, text, input"),
            (b'{"question": 5}', "line 1 holds no text where the question belongs"),
            (b'{"id": 5, "input": null}', "line 1 holds no text where the question belongs"),
            ('"fine"\n'.encode("utf-16-le"), "line 1 holds a NUL byte"),
        ],
    )
    def test_what_is_wrong_and_where(self, tmp_path: Path, content: bytes, sentence: str) -> None:
        (tmp_path / "some.jsonl").write_bytes(content)
        assert error(tmp_path, "some").startswith(f"Dataset 'some' {sentence}")

    def test_only_objects_have_columns(self, tmp_path: Path) -> None:
        (tmp_path / "some.jsonl").write_text('{"title": "t"}\n"s"\n')
        assert "line 2 has no columns: 'title' needs an object" in error(tmp_path, "some#title")


class TestCsv:
    @pytest.mark.parametrize(
        "content",
        [
            b"id,question\n1,a\n2,b\n",
            b"\xef\xbb\xbfquestion\r\na\r\nb",
            b'\nid, question \n\n1,a\n\n2,"b"\n\n',
        ],
    )
    def test_ways_of_writing_it(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "some.csv").write_bytes(content)
        assert list(read(tmp_path, "some")) == ["a", "b"]

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b"", " is empty: its first line has to name the columns"),
            (b"id;question\n1;a\n", " holds no question: expected one of"),
            (b"question,question\na,b\n", " has several columns 'question'"),
            (b"id,question\n1,a\n2\n", " line 3 has 1 cells where the header has 2"),
            (b'id,question\n"a\nb",c\n1,a,b\n', " line 4 has 3 cells where the header has 2"),
            (b'question\na\n"never\nclosed\n', " line 3 is not valid CSV: unexpected end of data"),
            (b'question\na\n"b"c\n', " line 3 is not valid CSV: ',' expected after '\"'"),
            (b"question\n" + b"x" * 200_000, " line 2 is not valid CSV: field larger than"),
            (b"question\na\nb\0\n", " line 3 holds a NUL byte: it is not UTF-8 text"),
            (b"question\ncaf\xe9\n", " line 2 is not UTF-8"),
            (b"question\ra\rb\r", " line 1 is not valid CSV: new-line character seen"),
        ],
    )
    def test_what_is_wrong_and_where(self, tmp_path: Path, content: bytes, sentence: str) -> None:
        (tmp_path / "some.csv").write_bytes(content)
        assert error(tmp_path, "some").startswith(f"Dataset 'some'{sentence}")


class TestParquet:
    def test_every_kind_of_text_and_nothing_else(self, tmp_path: Path) -> None:
        kinds = {
            "question": DataType.string(),
            "large": DataType.large_string(),
            "view": DataType.string_view(),
        }
        columns = {name: Array(["a", "b"], kind) for name, kind in kinds.items()}
        table = Table.from_pydict({**columns, "number": Array([1, 2], DataType.int64())})
        write_parquet(table, tmp_path / "some.parquet", compression="zstd(3)")
        for column in ("", "#large", "#view"):
            assert list(read(tmp_path, f"some{column}")) == ["a", "b"]
        assert "column 'number' holds no text" in error(tmp_path, "some#number")

    @pytest.mark.parametrize("content", [b"", b"PAR1", b"question\na\n", b"PAR1" + b"x" * 99])
    def test_what_is_no_parquet_file(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "some.parquet").write_bytes(content)
        assert "is not a Parquet file, or only a part of one" in error(tmp_path, "some")

    def test_a_damaged_file(self, tmp_path: Path) -> None:
        parquet(tmp_path, ["question"], [["a"]])
        path = tmp_path / "some.parquet"
        whole = path.read_bytes()
        path.write_bytes(whole[:-60] + b"\xff" * 52 + whole[-8:])
        assert "cannot be read as Parquet" in error(tmp_path, "some")
        path.write_bytes(whole[:4] + b"\xff" * 30 + whole[34:])
        assert "cannot be read as Parquet" in error(tmp_path, "some")

    def test_without_its_reader(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        parquet(tmp_path, ["question"], [["a"]])
        monkeypatch.setitem(sys.modules, "arro3.io", None)
        assert "pip install arro3-io" in error(tmp_path, "some")


class TestFinding:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "datasets"
        folder.mkdir()
        for name in ("colours.v1.jsonl", "animals.csv", ".hidden.jsonl", "readme.md"):
            (folder / name).write_text('"question"\n')
        (folder / "folder.jsonl").mkdir()
        (tmp_path / "secret.jsonl").write_text('"a secret"\n')
        (folder / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
        (folder / "loop.jsonl").symlink_to(folder / "loop.jsonl")
        (folder / "alias.jsonl").symlink_to(folder / "colours.v1.jsonl")
        return folder

    @pytest.mark.parametrize("name", ["colours.v1", "alias"])
    def test_names(self, folder: Path, name: str) -> None:
        assert list(read(folder, name)) == ["question"]

    @pytest.mark.parametrize("name", ["colour", "colours.v1.jsonl", "link", "loop", "folder", "é"])
    def test_unknown_names(self, folder: Path, name: str) -> None:
        there = "there are alias, animals, colours.v1"
        hint = "did you mean 'colours.v1'?" if "colour" in name else there
        place = "in the datasets directory"
        start = f"Dataset '{name}' not found: no {name}.jsonl, .csv or .parquet {place}; "
        assert error(folder, name) == start + hint

    @pytest.mark.parametrize(
        "name", ["../secret", "/etc/passwd", "..", ".", "a/b", "a\0b", ".hidden", "alias/"]
    )
    def test_names_that_are_paths(self, folder: Path, name: str) -> None:
        assert error(folder, name).endswith("not found: the name may not be a path")

    def test_an_empty_directory(self, tmp_path: Path) -> None:
        assert error(tmp_path, "some") == (
            "Dataset 'some' not found: the datasets directory is empty"
        )

    def test_no_directory(self, tmp_path: Path) -> None:
        assert "the service has no datasets directory" in error(None, "some")
        assert "cannot be read: No such file or directory" in error(tmp_path / "gone", "some")

    def test_a_name_that_no_file_can_have(self, folder: Path) -> None:
        assert "cannot be read: File name too long" in error(folder, "x" * 300)

    def test_two_files_of_one_name(self, folder: Path) -> None:
        (folder / "animals.jsonl").write_text('"question"\n')
        sentence = "Dataset 'animals' is ambiguous: there are animals.jsonl and animals.csv"
        assert error(folder, "animals").startswith(sentence)

    def test_a_mark_without_a_column(self, folder: Path) -> None:
        assert error(folder, "alias#") == "Dataset 'alias' is followed by '#' and no column"


def sample(size: int, **settings: int | None) -> list[int]:
    """Return which of ``size`` questions are asked."""
    generator = {"type": "from_dataset", "dataset": "numbers", **settings}
    (source,) = sources([generator], lambda _: [str(number) for number in range(size)])
    assert source.questions is not None
    assert source.count == len(source.questions)
    return [int(question) for question in source.questions]


class TestSampling:
    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"seed": 1}, [250, 348, 394, 584, 643]),
            ({"seed": 2}, [68, 346, 587, 709, 907]),
            ({"seed": -(10**15)}, [170, 254, 629, 858, 971]),
            ({"seed": None}, [134, 179, 251, 427, 840]),
            ({}, [134, 179, 251, 427, 840]),
        ],
    )
    def test_the_same_on_every_machine(
        self, settings: dict[str, int | None], expected: list[int]
    ) -> None:
        assert sample(1000, numq=5, **settings) == expected

    @given(
        size=st.integers(1, 60), seed=st.integers(), few=st.integers(1, 70), more=st.integers(0, 70)
    )
    def test_a_larger_sample_holds_the_smaller_one(
        self, size: int, seed: int, few: int, more: int
    ) -> None:
        smaller, larger = (
            sample(size, numq=few, seed=seed),
            sample(size, numq=few + more, seed=seed),
        )
        assert set(smaller) <= set(larger)
        for chosen, numq in ((smaller, few), (larger, few + more)):
            assert chosen == sorted(set(chosen))
            assert len(chosen) == min(size, numq)

    def test_every_question_has_the_same_chance(self) -> None:
        chosen = [number for seed in range(1000) for number in sample(20, numq=5, seed=seed)]
        assert all(200 < chosen.count(number) < 300 for number in range(20))

    def test_only_the_sample_is_held(self, tmp_path: Path) -> None:
        jsonl(tmp_path, ["question"], [[f"{number} {'x' * 100}"] for number in range(5_000)])
        generator = {"type": "from_dataset", "dataset": "some", "numq": 10}
        tracemalloc.start()
        (source,) = sources([generator], partial(read, tmp_path))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert source.count == 10
        assert peak < 200_000


def asked(api: Api, name: str, **generator: Any) -> list[str]:
    target = api.target(name, generators=[{"type": "from_dataset", **generator}])
    status = api.run(f"{target}/stim")
    assert status["status"] == "complete", status
    return [row["question"] for row in api.output(f"{target}/stim")]


class TestService:
    def test_whole_or_sampled(self, api: Api) -> None:
        whole = [f"question {number}" for number in range(50)]
        assert asked(api, "whole", dataset="fifty") == whole
        assert asked(api, "ample", dataset="fifty", numq=99) == whole
        first, again, other = (
            asked(api, f"t{number}", dataset="fifty", numq=5, seed=seed)
            for number, seed in enumerate((1, 1, 2))
        )
        assert first == again != other
        assert set(first) < set(whole)

    def test_a_column_of_a_table(self, api: Api) -> None:
        assert asked(api, "default", dataset="table") == ["q1", "q2"]
        assert asked(api, "named", dataset="table#title") == ["t1", "t2"]

    @pytest.mark.parametrize(
        ("generator", "sentence"),
        [
            ({"dataset": "nothing"}, "Dataset 'nothing' not found: no nothing.jsonl"),
            ({"dataset": "../outside/secret"}, "the name may not be a path"),
            ({"dataset": "fifty#column"}, "Dataset 'fifty' line 1 has no columns"),
            ({"dataset": "empty"}, "The generators have no questions"),
            ({}, "generators[0] (from_dataset) names no dataset"),
        ],
    )
    def test_what_cannot_be_asked(self, api: Api, generator: Any, sentence: str) -> None:
        target = api.target(generators=[{"type": "from_dataset", **generator}])
        status = api.run(f"{target}/stim")
        assert status["status"] == "failed"
        assert sentence in status["error"]
        assert api.post(f"{target}/rollout").status_code == 400

    def test_without_datasets(self, tmp_path: Path) -> None:
        with embedded(Settings(tmp_path, key=KEY)) as service, client(service.url) as api:
            generators = [{"type": "from_dataset", "dataset": "fifty"}]
            status = api.run(f"{api.target(generators=generators)}/stim")
        assert "no datasets directory" in status["error"]
