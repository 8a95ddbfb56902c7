"""Conflict markers in a lockfile, and what ``refresh`` saves from between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from lockfile.locks import EXAMPLE_TEXT

from reconciler.core.errors import ExitCode

from .test_start_up import started

if TYPE_CHECKING:
    from pathlib import Path

    from .project import Project

DIGEST = "sha256:" + "ab" * 32


def with_output(text: str, name: str) -> str:
    """Return a lockfile that knows the digest of what was pulled of a target's rollout."""
    value: dict[str, Any] = yaml.safe_load(text)
    value["targets"][f"coding/{name}"]["rollout"]["output"] = DIGEST
    return yaml.safe_dump(value)


@pytest.fixture
def applied(project: Project) -> Project:
    assert project.run("apply").code == ExitCode.OK
    return project


def torn(ours: str, theirs: str) -> str:
    return f"<<<<<<< HEAD\n{ours}=======\n{theirs}>>>>>>> theirs\n"


def test_what_only_the_lockfile_knows_survives_from_both_sides(applied: Project) -> None:
    good = applied.lockfile.read_text()
    applied.lockfile.write_text(torn(with_output(good, "one"), with_output(good, "two")))
    assert applied.run("refresh").code == ExitCode.OK
    targets = applied.lock["targets"]
    assert [targets[f"coding/{name}"]["rollout"]["output"] for name in ("one", "two")] == [
        DIGEST
    ] * 2


def test_a_side_that_cannot_be_read_costs_the_other_nothing(applied: Project) -> None:
    good = applied.lockfile.read_text()
    applied.lockfile.write_text(torn(with_output(good, "one"), "version: 7\n"))
    assert applied.run("refresh").code == ExitCode.OK
    assert applied.lock["targets"]["coding/one"]["rollout"]["output"] == DIGEST


def test_of_two_configs_the_declared_one_keeps_what_is_known_of_it(applied: Project) -> None:
    before = with_output(applied.lockfile.read_text(), "one")
    other = before.replace(applied.lock["targets"]["coding/one"]["digest"], DIGEST)
    applied.lockfile.write_text(torn(other, before))
    assert applied.run("refresh").code == ExitCode.OK
    assert applied.lock == yaml.safe_load(before)


@pytest.mark.parametrize("sides", [("other", "other"), ("other", "broken"), ("broken", "other")])
def test_what_both_sides_know_of_another_api_is_not_written_over(
    applied: Project, sides: tuple[str, str]
) -> None:
    good = applied.lockfile.read_text()
    other = good.replace("api_url: http://", "api_url: https://elsewhere.")
    texts = {"other": other, "broken": "version: 7\n"}
    applied.lockfile.write_text(torn(*(texts[side] for side in sides)))
    before = applied.lockfile.read_bytes()
    done = applied.run("refresh")
    assert done.code == ExitCode.INVALID
    assert "records https://elsewhere." in done.err
    assert "--lockfile" in done.err
    assert applied.lockfile.read_bytes() == before


@pytest.mark.parametrize("content", ["Heading\n=======\n", "just words\n", "a: 1\n"])
def test_what_is_no_lockfile_is_not_written_over(applied: Project, content: str) -> None:
    precious = applied.root / "README.rst"
    precious.write_text(content)
    done = applied.run("refresh", "--lockfile", str(precious))
    assert done.code == ExitCode.INVALID
    assert "Delete" not in done.err
    assert precious.read_text() == content


def test_a_block_that_is_there_twice_is_mended(applied: Project) -> None:
    good = applied.lockfile.read_text()
    applied.lockfile.write_text(good + good[good.index("  coding/two:") :])
    done = applied.run("apply")
    assert done.code == ExitCode.INVALID
    assert "coding/two stands in the lockfile twice" in done.err
    assert "reconciler refresh" in done.err
    assert applied.run("refresh").code == ExitCode.OK
    assert applied.lockfile.read_text() == good


def test_what_is_out_of_scope_is_kept_when_a_part_is_mended(applied: Project) -> None:
    good = applied.lockfile.read_text()
    applied.lockfile.write_text(torn(with_output(good, "one"), with_output(good, "two")))
    assert applied.run("refresh", "--target", "coding/one").code == ExitCode.OK
    targets = applied.lock["targets"]
    assert [targets[f"coding/{name}"]["rollout"]["output"] for name in ("one", "two")] == [
        DIGEST
    ] * 2


def test_attempts_survive(slow_project: Project) -> None:
    assert slow_project.run("apply", "--timeout", "1s").code == ExitCode.PENDING
    once = slow_project.lockfile.read_text()
    value = slow_project.lock
    value["targets"]["coding/slow"]["rollout"]["attempts"] = 2
    slow_project.lockfile.write_text(torn(once, yaml.safe_dump(value)))
    assert slow_project.run("refresh").code == ExitCode.OK
    assert slow_project.lock["targets"]["coding/slow"]["rollout"]["attempts"] == 2


def test_attempts_survive_however_the_address_is_written(slow_project: Project) -> None:
    assert slow_project.run("apply", "--timeout", "1s").code == ExitCode.PENDING
    value = slow_project.lock
    value["targets"]["coding/slow"]["rollout"]["attempts"] = 2
    value["api_url"] = value["api_url"].upper() + "/"
    once = slow_project.lockfile.read_text().replace("http:", "HTTP:")
    slow_project.lockfile.write_text(torn(once, yaml.safe_dump(value)))
    assert slow_project.run("refresh").code == ExitCode.OK
    assert slow_project.lock["targets"]["coding/slow"]["rollout"]["attempts"] == 2


def test_what_is_complete_has_no_attempts_whatever_one_side_saw(applied: Project) -> None:
    text, value = applied.lockfile.read_text(), applied.lock
    value["targets"]["coding/one"]["stim"] |= {"attempts": 3, "status": "failed"}
    applied.lockfile.write_text(torn(text, yaml.safe_dump(value)))
    assert applied.run("refresh").code == ExitCode.OK
    assert applied.lockfile.read_text() == text


def test_git_waits_for_nothing_that_merging_does_not_need(tmp_path: Path) -> None:
    sides = [tmp_path / name for name in ("base", "ours", "theirs")]
    for side in sides:
        side.write_text(EXAMPLE_TEXT)
    done = started("merge-driver", *map(str, sides))
    assert done.code == 0
    assert {"asyncio", "ssl", "httptools", "reconciler.client", "rich"} & (done.imported) == set()
    assert sides[1].read_text() == EXAMPLE_TEXT
