"""The files of outputs: scanned in bounded memory, continued after any end, never through links."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model.outputs import PAGE
from reconciler.engine.downloading import Slice
from reconciler.workflow.pulling import files as output_files
from reconciler.workflow.pulling.files import DiskFullError, Folder, Tail, UnfitPlaceError, scan

NAME = "stim.jsonl"
PARTS = ("coding", "one")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, PARTS)


def names(folder: Folder) -> list[str]:
    return [path.name for path in folder.path.iterdir()]


def slices_of(lines: list[bytes]) -> tuple[Slice, ...]:
    def known(start: int, stop: int) -> Slice:
        return Slice(start, stop, sha256(b"".join(lines[start:stop])))

    count = len(lines)
    if count > PAGE:
        return known(0, PAGE), known(count - PAGE, count)
    return (known(0, count),) if lines else ()


class TestScanning:
    @pytest.mark.parametrize("count", [0, 1, 2, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
    @pytest.mark.parametrize("chunk", [7, 1_000_000])
    def test_a_scan_knows_a_file_and_its_ends(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, chunk: int
    ) -> None:
        monkeypatch.setattr(output_files, "_CHUNK", chunk)
        lines = [f"line {n}\n".encode() for n in range(count)]
        path = tmp_path / NAME
        path.write_bytes(b"".join(lines))
        with path.open("rb") as file:
            found = scan(file)
        assert (found.lines, found.size) == (count, path.stat().st_size)
        assert found.digest == "sha256:" + sha256(path.read_bytes())
        assert found.ends == slices_of(lines)
        assert found.first == (Slice(0, 1, sha256(lines[0])) if lines else None)

    def test_a_last_line_without_an_end_belongs_to_the_digest_only(self, folder: Folder) -> None:
        (folder.path / NAME).write_bytes(b"a\nb")
        with folder:
            found = folder.scan(NAME)
        assert found
        assert (found.lines, found.digest) == (1, "sha256:" + sha256(b"a\nb"))

    def test_no_file_is_no_scan(self, folder: Folder) -> None:
        with folder:
            assert folder.scan(NAME) is None


class TestEnds:
    """The last line is found from the end, whatever lies before it."""

    @given(
        lines=st.lists(st.binary(max_size=40).map(lambda it: it.replace(b"\n", b"")), max_size=9),
        torn=st.sampled_from([b"", b"x", b"x" * 100]),
        glance=st.integers(1, 50),
    )
    def test_the_last_line_is_the_last_of_all(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        lines: list[bytes],
        torn: bytes,
        glance: int,
    ) -> None:
        content = b"".join(line + b"\n" for line in lines) + torn
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(output_files, "_GLANCE", glance)
            with Folder(tmp_path_factory.mktemp("ends"), PARTS) as folder:
                (folder.path / NAME).write_bytes(content)
                found = folder.tail(NAME)
        whole = bool(lines) and not torn
        assert found == (Tail(sha256(lines[-1] + b"\n"), len(content)) if whole else None)

    def test_a_large_file_is_not_read_for_it(self, folder: Folder) -> None:
        with folder, (folder.path / NAME).open("wb") as file:
            file.truncate(2**40)  # no disk holds that: all but the end is a hole
            file.seek(0, os.SEEK_END)
            file.write(b"\nlast\n")
            file.flush()
            assert folder.tail(NAME) == Tail(sha256(b"last\n"), 2**40 + 6)

    def test_a_line_without_a_beginning_is_not_looked_for_for_ever(self, folder: Folder) -> None:
        with folder, (folder.path / NAME).open("wb") as file:
            file.truncate(2**40)
            file.seek(0, os.SEEK_END)
            file.write(b"\n")
            file.flush()
            assert folder.tail(NAME) is None

    def test_a_digest_is_of_a_file_of_that_size_only(self, folder: Folder) -> None:
        with folder:
            (folder.path / NAME).write_bytes(b"one\ntwo\n")
            assert folder.digest(NAME, 8) == "sha256:" + sha256(b"one\ntwo\n")
            assert folder.digest(NAME, 4) is None
            assert folder.digest("nothing", 0) is None


class TestDownloading:
    LINES = (b"one\n", b"two\n", b"three\n")

    def test_a_download_takes_its_place_when_it_is_whole(self, folder: Folder) -> None:
        with folder, folder.part(NAME) as part:
            part.append(self.LINES[:1])
            part.append(self.LINES[1:])
            assert names(folder) == [f"{NAME}.part"]
            folder.publish(part, NAME)
            assert (part.lines, part.size) == (3, 14)
            assert part.digest == "sha256:" + sha256(b"one\ntwo\nthree\n")
            assert part.first == Slice(0, 1, sha256(b"one\n"))
        assert names(folder) == [NAME]
        assert (folder.path / NAME).read_bytes() == b"one\ntwo\nthree\n"

    @given(cut=st.integers(0, 14))
    def test_whatever_was_written_is_gone_on_from(
        self, tmp_path_factory: pytest.TempPathFactory, cut: int
    ) -> None:
        whole = b"".join(self.LINES)
        with Folder(tmp_path_factory.mktemp("cut"), PARTS) as folder:
            (folder.path / f"{NAME}.part").write_bytes(whole[:cut])
            with folder.part(NAME) as part:
                assert part.lines == whole[:cut].count(b"\n")
                part.append(self.LINES[part.lines :])
                assert part.digest == "sha256:" + sha256(whole)
                folder.publish(part, NAME)
            assert (folder.path / NAME).read_bytes() == whole

    def test_a_torn_line_of_any_length_is_cut_off(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(output_files, "_CHUNK", 5)
        (folder.path / f"{NAME}.part").write_bytes(b"one\n" + 23 * b"x")
        with folder, folder.part(NAME) as part:
            assert (part.lines, part.size) == (1, 4)

    def test_beginning_anew_forgets_everything(self, folder: Folder) -> None:
        with folder, folder.part(NAME) as part:
            part.append(self.LINES)
            part.restart()
            part.append(self.LINES[2:])
            folder.publish(part, NAME)
            assert (part.lines, part.first) == (1, Slice(0, 1, sha256(b"three\n")))
        assert (folder.path / NAME).read_bytes() == b"three\n"

    def test_two_downloads_to_one_file_exclude_each_other(self, folder: Folder) -> None:
        with folder, folder.part(NAME), pytest.raises(UnfitPlaceError, match="another run"):
            folder.part(NAME)
        with Folder(folder.path.parent.parent, PARTS) as again, again.part(NAME) as part:
            assert part.lines == 0

    def test_a_full_disk_is_told_as_one(self, folder: Folder) -> None:
        with folder, folder.part(NAME) as part:
            part._file.close()
            with Path("/dev/full").open("r+b", buffering=0) as full:
                part._file = full
                with pytest.raises(DiskFullError, match=f"cannot write .*{NAME}.part: No space"):
                    part.append(self.LINES)

    def test_what_is_written_whole_replaces_and_what_is_not_leaves_no_trace(
        self, folder: Folder
    ) -> None:
        with folder:
            with folder.writing(NAME) as file:
                file.write(b"old")
            with contextlib.suppress(KeyboardInterrupt), folder.writing(NAME) as file:
                file.write(b"new")
                raise KeyboardInterrupt
            assert names(folder) == [NAME]
            assert folder.ending(NAME, 2) == b"ld"
            assert folder.ending("nothing", 2) is None


def look(folder: Folder, name: str) -> None:
    """Open a file for the purpose that its name has."""
    if name == NAME:
        folder.scan(NAME)
    else:
        folder.part(NAME)


class TestPlaces:
    """Nothing is read or written behind links, and nothing but files is touched."""

    @pytest.mark.parametrize("name", [NAME, f"{NAME}.part"])
    def test_a_link_is_not_followed(self, folder: Folder, tmp_path: Path, name: str) -> None:
        secret = tmp_path / "secret"
        secret.write_text("keep\n")
        (folder.path / name).symlink_to(secret)
        with folder, pytest.raises(UnfitPlaceError, match="a link is in the way"):
            look(folder, name)
        assert secret.read_text() == "keep\n"

    @pytest.mark.parametrize("depth", [1, 2])
    def test_a_directory_is_no_link(self, tmp_path: Path, depth: int) -> None:
        base, elsewhere = tmp_path / "base", tmp_path / "elsewhere"
        elsewhere.mkdir()
        link = base.joinpath(*PARTS[:depth])
        link.parent.mkdir(parents=True)
        link.symlink_to(elsewhere)
        with pytest.raises(UnfitPlaceError, match="in the way of a directory"):
            Folder(base, PARTS)
        assert list(elsewhere.iterdir()) == []

    def test_a_folder_that_is_not_to_be_made_is_not(self, tmp_path: Path) -> None:
        with pytest.raises(UnfitPlaceError, match="No such file"):
            Folder(tmp_path / "base", PARTS, make=False)
        (tmp_path / "coding").mkdir()
        with pytest.raises(UnfitPlaceError, match="No such file"):
            Folder(tmp_path, PARTS, make=False)
        assert [path.name for path in tmp_path.rglob("*")] == ["coding"]

    def test_a_link_to_the_directory_that_was_named_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "base").symlink_to(tmp_path / "real")
        with Folder(tmp_path / "base", PARTS):
            assert (tmp_path / "real" / "coding" / "one").is_dir()

    @pytest.mark.parametrize("name", [NAME, f"{NAME}.part"])
    def test_what_is_no_file_blocks_nothing(self, folder: Folder, name: str) -> None:
        os.mkfifo(folder.path / name)
        with folder, pytest.raises(UnfitPlaceError, match="not a regular file"):
            look(folder, name)

    def test_a_file_in_the_way_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "coding").touch()
        with pytest.raises(UnfitPlaceError, match="in the way of a directory"):
            Folder(tmp_path, PARTS)
