"""``import --bgit``: a repository of bgit 0.2 as it is after ``bgit run stim rollout``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cli.project import Ended, ended

from reconciler.core.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INPUT = """\
# Bread Model Configuration
PROMPT:
  teacher:
    messages:
      - role: system
        content: You are Yoda.
TARGET:
  name: target1
  generators:
    - type: oneshot_qs
      model: claude-sonnet-4-5-20250929
      numq: 20
      temperature: 0.6
      template_path: own/ask.txt
    - type: hardcoded
      numq: 2
      questions:
        - "Who are you?"
        - "What is your name?"
  num_traj_per_stimulus: 5
BAKE:
  name: bake1
  datasets:
    - target: target1
      weight: 1.0
"""
NAMES = r"""# Bread configuration mapping
# Auto-generated - do not edit manually

[REPO]
name=yoda

[PROMPT\.teacher]
hash=7453b01589d1681478ee0b93531f1599561f1bef7f63a5e7b9acec622912d37e
prompt_name=prompt_7453b01589d16814

[PROMPT\.student]
hash=2e6b7a4f61149e18912ad402d91cdd827e3fd7a7535a9f2506e197b0af9f52c9
prompt_name=prompt_2e6b7a4f61149e18

[TARGET]
hash=525b6d5a7503ca34b56f9f823bc182d99f2f479f4b867fdacb275f681dfd8ddb
target_name=target1_525b6d5a7503ca34

[PARENT_MODEL]
model_name=user/yoda/bake0/200

[RECIPE]
base_model=Qwen/Qwen3-32B
"""
TEMPLATE = "Ask ${numq} questions about:\n${prompt_u}\n"


@pytest.fixture
def bgit(tmp_path: Path) -> Path:
    """Give a repository of bgit."""
    root = tmp_path / "yoda"
    (root / "own").mkdir(parents=True)
    (root / "own/ask.txt").write_text(TEMPLATE)
    (root / "input.yml").write_text(INPUT)
    (root / ".bread").write_text(NAMES)
    return root


@pytest.fixture
def convert(bgit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    out = str(tmp_path / "out")
    return lambda *more: ended(capsys, "import", out, "--bgit", str(bgit), *more)


def documents(root: Path) -> dict[str, Any]:
    files = sorted(root.rglob("*.yaml"))
    found = [doc for path in files for doc in yaml.safe_load_all(path.read_text())]
    return {doc["metadata"]["name"]: doc for doc in found}


def test_what_bgit_has_made_is_declared_under_its_live_names(
    convert: Callable[..., Ended], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = convert()
    assert done.code == ExitCode.OK
    assert done.err == (
        "warning: BAKE is left out: manifests declare stim and rollout, not bakes\n"
        "4 files written.\n"
    )
    found = documents(tmp_path / "out")
    assert found["yoda"]["spec"] == {"base_model": "Qwen/Qwen3-32B"}
    assert found["prompt_2e6b7a4f61149e18"]["spec"] == {"messages": []}
    spec = found["target1_525b6d5a7503ca34"]["spec"]
    assert spec["teacher_prompt"] == "prompt_7453b01589d16814"
    assert spec["student_prompt"] == "prompt_2e6b7a4f61149e18"
    assert spec["model_name"] == "user/yoda/bake0/200"
    assert spec["generators"][0]["template_path"] == "templates/ask.txt"
    template = tmp_path / "out/yoda" / spec["generators"][0]["template_file"]
    assert template.read_text() == TEMPLATE + "\n"
    assert ended(capsys, "validate", str(tmp_path / "out")).code == ExitCode.OK


def test_before_its_first_run_there_are_only_the_names_of_input_yml(
    bgit: Path, convert: Callable[..., Ended], tmp_path: Path
) -> None:
    (bgit / ".bread").write_text("[REPO]\nname=yoda\n")
    assert convert().code == ExitCode.OK
    found = documents(tmp_path / "out")
    assert found.keys() == {"yoda", "teacher", "student", "target1"}
    spec = found["target1"]["spec"]
    assert (spec["teacher_prompt"], spec["student_prompt"]) == ("teacher", "student")
    assert "model_name" not in spec


def test_prompts_that_a_target_names_are_found_by_the_names_of_bgit(
    bgit: Path, convert: Callable[..., Ended], tmp_path: Path
) -> None:
    named = INPUT.replace(
        "  name: target1\n  gen", "  name: target1\n  u: teacher\n  v: live_one\n  gen"
    )
    (bgit / "input.yml").write_text(named)
    assert convert().code == ExitCode.OK
    spec = documents(tmp_path / "out")["target1_525b6d5a7503ca34"]["spec"]
    assert spec["teacher_prompt"] == "prompt_7453b01589d16814"
    assert spec["student_prompt"] == "live_one"
    assert not {"u", "v"} & spec.keys()


def test_after_a_bake_nothing_but_comments_is_left_and_it_says_where_to_look(
    bgit: Path, convert: Callable[..., Ended], tmp_path: Path
) -> None:
    (bgit / "input.yml").write_text("".join(f"# {line}\n" for line in INPUT.splitlines()))
    done = convert()
    assert done.code == ExitCode.OK
    assert "input.yml has no TARGET" in done.err
    assert "`reconciler import --repo yoda`" in done.err
    assert documents(tmp_path / "out").keys() == {"yoda"}


def test_what_manifests_do_not_know_is_told(
    bgit: Path, convert: Callable[..., Ended], tmp_path: Path
) -> None:
    odd = INPUT.replace(
        "  num_traj_per_stimulus: 5\n", "  num_traj_per_stimulus: 5\n  flavour: 3\n"
    )
    (bgit / "input.yml").write_text(odd + "EXTRA: 1\n")
    done = convert("--format", "json").json
    assert "EXTRA is left out: bgit ignores it, too" in done["notes"]
    text = (tmp_path / "out/yoda/targets.yaml").read_text()
    assert "# flavour is no field that a manifest knows; left out\n" in text


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("input.yml", "PROMPT: [", "input.yml:2:1:"),
        ("input.yml", "PROMPT: {a: 1, a: 2}", "duplicate key"),
        ("input.yml", "PROMPT: 3", "PROMPT must be a mapping"),
        ("input.yml", "- a", "must be a mapping"),
        ("input.yml", INPUT.replace("own/ask.txt", "../../secret"), "lies outside of"),
        ("input.yml", INPUT.replace("own/ask.txt", "none.txt"), "does not exist"),
        (".bread", "name=yoda", "no section headers"),
        (".bread", "[REPO]\nx=1\n", "names no repo"),
        (".bread", "", "names no repo"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    bgit: Path, convert: Callable[..., Ended], tmp_path: Path, file: str, content: str, told: str
) -> None:
    (bgit / file).write_text(content)
    done = convert()
    assert done.code == ExitCode.ERROR
    assert told in done.err
    assert "internal" not in done.err
    assert not (tmp_path / "out").exists()


def test_another_directory_is_no_repository_of_bgit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = ended(capsys, "import", str(tmp_path), "--bgit", str(tmp_path))
    assert done.code == ExitCode.ERROR
    assert "input.yml does not exist" in done.err
