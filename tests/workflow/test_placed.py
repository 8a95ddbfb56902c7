"""What is remembered of files that were put in place: little, in bounded space, after any end."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.workflow.pulling import placed
from reconciler.workflow.pulling.placed import Placed


def digest(number: int) -> str:
    return f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}"


def place(root: Path, number: int) -> Path:
    return root / f"outputs/coding/{number}/stim.jsonl"


def text(root: Path) -> bytes:
    return (root / ".reconciler/pulled").read_bytes()


def fill(root: Path, *numbers: int) -> None:
    known = Placed(root)
    for number in numbers:
        known.add(place(root, number), digest(number))


def known(root: Path, count: int) -> list[int]:
    found = Placed(root)
    return [it for it in range(count) if found.digest(place(root, it)) == digest(it)]


def test_the_last_digest_of_a_place_holds(tmp_path: Path) -> None:
    first = Placed(tmp_path)
    first.add(place(tmp_path, 1), digest(7))
    first.add(place(tmp_path, 1), digest(1))
    assert first.digest(place(tmp_path, 1)) == digest(1)
    assert known(tmp_path, 3) == [1]


def test_a_run_writes_a_line_for_each_file_that_is_new(tmp_path: Path) -> None:
    fill(tmp_path, *range(50))
    before = text(tmp_path)
    fill(tmp_path, *range(51))
    assert text(tmp_path).startswith(before)
    assert text(tmp_path).count(b"\n") == 51


def test_names_of_targets_are_parts_of_a_place_and_not_joined(tmp_path: Path) -> None:
    found = Placed(tmp_path)
    found.add(tmp_path / "outputs/a/b-c/stim.jsonl", digest(1))
    found.add(tmp_path / "outputs/a-b/c/stim.jsonl", digest(2))
    assert found.digest(tmp_path / "outputs/a/b-c/stim.jsonl") == digest(1)


def test_a_project_that_was_moved_knows_its_files(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    fill(tmp_path / "before", 1)
    (tmp_path / "before").rename(tmp_path / "after")
    assert known(tmp_path / "after", 2) == [1]


def test_another_way_to_a_directory_is_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    fill(tmp_path, 1)
    monkeypatch.chdir(tmp_path)
    assert Placed(tmp_path).digest(place(tmp_path / "link", 1)) == digest(1)
    assert Placed(Path()).digest(place(Path(), 1)) == digest(1)


@given(cut=st.integers(2, 130))
def test_a_line_that_was_cut_off_takes_nothing_with_it(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    root = tmp_path_factory.mktemp("cut")
    fill(root, 0, 1)
    (root / ".reconciler/pulled").write_bytes(text(root)[:-cut])
    fill(root, 2)
    assert known(root, 3) == [0, 2]


@given(raw=st.binary(max_size=300))
def test_any_bytes_are_survived(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    root = tmp_path_factory.mktemp("raw")
    fill(root, 0)
    (root / ".reconciler/pulled").write_bytes(text(root) + raw)
    fill(root, 1)
    assert known(root, 2) == [0, 1]


def test_it_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placed, "_MOST", 5)
    monkeypatch.setattr(placed, "_SLACK", 10)
    monkeypatch.setattr(placed, "_LARGEST", 5_000)
    for number in range(100):
        fill(tmp_path, number)
        assert text(tmp_path).count(b"\n") <= 2 * 5 + 10 + 1
    assert known(tmp_path, 100) == list(range(95, 100))


def test_where_it_cannot_be_written_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / ".reconciler").mkdir()
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tmp_path / ".reconciler/pulled").symlink_to(tmp_path / "elsewhere")
    fill(tmp_path, 1)
    assert known(tmp_path, 2) == []
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"
