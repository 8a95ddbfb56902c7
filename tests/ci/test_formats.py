"""``validate`` for machines: workflow commands and SARIF, whatever the manifests hold."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.root import run
from reconciler.core.errors import ExitCode
from reconciler.core.model.manifest import Diagnostic, Severity
from reconciler.render import github, sarif
from reconciler.render.style import safe

from .forge import PROJECT, target

if TYPE_CHECKING:
    from pathlib import Path

_COMMAND = re.compile(r"::(error|warning) ([^\n]*?)::([^\n]*)")

texts = st.text(st.characters(exclude_categories=["Cs"]))
problems = st.builds(
    Diagnostic,
    file=texts.filter(lambda name: bool(safe(name)) and not name.startswith("/")),
    line=st.integers(1, 10**6),
    column=st.integers(1, 10**6),
    message=texts,
    severity=st.sampled_from(Severity),
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "project.yaml").write_text(PROJECT)
    (tmp_path / "targets" / "one.yaml").write_text(target("one"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(["validate", *arguments])
    out, err = capsys.readouterr()
    return int(code), out, err


def understood(line: str) -> tuple[str, dict[str, str], str]:
    """Read a command as GitHub's runner does."""
    match = _COMMAND.fullmatch(line)
    assert match, line
    command, properties, message = match.groups()
    pairs = (pair.split("=", 1) for pair in properties.split(","))
    read = {key: _unescaped(value) for key, value in pairs}
    return command, read, message.replace("%25", "%")


def _unescaped(value: str) -> str:
    for escaped, char in (("%2C", ","), ("%3A", ":"), ("%25", "%")):
        value = value.replace(escaped, char)
    return value


def results(log: dict[str, Any]) -> list[tuple[str, str, int, int, str]]:
    found = []
    for result in log["runs"][0]["results"]:
        (location,) = result["locations"]
        place = location["physicalLocation"]
        region = place["region"]
        uri = place["artifactLocation"]["uri"]
        text = result["message"]["text"]
        found.append((result["level"], uri, region["startLine"], region["startColumn"], text))
    return found


@given(st.lists(problems, max_size=4))
def test_a_problem_is_one_command_whatever_it_quotes(found: list[Diagnostic]) -> None:
    lines = github.commands(found).split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(found)
    for line, one in zip(lines, found, strict=True):
        command, properties, message = understood(line)
        assert command == one.severity
        assert properties == {
            "file": safe(one.file),
            "line": str(one.line),
            "col": str(one.column),
            "title": "reconciler",
        }
        assert message == safe(f"{one.file}:{one.line}:{one.column}: {one.message}")


@given(st.lists(problems, max_size=4))
def test_a_problem_is_one_result_with_a_uri_that_leads_back(found: list[Diagnostic]) -> None:
    log = json.loads(json.dumps(sarif.log(found, version="1.2.3")))
    assert log["version"] == "2.1.0"
    rules = {rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in log["runs"][0]["results"]} <= rules
    for (level, uri, line, column, text), one in zip(results(log), found, strict=True):
        assert re.fullmatch(r"(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})+", uri)
        assert unquote(uri) == one.file
        assert (level, line, column, text) == (
            one.severity,
            one.line,
            one.column,
            safe(one.message),
        )


@given(st.lists(problems, max_size=6), st.integers(1, 50))
def test_fingerprints_tell_problems_apart_and_stay_when_lines_move(
    found: list[Diagnostic], moved: int
) -> None:
    def fingerprints(by: int) -> list[str]:
        shifted = [
            Diagnostic(one.file, one.line + by, one.column, one.message, one.severity)
            for one in found
        ]
        run = sarif.log(shifted, version="1.2.3")["runs"][0]
        return [one["partialFingerprints"]["primaryLocationLineHash"] for one in run["results"]]

    first = fingerprints(0)
    assert len(set(first)) == len(found)
    assert fingerprints(moved) == first


@pytest.mark.parametrize("path", ["targets", "./targets", "{root}/targets", "other/../targets"])
def test_files_are_named_as_seen_from_the_checkout(
    checkout: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    (checkout / "other").mkdir()
    (checkout / "targets" / "one.yaml").write_text(target("one", tokens=0))
    given_path = path.format(root=checkout)
    code, out, err = written(capsys, given_path, "--format", "github")
    assert (code, err) == (ExitCode.INVALID, "")
    command, properties, _ = understood(out.strip())
    assert (command, properties["file"], properties["line"]) == ("error", "targets/one.yaml", "8")
    code, out, err = written(capsys, given_path, "--format", "sarif")
    assert (code, err) == (ExitCode.INVALID, "")
    ((level, uri, line, column, _),) = results(json.loads(out))
    assert (level, uri, line, column) == ("error", "targets/one.yaml", 8, 15)


def test_what_lies_elsewhere_has_an_absolute_uri(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "targets" / "one.yaml").write_text(target("one", tokens=0))
    (checkout / "away").mkdir()
    monkeypatch.chdir(checkout / "away")
    _, out, _ = written(capsys, "../targets", "--format", "sarif")
    ((_, uri, *_),) = results(json.loads(out))
    assert uri == (checkout / "targets" / "one.yaml").as_uri()


@pytest.mark.usefixtures("checkout")
def test_valid_manifests_give_no_annotation_and_an_empty_report(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert written(capsys, "targets", "--format", "github") == (ExitCode.OK, "", "")
    code, out, err = written(capsys, "targets", "--format", "sarif")
    assert (code, err, results(json.loads(out))) == (ExitCode.OK, "", [])


def test_warnings_are_warnings(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = target("one").replace("teacher_prompt", "u")
    (checkout / "targets" / "one.yaml").write_text(old)
    code, out, _ = written(capsys, "targets", "--format", "github")
    assert code == ExitCode.OK
    assert understood(out.strip())[0] == "warning"
    code, out, _ = written(capsys, "targets", "--format", "sarif")
    assert [level for level, *_ in results(json.loads(out))] == ["warning"]


@pytest.mark.usefixtures("checkout")
def test_a_lockfile_that_does_not_belong_is_annotated(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("targets", "--lockfile", "targets/reconciler.lock", "--format")
    code, out, _ = written(capsys, *options, "github")
    assert code == ExitCode.PENDING
    found = [understood(line) for line in out.splitlines()]
    assert {properties["file"] for _, properties, _ in found} == {"targets/reconciler.lock"}
    assert any("target reviewing/one is not in the lockfile" in text for *_, text in found)
    code, out, _ = written(capsys, *options, "sarif")
    assert code == ExitCode.PENDING
    assert len(results(json.loads(out))) == len(found) == 3
