"""Odd things in the tree: links, pipes, big files, odd names. Nothing may hang or leak."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.core import names
from reconciler.core.errors import InvalidManifestsError
from reconciler.manifests import load, reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from manifests.conftest import WriteFiles

REPO = "apiVersion: reconciler/v1\nkind: Repo\nmetadata: {name: coding}\n"
PROMPT = """\
apiVersion: reconciler/v1
kind: Prompt
metadata: {repo: coding, name: p}
spec:
  messages:
    - role: user
      content_file: FILE
"""
TARGET = """\
apiVersion: reconciler/v1
kind: Target
metadata: {repo: coding, name: NAME}
spec: {model_name: m}
"""
OUTSIDE = "leads out of the directory that holds the manifests"


def complaints(path: Path) -> list[str]:
    with pytest.raises(InvalidManifestsError) as caught:
        load(path)
    return [str(diagnostic) for diagnostic in caught.value.diagnostics]


def make_sparse(path: Path, size: int) -> None:
    with path.open("wb") as stream:
        stream.truncate(size)


def test_a_path_that_is_not_there(project: WriteFiles) -> None:
    root = project({"coding.yaml": REPO})
    assert complaints(root / "codign.yaml") == [
        'project/codign.yaml:1:1: there is no such file or directory (did you mean "coding.yaml"?)'
    ]
    assert complaints(root / "x/y/z") == ["project/x/y/z:1:1: there is no such file or directory"]
    assert complaints(Path("a\0b"))[0].endswith("this has a name that no file can have")


def test_links_to_directories_lead_nowhere(project: WriteFiles) -> None:
    root = project({"a/coding.yaml": REPO})
    (root / "a/loop").symlink_to("..")
    (root / "twice").symlink_to("a")
    (root / "self").symlink_to("self")
    (root.parent / "outside").mkdir()
    (root.parent / "outside/x.yaml").write_text("no manifest")
    (root / "out").symlink_to("../outside")
    found = load(root)
    assert len(found.desired.repos) == 1
    assert [warning.file for warning in found.warnings] == [
        "project/a/loop",
        "project/out",
        "project/twice",
    ]


def test_a_manifest_may_be_a_link_inside_the_tree_only(project: WriteFiles) -> None:
    root = project({".versions/3/coding.yaml": REPO})
    (root / ".current").symlink_to(".versions/3")
    (root / "coding.yaml").symlink_to(".current/coding.yaml")
    assert len(load(root).desired.repos) == 1
    (root.parent / "secret.yaml").write_text("password: x")
    (root / "leak.yaml").symlink_to("../secret.yaml")
    (root / "quux.yml").symlink_to("nowhere.yml")
    (root / "round.yaml").symlink_to("round.yaml")
    assert complaints(root) == [
        f"project/leak.yaml:1:1: this link {OUTSIDE}",
        "project/quux.yml:1:1: there is no such file or directory",
        "project/round.yaml:1:1: this cannot be read: Too many levels of symbolic links",
    ]


def test_the_path_itself_may_be_a_link(project: WriteFiles) -> None:
    root = project({"coding.yaml": REPO, "p.yaml": PROMPT.replace("FILE", "x.md"), "x.md": "x"})
    Path("link").symlink_to(root)
    assert [repo.source.file for repo in load(Path("link")).desired.repos.values() if repo.source]


def test_links_to_files_are_resolved_before_they_are_judged(project: WriteFiles) -> None:
    root = project({"p.yaml": PROMPT.replace("FILE", "link.md"), "inside.md": "inside"})
    (root / "link.md").symlink_to("inside.md")
    assert len(load(root).desired.prompts) == 1
    (root.parent / "secret.md").write_text("secret")
    (root / "link.md").unlink()
    (root / "link.md").symlink_to("../secret.md")
    assert complaints(root) == [f'project/p.yaml:7:21: "link.md" {OUTSIDE}']


def test_a_directory_whose_name_begins_like_the_root_is_outside(project: WriteFiles) -> None:
    root = project({"p.yaml": PROMPT.replace("FILE", "../project-secrets/x.md")})
    (root.parent / "project-secrets").mkdir()
    (root.parent / "project-secrets/x.md").write_text("secret")
    assert complaints(root) == [f'project/p.yaml:7:21: "../project-secrets/x.md" {OUTSIDE}']


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "dev"])
def test_nothing_blocks_and_no_device_is_read(name: str, project: WriteFiles) -> None:
    root = project({"p.yaml": PROMPT.replace("FILE", name)})
    os.mkfifo(root / "pipe")
    (root / "dev").symlink_to("/dev/zero")
    reason = {
        "pipe": "is not a regular file",
        "/dev/zero": "must be relative to this manifest",
        "dev": OUTSIDE,
    }[name]
    assert complaints(root) == [f'project/p.yaml:7:21: "{name}" {reason}']


def test_a_pipe_is_no_manifest(project: WriteFiles) -> None:
    root = project({"coding.yaml": REPO})
    os.mkfifo(root / "pipe.yaml")
    expected = ["project/pipe.yaml:1:1: this is not a regular file"]
    assert complaints(root) == expected
    assert complaints(root / "pipe.yaml") == expected


def test_a_directory_may_be_called_like_a_manifest(project: WriteFiles) -> None:
    assert len(load(project({"a.yaml/b.yaml": REPO})).desired.repos) == 1


def test_big_files_are_refused_before_they_are_read(project: WriteFiles) -> None:
    root = project({"p.yaml": PROMPT.replace("FILE", "big.md")})
    make_sparse(root / "big.md", 10_000_001)
    make_sparse(root / "big.yaml", 1 << 40)
    assert complaints(root) == [
        "project/big.yaml:1:1: this is larger than 10 MB",
        'project/p.yaml:7:21: "big.md" is larger than 10 MB',
    ]


def test_file_names_need_not_be_text(project: WriteFiles) -> None:
    root = project({})
    Path("project").mkdir()
    (root / os.fsdecode(b"caf\xe9.yaml")).write_text("hello")
    assert complaints(root)[0].startswith("project/caf\\udce9.yaml:1:1: a manifest must be")


def test_loading_changes_nothing(project: WriteFiles) -> None:
    root = project({"a.yaml": REPO, "p.yaml": PROMPT.replace("FILE", "x.md"), "x.md": "x\n"})

    def state() -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in [root, *root.rglob("*")]
        }

    before = state()
    load(root)
    assert state() == before


def test_however_many_files_share_a_mistake_each_is_read_for_its_places_once(
    project: WriteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [f"{number:02}.yaml" for number in range(40)]
    targets = [f"t{number}" for number in range(5)]
    project_files: dict[str, str | bytes] = {
        file: "---\n".join(TARGET.replace("NAME", f"{name}-{file}") for name in targets)
        for file in files
    }
    read: list[str] = []
    monkeypatch.setattr(reader, "read", _counting(reader.read, read))
    found = complaints(project(project_files))
    assert len(found) == len(files) * len(targets) * 2
    assert len(read) == len(files)
    assert found[0].startswith("project/00.yaml:4:7: missing key")
    assert found[-1].startswith("project/39.yaml:24:7: missing key")


def _counting(
    original: Callable[[str], reader.YamlText], read: list[str]
) -> Callable[[str], reader.YamlText]:
    def counted(text: str) -> reader.YamlText:
        read.append(text)
        return original(text)

    return counted


def test_very_many_missing_files_are_not_all_held_against_those_that_are_there(
    project: WriteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "MOST_COMPARED", 10)
    pieces = [PROMPT.replace("name: p", f"name: p{n}").replace("FILE", f"{n}.md") for n in range(5)]
    root = project({"all.yaml": "---\n".join(pieces), "x.md": "", "y": "", "z": "", "zz": ""})
    found = [text.partition("does not exist")[2] for text in complaints(root)]
    assert found == [' (did you mean "x.md"?)', ' (did you mean "x.md"?)', "", "", ""]
