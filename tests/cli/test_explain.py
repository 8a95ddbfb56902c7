"""``explain`` says what a field means, and needs no project for it."""

from __future__ import annotations

import click
import pytest

from reconciler.cli.commands.explain import command
from reconciler.core.errors import ExitCode

from .project import ended
from .test_start_up import _NEVER, _OFFLINE, _PARSING, started


def test_without_a_field_the_kinds_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    found = ended(capsys, "explain")
    assert (found.code, found.err) == (ExitCode.OK, "")
    lines = found.out.splitlines()
    assert lines[0] == "KINDS:"
    assert lines[1] == "  Project    Settings of the whole project. Optional, at most one."
    listed = ended(capsys, "explain", "--format", "json").json["kinds"]
    assert [kind["path"] for kind in listed] == [
        "Project",
        "Repo",
        "Prompt",
        "Target",
        "TargetSet",
    ]


def test_a_field_is_told_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    text = ended(capsys, "explain", "target.spec.generators").out
    assert "TYPE:       list of mappings or null\n" in text
    assert "  type (required)           string   How the questions come about" in text
    value = ended(capsys, "explain", "target.spec.temperature", "--format", "json").json
    assert (value["path"], value["default"]) == ("Target.spec.temperature", 1.0)
    assert value["bounds"] == ["at least 0", "at most 2"]
    value = ended(capsys, "explain", "prompt.spec", "--format", "json").json
    assert "exactly one of messages, messages_file" in value["field_rules"]
    assert value["fields"][0]["rules"] == ["exactly one of messages, messages_file"]


def test_the_whole_tree_is_told_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    text = ended(capsys, "explain", "--recursive", "target").out
    assert "\n      numq  integer\n" in text
    value = ended(capsys, "explain", "--recursive", "target", "--format", "json").json
    spec = next(field for field in value["fields"] if field["path"] == "Target.spec")
    assert "Target.spec.temperature" in [field["path"] for field in spec["fields"]]


def test_text_is_wrapped_to_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    for path in ("", "targetset.matrix", "target.spec"):
        lines = ended(capsys, "explain", *([path] if path else [])).out.splitlines()
        told = [line for line in lines if not line.startswith("reconciler explain")]
        assert 40 < max(map(len, told)) <= 50


def test_an_unknown_field_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    found = ended(capsys, "explain", "target.spec.generatos")
    assert (found.code, found.out) == (ExitCode.USAGE, "")
    assert 'Target.spec has no field "generatos" (did you mean "generators"?)' in found.err
    assert ended(capsys, "explain", "--recursive").code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("written", "offered"),
    [
        ("", ["project", "repo", "prompt", "target", "targetset"]),
        ("targ", ["target", "targetset"]),
        ("target.spec.te", ["target.spec.template", "target.spec.teacher_prompt"]),
        ("Repo.", ["apiVersion", "kind", "metadata", "spec"]),
        ("target.metadata.labels.", []),
        ("nothing.spec", []),
    ],
)
def test_a_shell_is_offered_kinds_and_fields(written: str, offered: list[str]) -> None:
    argument = command.params[0]
    context = click.Context(command, info_name="explain")
    found = [item.value for item in argument.shell_complete(context, written)]
    if written == "Repo.":
        offered = [f"Repo.{name}" for name in offered]
    assert found[: len(offered)] == offered
    assert bool(found) is bool(offered)


def test_it_needs_no_parser_and_no_network() -> None:
    done = started("explain", "target.spec")
    assert done.code == 0
    assert (_NEVER | _OFFLINE | _PARSING) & done.imported == set()
