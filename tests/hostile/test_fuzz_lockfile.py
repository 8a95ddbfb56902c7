"""Lockfiles damaged by hands, merges and disks: refused with a way out, or taken as they are."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from cli.project import PROMPTS, target
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.core.errors import ExitCode

from . import damage
from .support import assert_calm, command

MANY = 2 * settings().max_examples
DIGEST = "sha256:" + "0" * 64
TEXT = f"""\
version: 1
api_url: https://api.example
prompts:
  coding/expert:
    digest: {DIGEST}
    live_name: expert
repos:
  coding:
    base_model: Qwen/Qwen3-32B
targets:
  coding/gone:
    digest: {DIGEST}
    live_name: gone-00000000
    prevent_destroy: false
  coding/one:
    digest: {DIGEST}
    live_name: one
    rollout:
      attempts: 2
      error: the judge model ran out of memory
      expected: 12
      lines: 0
      status: failed
    stim:
      expected: 4
      lines: 4
      output: {DIGEST}
      status: complete
"""


def judged(content: bytes) -> int:
    """Give a lockfile to the commands that read one without an API; return how often it was bad."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.yaml").write_text("---\n".join([PROMPTS, target("one")]))
        lockfile = Path(folder, "reconciler.lock")
        lockfile.write_bytes(content)
        planned = command("plan", "--offline", "--prune", "--format", "json", folder)
        belongs = command("validate", "--lockfile", lockfile, folder)
        shown = command("plan", "--offline", "--prune", "-v", folder)
        for ended in (planned, belongs, shown):
            assert_calm(ended)
            if ended.code == ExitCode.INVALID:
                assert "reconciler.lock" in ended.err
                assert "refresh" in ended.err or "Upgrade" in ended.err
        assert planned.code == shown.code
        assert planned.code in {ExitCode.OK, ExitCode.INVALID}
        assert (planned.code == ExitCode.INVALID) == (belongs.code == ExitCode.INVALID)
        assert lockfile.read_bytes() == content
        if planned.code == ExitCode.OK:
            assert planned.json["format"]
    return int(planned.code)


def test_what_is_damaged_here_is_good_to_begin_with() -> None:
    assert judged(TEXT.encode()) == ExitCode.OK


@settings(max_examples=MANY)
@given(st.data())
def test_wrong_values_end_in_peace(data: st.DataObject) -> None:
    value: Any = data.draw(damage.damaged(yaml.safe_load(TEXT)))
    judged(data.draw(damage.written(value)))


@settings(max_examples=MANY)
@given(damage.damaged_bytes(TEXT.encode()))
@example(TEXT.replace("https://api.example", "2001-99-99").encode())
@example(TEXT.replace("lines: 4", "lines: 0x_").encode())
@example(TEXT.replace("version: 1", "version: " + "9" * 5_000).encode())
@example(b"&a {b: *a}\n")
@example(b"x: " + b"{a: " * 900 + b"}" * 900)
@example(b"x: " + b"[" * 900 + b"]" * 900)
@example(b"".join(b" " * depth + b"a:\n" for depth in range(900)))
def test_damaged_text_ends_in_peace(content: bytes) -> None:
    judged(content)
