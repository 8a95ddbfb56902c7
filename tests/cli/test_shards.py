"""Shards through the command line: parts of a project, with one lockfile or with many."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from reconciler.core.errors import ExitCode
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.selection.shard import Shard

from .project import Project, ended, outcome, target

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NAMES = [f"t{n}" for n in range(6)]
LOOSE: dict[str, Any] = {"policy": {"prevent_destroy": False}}


def manifests(names: Iterable[str] = NAMES) -> list[str]:
    return [target(name, questions=1, trajectories=1, **LOOSE) for name in names]


def of(number: int, count: int, names: Iterable[str] = NAMES) -> set[str]:
    """Return which targets a shard holds."""
    ids = (ResourceId(Kind.TARGET, "coding", name) for name in names)
    return {str(id_) for id_ in ids if id_ in Shard(number, count)}


def run_by(plan: Any) -> set[str]:
    return {action["resource"] for action in plan["actions"] if action["action"] == "run"}


@pytest.fixture
def many(project: Project) -> Project:
    project.targets(*manifests())
    return project


def test_the_tests_have_something_to_tell_apart() -> None:
    assert all(of(n, 2) for n in (1, 2))
    assert not of(1, 1000)


@pytest.mark.parametrize("offline", [[], ["--offline"]])
def test_shards_plan_all_targets_between_them_and_none_twice(
    many: Project, offline: list[str]
) -> None:
    options = ["--format", "json", *offline, "--shard"]
    parts = [run_by(many.run("plan", *options, f"{n}/2").json) for n in (1, 2)]
    assert parts == [of(1, 2), of(2, 2)]


def test_one_after_the_other_with_one_lockfile_is_as_all_at_once(many: Project) -> None:
    assert many.run("apply", "--shard", "1/2").code == ExitCode.OK
    assert set(many.lock["targets"]) == of(1, 2)
    first = dict(many.lock["targets"])
    assert many.run("apply", "--shard", "2/2").code == ExitCode.OK
    assert {name: many.lock["targets"][name] for name in first} == first
    before = many.lockfile.read_bytes()
    assert many.run("apply").code == ExitCode.OK
    assert many.lockfile.read_bytes() == before


def test_status_and_refresh_are_about_the_shard(many: Project) -> None:
    many.run("apply")
    before = many.lockfile.read_bytes()
    rows = many.run("status", "--format", "json", "--shard", "2/2").json["targets"]
    assert {row["resource"] for row in rows} == of(2, 2)
    assert many.run("refresh", "--shard", "2/2").code == ExitCode.OK
    assert many.lockfile.read_bytes() == before


def elsewhere(project: Project, where: Path) -> Project:
    """Return another checkout of a project."""
    shutil.copytree(project.root, where, ignore=shutil.ignore_patterns(".reconciler"))
    return replace(project, root=where)


def test_at_once_in_checkouts_of_their_own_their_lockfiles_merge(
    many: Project, tmp_path: Path
) -> None:
    assert many.run("refresh").code == ExitCode.OK
    base = many.lockfile.read_bytes()
    checkouts = [elsewhere(many, tmp_path / f"shard-{n}") for n in (1, 2)]
    running = [
        checkout.start("apply", "--shard", f"{n}/2") for n, checkout in enumerate(checkouts, 1)
    ]
    assert [outcome(process).code for process in running] == [ExitCode.OK] * 2
    files = [tmp_path / "base", *(checkout.lockfile for checkout in checkouts)]
    files[0].write_bytes(base)
    names = [str(files[0]), str(files[1]), str(files[2])]
    assert ended(many.capture, "merge-driver", *names).code == ExitCode.OK
    many.lockfile.write_bytes(files[1].read_bytes())
    merged = many.lockfile.read_bytes()
    assert set(many.lock["targets"]) == {f"coding/{name}" for name in NAMES}
    assert many.run("apply").code == ExitCode.OK
    assert many.lockfile.read_bytes() == merged


def test_with_a_lockfile_each_nothing_is_an_orphan(many: Project, tmp_path: Path) -> None:
    for n in (1, 2):
        options = ("--shard", f"{n}/2", "--lockfile", str(tmp_path / f"{n}.lock"))
        assert many.run("apply", *options).code == ExitCode.OK
        found = many.run("plan", "--prune", "--format", "json", *options).json
        assert found["converged"]
        assert "orphans" not in found
        assert set(yaml.safe_load((tmp_path / f"{n}.lock").read_text())["targets"]) == of(n, 2)


def test_a_shard_prunes_its_own_orphans_alone(many: Project) -> None:
    many.run("apply")
    many.targets(*manifests(NAMES[:1]))
    gone = {f"coding/{name}" for name in NAMES[1:]}
    options = ("--prune", "--allow-destroy", "--shard", "1/2")
    planned = many.run("plan", "--prune", "--shard", "1/2", "--format", "json").json
    assert {item["resource"] for item in planned["orphans"]} == gone & of(1, 2)
    assert many.run("apply", *options).code == ExitCode.OK
    assert set(many.lock["targets"]) == of(2, 2) | {"coding/t0"}


def test_an_empty_shard_converges_at_once_and_still_prunes(many: Project) -> None:
    many.run("apply")
    many.targets(*manifests(["t0"]))
    count = 2
    empty = next(n for n in (1, 2) if not of(n, count, ["t0"]))
    part = f"{empty}/{count}"
    assert many.run("apply", "--shard", part).code == ExitCode.OK
    ended_ = many.run("apply", "--prune", "--allow-destroy", "--shard", part)
    assert ended_.code == ExitCode.OK
    assert not of(empty, count) & set(many.lock["targets"])


def test_a_shard_narrows_what_else_is_selected(many: Project) -> None:
    some = ("--target", "coding/t0", "--target", "coding/t1", "--format", "json")
    parts = [run_by(many.run("plan", *some, "--shard", f"{n}/2").json) for n in (1, 2)]
    assert parts[0] | parts[1] == {"coding/t0", "coding/t1"}
    assert not parts[0] & parts[1]


def test_a_saved_plan_remembers_its_shard(many: Project, tmp_path: Path) -> None:
    file = str(tmp_path / "plan.json")
    assert many.run("plan", "--shard", "2/2", "--out", file).code == ExitCode.OK
    assert many.run("apply", "--plan", file, "--shard", "2/2").code == ExitCode.USAGE
    assert many.run("apply", "--plan", file).code == ExitCode.OK
    assert set(many.lock["targets"]) == of(2, 2)


@pytest.mark.parametrize("shard", ["4/3", "99999/99999"])
def test_a_saved_plan_of_no_shard_is_none(many: Project, tmp_path: Path, shard: str) -> None:
    file = tmp_path / "plan.json"
    many.run("plan", "--shard", "2/2", "--out", str(file))
    file.write_text(file.read_text().replace('"2/2"', f'"{shard}"'))
    assert many.run("apply", "--plan", str(file)).code == ExitCode.INVALID


@pytest.mark.parametrize("shard", ["3/2", "0/2", "x", ""])
def test_what_is_no_shard_is_wrong_usage(many: Project, shard: str) -> None:
    ended_ = many.run("plan", "--shard", shard)
    assert ended_.code == ExitCode.USAGE
    assert "write it like 2/5" in ended_.err
