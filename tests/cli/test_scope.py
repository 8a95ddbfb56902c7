"""Narrowing a command to some targets: what it touches, shows, and leaves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from reconciler.core.errors import ExitCode

from .project import Project, target

if TYPE_CHECKING:
    from .project import Json

DELETABLE: dict[str, Any] = {"policy": {"prevent_destroy": False}}


def labelled(name: str, labels: dict[str, str], **parts: Any) -> str:
    document = yaml.safe_load(target(name, **parts))
    document["metadata"]["labels"] = labels
    return yaml.safe_dump(document)


def using(template: str, name: str, labels: dict[str, str]) -> str:
    """Return a target that says nothing of its own."""
    document = {
        "apiVersion": "reconciler/v1",
        "kind": "Target",
        "metadata": {"repo": "coding", "name": name, "labels": labels},
        "spec": {"template": template},
    }
    return yaml.safe_dump(document)


@pytest.fixture
def family(project: Project) -> Project:
    """Give a template, a target made of it, one made of that, and one on its own."""
    project.targets(
        labelled("base", {"team": "core"}, questions=1, trajectories=1, **DELETABLE),
        using("base", "leaf", {"team": "docs", "tier": "1"}),
        using("leaf", "twig", {"team": "docs"}),
        labelled("alone", {"team": "docs", "tier": "2"}, questions=1, trajectories=1, **DELETABLE),
    )
    return project


def told(project: Project, *options: str) -> list[Json]:
    ended = project.run("plan", "--format", "json", *options)
    assert ended.code == ExitCode.OK
    actions: list[Json] = ended.json["actions"]
    return actions


def run_by(project: Project, *options: str) -> set[str]:
    """Return the targets of which a stage would be run."""
    found = {a["resource"] for a in told(project, *options) if a["action"] == "run"}
    return {name.removeprefix("coding/") for name in found}


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (["-l", "team=docs"], {"leaf", "twig", "alone"}),
        (["--selector", "team=docs", "-l", "tier=1"], {"leaf"}),
        (["-l", "team=docs,tier=2"], {"alone"}),
        (["-l", " team = docs ", "-l", "tier=2"], {"alone"}),
        (["--target", "coding/leaf", "--target", "coding/alone"], {"leaf", "alone"}),
        (["--target", "coding/?[ew]*"], {"leaf", "twig"}),
        (["--target", "*"], {"base", "leaf", "twig", "alone"}),
        (["--target", "coding/*", "-l", "team=docs", "--exclude", "*/twig"], {"leaf", "alone"}),
        (["--exclude", "coding/alone", "--exclude", "coding/twig"], {"base", "leaf"}),
    ],
)
def test_targets_are_chosen_by_label_and_name(
    family: Project, options: list[str], chosen: set[str]
) -> None:
    assert run_by(family, *options) == chosen


def test_what_is_needed_is_marked_in_json_and_text(family: Project) -> None:
    actions = told(family, "--target", "coding/twig")
    marked = {action["resource"] for action in actions if action.get("dependency")}
    assert marked == {"coding", "coding/expert", "coding/plain", "coding/base", "coding/leaf"}
    assert {a["resource"] for a in actions} - marked == {"coding/twig"}
    text = family.run("plan", "--target", "coding/twig").out
    assert text.count("needed by what was selected") == len(marked)
    assert "needed by" not in family.run("plan").out
    assert not [action for action in told(family) if "dependency" in action]


def test_of_a_template_that_is_drawn_in_only_its_existence_matters(family: Project) -> None:
    assert family.run("apply", "--target", "coding/leaf").code == ExitCode.OK
    assert set(family.lock["targets"]) == {"coding/base", "coding/leaf"}
    assert "stim" not in family.lock["targets"]["coding/base"]
    status = family.run("status", "--format", "json").json["targets"]
    found = {row["resource"]: row["rollout"]["status"] for row in status}
    assert found["coding/base"] == "not_started"
    assert found["coding/leaf"] == "complete"
    again = family.run("plan", "--detailed-exitcode", "--target", "coding/leaf")
    assert again.code == ExitCode.OK


def blocks(project: Project, *names: str) -> str:
    """Return the text of targets' entries in the lockfile."""
    lines = project.lockfile.read_text().splitlines(keepends=True)
    kept, inside = [], False
    for line in lines:
        if line.startswith("  ") and not line.startswith("   "):
            inside = line.strip() in {f"coding/{name}:" for name in names}
        kept += [line] if inside else []
    return "".join(kept)


@pytest.mark.parametrize("command", ["apply", "refresh"])
def test_on_record_what_is_left_out_stays_as_it_was(family: Project, command: str) -> None:
    family.run("apply")
    before = family.lockfile.read_bytes()
    options = ("--target", "coding/twig")
    assert family.run(command, *options).code == ExitCode.OK
    assert family.lockfile.read_bytes() == before
    assert family.run(command, "-l", "team=docs", "--exclude", "*/twig").code == ExitCode.OK
    assert family.lockfile.read_bytes() == before


def test_changes_to_what_is_left_out_are_left_alone(family: Project) -> None:
    family.run("apply")
    before = blocks(family, "alone", "base", "leaf")
    assert before.count("rollout:") == 3
    revise = {"on_change": "revise"}
    family.targets(
        labelled("base", {}, questions=1, trajectories=1, **DELETABLE),
        using("base", "leaf", {}),
        target("twig", spec={"template": "leaf", "max_tokens": 7}, policy=revise),
        labelled("alone", {}, questions=1, trajectories=1, spec={"max_tokens": 9}),
    )
    assert family.run("apply", "--target", "coding/twig").code == ExitCode.OK
    assert blocks(family, "alone", "base", "leaf") == before
    assert family.lock["targets"]["coding/twig"]["live_name"].startswith("twig-")
    assert family.run("plan", "--detailed-exitcode").code == ExitCode.BLOCKED


def test_what_is_left_out_is_no_orphan_not_even_to_prune(family: Project) -> None:
    family.run("apply")
    before = family.lockfile.read_bytes()
    narrow = ("--target", "coding/leaf", "--prune")
    found = family.run("plan", "--format", "json", "--detailed-exitcode", *narrow)
    assert found.code == ExitCode.OK
    assert found.json["actions"] == []
    assert "orphans" not in found.json
    assert family.run("apply", "--allow-destroy", *narrow).code == ExitCode.OK
    assert family.lockfile.read_bytes() == before
    assert family.run("plan", "--detailed-exitcode").code == ExitCode.OK


@pytest.mark.parametrize(
    ("options", "deleted"),
    [
        ([], {"alone", "other"}),
        (["--target", "coding/*"], {"alone", "other"}),
        (["--target", "coding/kept"], set()),
        (["--target", "coding/kept", "--target", "coding/[ok]*"], {"other"}),
        (["-l", "team=docs"], set()),
        (["--exclude", "coding/s*"], {"alone", "other"}),
        (["--exclude", "coding/[as]*"], {"other"}),
    ],
)
def test_only_orphans_within_the_selection_are_pruned(
    project: Project, options: list[str], deleted: set[str]
) -> None:
    kept = [labelled(name, {"team": "docs"}, questions=1) for name in ("kept", "spare")]
    project.targets(*kept, *(target(name, questions=1, **DELETABLE) for name in ("alone", "other")))
    project.run("apply")
    project.targets(*kept)
    pruned = project.run("apply", "--prune", "--allow-destroy", *options)
    assert pruned.code == ExitCode.OK
    left = project.run("plan", "--format", "json").json.get("orphans", [])
    names = {item["resource"].removeprefix("coding/") for item in left}
    assert names == {"alone", "other"} - deleted


def test_what_is_not_selected_is_not_replaced(family: Project) -> None:
    """A template is needed by what was selected, which is no leave to delete its data."""
    replaced = {"policy": {"prevent_destroy": False, "on_change": "replace"}}
    base = labelled("base", {"team": "core"}, questions=1, trajectories=1, **replaced)
    leaf = using("base", "leaf", {"team": "docs"})
    family.targets(base, leaf)
    family.run("apply")
    base = labelled("base", {"team": "core"}, questions=2, trajectories=1, **replaced)
    family.targets(base, leaf)
    applied = family.run("apply", "--allow-destroy", "--exclude", "coding/base")
    assert applied.code == ExitCode.BLOCKED
    said = " ".join(applied.err.split())
    assert "it would have to be replaced, but was not selected" in said
    assert "deleted" not in said


def test_a_real_orphan_is_still_one(family: Project) -> None:
    family.run("apply")
    family.targets(target("base", questions=1, trajectories=1), using("base", "leaf", {}))
    found = family.run("plan", "--format", "json", "--target", "coding/leaf").json
    assert {item["resource"] for item in found["orphans"]} == {"coding/alone", "coding/twig"}


def test_offline_a_scope_means_the_same(family: Project) -> None:
    options = ("--target", "coding/twig", "--format", "json")
    offline = family.run("plan", "--offline", *options).json
    live = family.run("plan", *options).json
    assert offline["actions"] == live["actions"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target", "coding/laef"], ['"coding/laef"', 'did you mean "coding/leaf"?']),
        (["--target", "coding/leaf", "--target", "other/*"], ['"other/*"']),
        (["--target", "CODING/LEAF"], ['did you mean "coding/leaf"?']),
        (["--target", ""], ["--target"]),
        (["--exclude", "coding/alnoe"], ["--exclude", 'did you mean "coding/alone"?']),
        (["--exclude", "*"], ["excluded"]),
        (["-l", "team=dosc"], ["team=dosc"]),
        (["-l", "team=docs", "-l", "team=core"], ["team=docs, team=core"]),
        (["-l", "team=core", "--target", "coding/leaf"], ["team=core"]),
    ],
)
def test_what_matches_nothing_is_wrong_usage(
    family: Project, options: list[str], words: list[str]
) -> None:
    ended = family.run("plan", *options)
    assert ended.code == ExitCode.USAGE
    assert ended.out == ""
    assert not [word for word in words if word not in ended.err]


@pytest.mark.parametrize("command", ["apply", "status", "refresh"])
def test_every_command_refuses_what_matches_nothing(family: Project, command: str) -> None:
    ended = family.run(command, "--target", "coding/laef")
    assert ended.code == ExitCode.USAGE
    assert "coding/leaf" in ended.err
    assert not family.lockfile.exists()


def test_a_name_without_its_repo_is_answered_with_the_whole_address(family: Project) -> None:
    ended = family.run("plan", "--target", "leaf")
    assert ended.code == ExitCode.USAGE
    assert 'did you mean "coding/leaf"?' in ended.err


@pytest.mark.parametrize("label", ["team", "=docs", "", "team=docs,", ",", "team:docs"])
def test_a_malformed_label_is_wrong_usage(family: Project, label: str) -> None:
    ended = family.run("plan", "-l", label)
    assert ended.code == ExitCode.USAGE
    assert "key=value" in ended.err


def test_a_label_may_be_empty_or_hold_an_equals_sign(project: Project) -> None:
    project.targets(labelled("one", {"a": "b=c"}), labelled("two", {"a": ""}))
    assert run_by(project, "-l", "a=b=c") == {"one"}
    assert run_by(project, "-l", "a=") == {"two"}
