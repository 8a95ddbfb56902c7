"""Manifests as nobody would write them: refused with a place, or taken; never anything else."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli.project import PROMPTS, Ended, target
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.core.errors import ExitCode

from . import damage
from .support import assert_calm, assert_refused_manifests, command

MANY = 2 * settings().max_examples
PROJECT = """\
apiVersion: reconciler/v1
kind: Project
metadata: {name: fuzzed}
spec:
  api_url: https://api.example
  defaults:
    spec: {model_name: m, temperature: 1.0}
    desired: {rollout: {timeout: 2h}}
    policy: {on_change: revise}
  budget: {max_new_trajectories: 50000}
"""
GENERATORS: dict[str, Any] = {
    "generators": [
        {"type": "hardcoded", "questions_file": "questions.txt"},
        {"type": "oneshot_qs", "model": "m", "numq": 100, "temperature": 1.0},
    ],
    "extra_kwargs": {"top_p": 0.9, "stop": ["a"]},
}
TARGET = target(
    "one",
    spec=GENERATORS,
    desired={"stim": {"min_lines": 2, "timeout": "1h"}, "rollout": {"min_lines": 2}},
    policy={"on_change": "replace", "retries": 1, "prevent_destroy": False},
)
TEXT = "---\n".join([PROJECT, PROMPTS, TARGET])
DOCUMENTS = list(yaml.safe_load_all(TEXT))


def judged(**files: bytes) -> None:
    """Give a project to every command that reads one without an API."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "questions.txt").write_text("One?\nTwo?\n")
        for name, content in files.items():
            Path(folder, name.replace("_", ".")).write_bytes(content)
        found = command("validate", folder)
        assert_calm(found)
        told = command("validate", folder, "--format", "json")
        assert_calm(told)
        assert told.json["valid"] == (found.code == ExitCode.OK)
        if found.code == ExitCode.OK:
            planned(folder)
        else:
            assert_refused_manifests(found)
            assert len(told.json["problems"]) == found.err.count("\n") - 1


def planned(folder: str) -> None:
    """Check that what was called valid can be planned, in every form."""
    for form in ("text", "json", "markdown"):
        found: Ended = command("plan", "--offline", "--format", form, folder)
        assert_calm(found)
        assert found.code == ExitCode.OK
        if form == "json":
            json.loads(found.out)


@settings(max_examples=MANY)
@given(st.data())
def test_wrong_values_are_refused_with_their_place(data: st.DataObject) -> None:
    documents = list(DOCUMENTS)
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(documents) - 1))
        documents[at] = data.draw(damage.damaged(documents[at]))
    judged(a_yaml=b"\n---\n".join(data.draw(damage.written(document)) for document in documents))


@settings(max_examples=MANY)
@given(damage.damaged_bytes(TEXT.encode()))
@example(b"x: " + b"[" * 100_000)
@example(b"- " * 100_000)
@example(b"{a: " * 100_000)
@example(b"? " * 50_000)
@example(b"&a " * 50_000)
@example(b'"' + b"\\U0010FFFF" * 5_000)
def test_damaged_text_is_refused_with_its_place(text: bytes) -> None:
    judged(a_yaml=text)


PROMPT = """\
apiVersion: reconciler/v1
kind: Prompt
metadata: {repo: r, name: p}
spec: {messages_file: m.FORM, tools_file: t.FORM}
---
apiVersion: reconciler/v1
kind: Repo
metadata: {name: r}
"""
MESSAGES = [
    {"role": "user", "content": [{"type": "text", "text": "a"}]},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize("form", ["json", "yaml"])
@given(st.data())
def test_files_that_manifests_name_are_refused_with_their_place(
    form: str, data: st.DataObject
) -> None:
    messages = damage.as_json(data.draw(damage.damaged(MESSAGES) | st.just(MESSAGES)))
    tools = damage.as_json(data.draw(damage.damaged(TOOLS) | st.just(TOOLS)))
    broken = data.draw(damage.damaged_bytes(messages) | st.just(messages))
    files = {"a_yaml": PROMPT.replace("FORM", form).encode()}
    judged(**files, **{f"m_{form}": broken, f"t_{form}": tools})


@given(st.binary(max_size=200) | damage.damaged_bytes(b"*.md\n!x\nbuild/\n\\#a\n[a-z]*\n"))
@example(b"[z-a]\n")
@example(b"[" * 3_000)
@example(b"\\")
def test_an_ignore_file_is_no_way_in(patterns: bytes) -> None:
    judged(a_yaml=TEXT.encode(), _reconcilerignore=patterns)


@given(st.sampled_from(damage.EVIL) | st.text(max_size=30))
@example("~/.ssh/id_rsa")
@example("file:///etc/passwd")
@example("..")
@example(".")
@example("a" * 300)
@example("a/" * 3_000)
@example("x" * 5_000)
def test_the_name_of_a_file_is_no_way_out(name: str) -> None:
    manifest = PROMPT.replace("m.FORM", json.dumps(name)).replace("t.FORM", json.dumps(name))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.yaml").write_text(manifest)
        ended = command("validate", folder)
        assert_calm(ended)
        assert_refused_manifests(ended)
