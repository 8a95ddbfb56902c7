"""The lockfile on disk: whole at any time, and left alone when there is nothing new."""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.errors import InvalidLockfileError, ReconcilerError
from reconciler.core.model.lock import Lock, LockedRepo
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.lockfile import Store, parse, render

REPO = ResourceId(Kind.REPO, "r")


def lock(model: str) -> Lock:
    return Lock("local", repos={REPO: LockedRepo(model)})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reconciler.lock"


def only(path: Path) -> bool:
    """Return whether the directory holds nothing but the lockfile."""
    return list(path.parent.iterdir()) == [path]


def test_what_was_written_is_read(path: Path) -> None:
    assert Store(path).read() is None
    assert Store(path).write(lock("m"))
    assert Store(path).read() == lock("m")
    assert path.read_bytes() == render(lock("m")).encode()
    assert only(path)


def test_unchanged_content_is_not_written_again(path: Path) -> None:
    Store(path).write(lock("m"))
    before = path.stat()
    store = Store(path)
    assert store.read() == lock("m")
    assert not store.write(lock("m"))
    assert not store.write(replace(lock("m")))
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_store_that_wrote_knows_what_it_wrote(path: Path) -> None:
    store = Store(path)
    assert store.write(lock("m"))
    before = path.stat().st_mtime_ns
    assert not store.write(lock("m"))
    assert store.write(lock("n"))
    assert Store(path).read() == lock("n")
    assert path.stat().st_mtime_ns >= before


def test_an_edit_by_hand_is_written_over(path: Path) -> None:
    path.write_text(render(lock("m")) + "# a remark\n")
    store = Store(path)
    store.read()
    assert store.write(lock("m"))
    assert path.read_text() == render(lock("m"))


@pytest.mark.parametrize("step", ["replace", "fsync", "fchmod", "write"])
def test_a_crash_at_any_step_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    Store(path).write(lock("old"))

    class Crash(BaseException):
        pass

    def crash(*_: object, **__: object) -> None:
        raise Crash

    if step == "replace":
        monkeypatch.setattr(Path, "replace", crash)
        monkeypatch.setattr(os, "replace", crash)
        monkeypatch.setattr(os, "rename", crash)
    elif step == "write":
        monkeypatch.setattr(os, "fdopen", crash)
    else:
        monkeypatch.setattr(os, step, crash)
    with pytest.raises(Crash):
        Store(path).write(lock("new"))
    monkeypatch.undo()
    assert Store(path).read() == lock("old")
    assert only(path)


def test_a_full_disk_is_told_and_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store(path).write(lock("old"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReconcilerError, match="No space left") as caught:
        Store(path).write(lock("new"))
    assert str(path) in caught.value.message
    monkeypatch.undo()
    assert Store(path).read() == lock("old")
    assert only(path)


def _end(fd: object) -> None:
    del fd
    os._exit(0)


def left_by_a_killed_write(path: Path) -> Path:
    """Return a file such as a write leaves that was killed halfway."""
    pid = os.fork()
    if pid == 0:
        os.fsync = _end
        Store(path).write(lock("lost"))
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    (left,) = (each for each in path.parent.iterdir() if each != path)
    return left


def test_what_killed_writes_left_goes_with_the_next_one(path: Path) -> None:
    Store(path).write(lock("old"))
    left_by_a_killed_write(path).with_name(".reconciler.lock.abc_0123.tmp").write_text("another")
    assert len(list(path.parent.iterdir())) == 3
    assert Store(path).read() == lock("old")
    assert Store(path).write(lock("new"))
    assert only(path)


OTHERS = (
    ".reconciler.lock.original",
    ".reconciler.lock.swp",
    ".reconciler.lock.tmp",
    ".reconciler.lock.short.tmp",
    ".reconciler.lock.longer_01.tmp",
    ".reconciler.lock.UPPER000.tmp",
    ".reconciler_lock.abcd0123.tmp",
    ".other.lock.abcd0123.tmp",
    "reconciler.lock.abcd0123.tmp",
)


def test_nothing_else_is_taken_for_what_a_killed_write_left(path: Path) -> None:
    kept = [path.with_name(name) for name in OTHERS]
    for each in kept:
        each.write_text("precious")
    link, folder = (path.with_name(f".reconciler.lock.{n * 8}.tmp") for n in "ab")
    link.symlink_to(kept[0])
    folder.mkdir()
    Store(path).write(lock("new"))
    assert {*path.parent.iterdir()} == {path, link, folder, *kept}
    assert all(each.read_text() == "precious" for each in kept)


def test_what_cannot_be_removed_does_not_stop_a_write(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = left_by_a_killed_write(path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "unlink", refuse)
    assert Store(path).write(lock("new"))
    assert left.exists()


def test_a_write_that_failed_is_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(5, "I/O error")))
        with pytest.raises(ReconcilerError):
            store.write(lock("m"))
    assert store.write(lock("m"))
    assert Store(path).read() == lock("m")


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_the_mode_of_the_file_is_kept(path: Path, mode: int) -> None:
    Store(path).write(lock("m"))
    path.chmod(mode)
    Store(path).write(lock("n"))
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_mode_of_any_other(path: Path) -> None:
    other = path.with_name("other")
    other.touch()
    Store(path).write(lock("m"))
    assert path.stat().st_mode == other.stat().st_mode


def test_what_a_link_points_at_is_not_touched(path: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    path.symlink_to(outside)
    Store(path).write(lock("m"))
    assert outside.read_text() == "precious"
    assert parse(path.read_text(), "x") == lock("m")


@pytest.mark.parametrize("is_linked", [False, True])
def test_what_is_no_file_is_not_replaced_by_one(
    path: Path, tmp_path: Path, *, is_linked: bool
) -> None:
    """A root user may replace devices, which nobody means who writes to /dev/stdout."""
    pipe = tmp_path / "pipe" if is_linked else path
    os.mkfifo(pipe)
    if is_linked:
        path.symlink_to(pipe)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ReconcilerError, match=r"cannot write .*: not a regular file"):
        Store(path).write(lock("m"))
    assert pipe.is_fifo()
    assert sorted(tmp_path.iterdir()) == before
    assert path.is_symlink() is is_linked


def test_a_link_to_itself_is_an_error_for_people(path: Path) -> None:
    path.symlink_to(path)
    with pytest.raises(ReconcilerError, match=r"reconciler\.lock"):
        Store(path).read()
    with pytest.raises(ReconcilerError, match=r"reconciler\.lock"):
        Store(path).write(lock("m"))
    assert only(path)


def test_a_directory_in_its_place_is_an_error_for_people(path: Path) -> None:
    path.mkdir()
    with pytest.raises(ReconcilerError, match=r"reconciler\.lock"):
        Store(path).read()
    with pytest.raises(ReconcilerError, match=r"reconciler\.lock"):
        Store(path).write(lock("m"))
    assert only(path)


def test_a_missing_directory_is_an_error_for_people(tmp_path: Path) -> None:
    store = Store(tmp_path / "nowhere" / "reconciler.lock")
    assert store.read() is None
    with pytest.raises(ReconcilerError, match="nowhere"):
        store.write(lock("m"))


def test_what_makes_it_unwritable_is_known_before(path: Path) -> None:
    Store(path).require_writable()
    with pytest.raises(ReconcilerError, match=r"there is no directory .*nowhere") as caught:
        Store(path.parent / "nowhere" / path.name).require_writable()
    assert "--lockfile" in caught.value.hint
    path.touch()
    with pytest.raises(ReconcilerError, match="there is no directory"):
        Store(path / "reconciler.lock").require_writable()
    assert only(path)


def test_a_directory_without_permission_is_known_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the operating system says is replaced: it refuses nothing to a root user."""
    monkeypatch.setattr(os, "access", lambda directory, _: Path(directory) != path.parent)
    with pytest.raises(ReconcilerError, match="may not be written to") as caught:
        Store(path).require_writable()
    assert str(path) in caught.value.message


def test_a_directory_that_cannot_be_written_is_an_error_for_people(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(ReconcilerError, match="Permission denied"):
        Store(path).write(lock("m"))


def test_what_cannot_be_read_is_an_invalid_lockfile(path: Path) -> None:
    path.symlink_to(path.name)
    with pytest.raises(InvalidLockfileError, match="cannot be read: Too many levels"):
        Store(path).read()


def test_what_is_not_utf8_is_an_invalid_lockfile(path: Path) -> None:
    path.write_bytes(b"version: 1\n# caf\xe9\n")
    with pytest.raises(InvalidLockfileError, match="UTF-8") as caught:
        Store(path).read()
    assert "Delete the file" in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04\xff", b"caf\xe9\n", "version: 1\n".encode("utf-16"), b"x" * 21_000_000],
    ids=["binary", "latin-1", "utf-16", "huge"],
)
def test_nobody_is_told_to_delete_what_is_something_else(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InvalidLockfileError) as caught:
        Store(path).read()
    assert "Delete" not in caught.value.hint
    assert "--lockfile" in caught.value.hint


def test_a_lockfile_that_has_grown_too_large_may_be_deleted(path: Path) -> None:
    path.write_bytes(render(lock("m")).encode() + b"#" * 21_000_000)
    with pytest.raises(InvalidLockfileError, match="larger than 20 MB") as caught:
        Store(path).read()
    assert "Delete the file" in caught.value.hint


@pytest.mark.parametrize("what", ["directory", "pipe", "device"])
def test_nobody_is_told_to_delete_what_is_no_file(path: Path, what: str) -> None:
    if what == "directory":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
    with pytest.raises(InvalidLockfileError, match="is not a regular file") as caught:
        Store(path).read()
    assert "Delete" not in caught.value.hint
    assert "--lockfile" in caught.value.hint


def test_lines_that_end_as_on_windows_are_no_reason_to_write(path: Path) -> None:
    """Git makes them so in a checkout with core.autocrlf, where nothing asks for others."""
    there = render(lock("m")).replace("\n", "\r\n").encode()
    path.write_bytes(there)
    store = Store(path)
    assert store.read() == lock("m")
    assert not store.write(lock("m"))
    assert path.read_bytes() == there
    assert store.write(lock("n"))
    assert path.read_bytes() == render(lock("n")).encode()


def test_a_reader_never_sees_half_a_file(path: Path) -> None:
    store, seen, done = Store(path), list[str](), threading.Event()
    store.write(lock("m" * 4_000))

    def read() -> None:
        while not done.is_set():
            seen.append(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(20):
        store.write(lock(f"{n}" * 4_000))
    done.set()
    reader.join()
    assert all(parse(text, "x").repos for text in set(seen))
