"""Completion: what is offered, at what cost, and in the shells themselves."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import SAME_CODE

from reconciler.cli.root import COMMANDS
from reconciler.workflow import glance

from .test_start_up import Done, started

if TYPE_CHECKING:
    from collections.abc import Callable

MANIFESTS = """\
apiVersion: reconciler/v1
kind: Target
metadata: {repo: coding, name: alpha, labels: {team: docs, tier: gold}}
spec: {}
---
# a comment
kind: "Target"
metadata:
  repo: coding

  name: beta   # another
  labels:
    team: tools
spec:
  metadata: {repo: no, name: no}
---
kind: TargetSet
metadata: {repo: sets, name: "tuned-${{ matrix.model }}-${{ matrix.style }}"}
---
kind: Prompt
metadata: {repo: coding, name: a-prompt}
---
kind: Target
metadata: {repo: coding, name: "$(reboot)"}
---
kind: Target
metadata: [broken
"""


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a directory with manifests, which is the working directory."""
    place = tmp_path / "place"
    (place / ".hidden").mkdir(parents=True)
    (place / "below").mkdir()
    (place / "a.yaml").write_text(MANIFESTS)
    (place / "below" / "b.yml").write_text(
        "kind: Target\r\nmetadata:\r\n  repo: deep\r\n  name: down\r\n"
    )
    (place / ".hidden" / "c.yaml").write_text("kind: Target\nmetadata: {repo: no, name: no}\n")
    monkeypatch.chdir(place)
    return place


def asked(words: str, at: int | None = None) -> Done:
    """Ask as the script for bash does, in a process of its own."""
    environment = {
        "_RECONCILER_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1 if at is None else at),
    }
    return started(environment=environment)


def offered(words: str) -> list[str]:
    done = asked(words)
    assert done.code == 0
    return [line.partition(",")[2] for line in done.out.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("reconciler ", list(COMMANDS)),
        ("reconciler st", ["status"]),
        ("reconciler status --wa", ["--watch"]),
        ("reconciler plan --format ", ["text", "json", "markdown"]),
        ("reconciler plan --format=m", ["markdown"]),
        ("reconciler completion ", ["bash", "zsh", "fish"]),
        ("reconciler schema m", ["manifest"]),
        ("reconciler schema manifest.", ["manifest.v1"]),
        ("reconciler schema nonsense", []),
        (
            "reconciler status --target ",
            ["coding/alpha", "coding/beta", "deep/down", "sets/tuned-*-*"],
        ),
        ("reconciler status --target coding/b", ["coding/beta"]),
        ("reconciler plan below --exclude ", ["deep/down"]),
        ("reconciler plan a.yaml --target d", []),
        ("reconciler plan nowhere --target ", []),
        ("reconciler apply -l ", ["team=docs", "team=tools", "tier=gold"]),
        ("reconciler apply --selector tea", ["team=docs", "team=tools"]),
    ],
)
@pytest.mark.usefixtures("there")
def test_what_fits_is_offered(words: str, expected: list[str]) -> None:
    assert offered(words) == expected


@pytest.mark.usefixtures("there")
def test_paths_are_left_to_the_shell() -> None:
    assert asked("reconciler plan ").out == "file,\n"
    assert asked("reconciler apply --plan ").out == "file,\n"


@pytest.mark.parametrize(
    "words", ["reconciler ", "reconciler apply --", "reconciler apply . --target "]
)
@pytest.mark.usefixtures("there")
def test_completing_imports_click_and_yaml_alone(words: str) -> None:
    done = asked(words)
    assert done.out.strip()
    installed = {
        name
        for name in done.imported
        if "." not in name
        and name not in sys.stdlib_module_names
        and not name.startswith(("_", "cython", "sitecustomize"))
    }
    assert installed <= {"reconciler", "click", "yaml"}
    assert {"asyncio", "reconciler.manifests", "reconciler.client"} & done.imported == set()


@given(st.text(alphabet="kind:Target metadata{}[]&*!-\n\t'\"|>é\x00reponamelabels$", max_size=300))
def test_nothing_that_stands_in_a_file_makes_completion_fail(text: str) -> None:
    path = Path(os.environ.get("TMPDIR", "/tmp"), f"glance-{os.getpid()}.yaml")
    path.write_text(f"kind: Target\nmetadata:{text}")
    try:
        for seen in glance.targets(path):
            assert re.fullmatch(r"[A-Za-z0-9*._/-]+", seen.address)
    finally:
        path.unlink()


def test_links_pipes_and_what_cannot_be_read_are_passed_over(there: Path) -> None:
    outside = there.parent / "outside.yaml"
    shutil.copy(there / "below" / "b.yml", outside)
    assert glance.targets(outside)
    (there / "link.yaml").symlink_to(outside)
    os.mkfifo(there / "pipe.yaml")
    (there / "a.yaml").unlink()
    shutil.rmtree(there / "below")
    assert glance.targets(there) == []


# The shells themselves


@pytest.fixture
def commands(there: Path, tmp_path: Path) -> Path:
    """Give a directory with the command in it, as it would be in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "reconciler"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m reconciler "$@"\n')
    program.chmod(0o755)
    return folder


def shell(*command: str, commands: Path) -> str:
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        check=True,
        env={**os.environ, **SAME_CODE, "PATH": path, "HOME": str(commands)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


def needed(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(name) is None, reason=f"no {name} to complete in")


def typed(commands: Path, *start: str, keys: str, found: Callable[[str], bool]) -> str:
    """Type into a shell on a terminal; return what it showed until that was enough."""
    master, slave = pty.openpty()
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    running = subprocess.Popen(
        start,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, **SAME_CODE, "PATH": path, "HOME": str(commands), "TERM": "dumb"},
        start_new_session=True,
    )
    os.close(slave)
    shown, ending = "", time.monotonic() + 60
    try:
        os.write(master, keys.encode())
        while not found(shown) and time.monotonic() < ending:
            if select.select([master], [], [], 0.1)[0]:
                shown += os.read(master, 4096).decode(errors="replace").replace("\a", "")
        return shown
    finally:
        running.kill()
        running.wait()
        os.close(master)


@needed("bash")
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("reconciler stat\t", "reconciler status "),
        ("reconciler status --target coding/be\t", "--target coding/beta"),
        ("reconciler plan --format mark\t", "--format markdown"),
        ("reconciler plan bel\t", "plan below"),
        ("reconciler plan --format=mark\t", "--format=markdown "),
        ("reconciler plan --target=coding/be\t", "--target=coding/beta "),
        ('reconciler plan --target="coding/be\t', '--target="coding/beta" '),
        ("FOO=1 reconciler plan -l team=to\t", "-l team=tools "),
        ("reconciler apply --plan=a.ya\t", "--plan=a.yaml "),
    ],
)
def test_bash_completes_what_is_typed(commands: Path, line: str, completed: str) -> None:
    (commands / ".bashrc").write_text('PS1="> "\neval "$(reconciler completion bash)"\n')
    # What is typed is shown before and after: the end of the line is looked at, once it is entered.
    shown = typed(
        commands, "bash", "--noprofile", "-i", keys=f"{line}", found=lambda text: completed in text
    )
    assert completed in shown


def in_bash(line: str, replaced: str, words: list[str], commands: Path) -> list[str]:
    """Complete a line as bash does; ``replaced`` is what it would put an offer in the place of."""
    script = (
        'eval "$(reconciler completion bash)"; COMP_LINE=$1 COMP_POINT=${#1} replaced=$2; shift 2;'
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1));'
        '_reconciler_completion reconciler "$replaced" before; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    told = shell("bash", "-uc", script, "bash", line, replaced, *words, commands=commands)
    return told.splitlines()


OTHERS = ["deep/down", "sets/tuned-*-*"]


@needed("bash")
@pytest.mark.parametrize(
    ("line", "replaced", "expected"),
    [
        ("status --target ", "", ["coding/alpha", "coding/beta", *OTHERS, "zone/one"]),
        ("status --target coding/b", "coding/b", ["coding/beta"]),
        ("plan --format=", "", ["text", "json", "markdown"]),
        ("plan --format=ma", "ma", ["markdown"]),
        ("plan --target=co", "co", ["coding/alpha", "coding/beta"]),
        ("plan --target=sets/", "sets/", ["sets/tuned-*-*"]),
        ('plan --target="coding/b', "coding/b", ["coding/beta"]),
        ("plan below --exclude=d", "d", ["deep/down"]),
        ("plan -l team=", "", ["docs", "tools"]),
        ('plan -l "team=d', "team=d", ["team=docs"]),
        ("plan --selector=team=d", "d", ["docs"]),
        ("plan -l zone=a:", "", ["b@c:d"]),
        ("plan -l zone=a:b@c", "@c", ["@c:d"]),
        ("plan --selector=zone=a:b", "b", ["b@c:d"]),
        ("plan --format=text --out=x --pru", "--pru", ["--prune"]),
        ("plan --format = --pru", "--pru", ["--prune"]),
    ],
)
def test_bash_is_offered_what_completes_its_part_of_a_word(
    there: Path, commands: Path, line: str, replaced: str, expected: list[str]
) -> None:
    (there / "labels.yaml").write_text(
        "kind: Target\nmetadata: {repo: zone, name: one, labels: {zone: 'a:b@c:d'}}\n"
    )
    words = re.findall(r'"\S*|[=:@]+|[^\s=:@]+', line) + [""] * line.endswith(" ")
    assert in_bash(f"reconciler {line}", replaced, ["reconciler", *words], commands) == expected


@needed("bash")
@pytest.mark.usefixtures("there")
def test_a_bash_that_does_not_split_at_equals_signs_is_offered_all_of_the_word(
    commands: Path,
) -> None:
    line = "reconciler plan --format=ma"
    offers = in_bash(line, "--format=ma", line.split(" "), commands)
    assert offers == ["--format=markdown"]


@needed("zsh")
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("reconciler status --target coding/be\t", "--target coding/beta"),
        ("reconciler status --target=coding/be\t", "--target=coding/beta"),
        ("reconciler plan --format=mark\t", "--format=markdown"),
        ("reconciler plan -l team=to\t", "-l team=tools"),
        ("reconciler plan --selector=team=to\t", "--selector=team=tools"),
        ("reconciler apply --plan=a.ya\t", "--plan=a.yaml"),
    ],
)
def test_zsh_completes_what_is_typed(commands: Path, line: str, completed: str) -> None:
    (commands / ".zshrc").write_text(
        'PS1="> "\nautoload -U compinit; compinit -u\neval "$(reconciler completion zsh)"\n'
    )
    shown = typed(commands, "zsh", "-i", keys=line, found=lambda text: completed in text)
    assert completed in shown


@needed("fish")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("reconciler status --target coding/", ["coding/alpha", "coding/beta"]),
        ("reconciler status --target=coding/", ["--target=coding/alpha", "--target=coding/beta"]),
        ("reconciler plan --format=ma", ["--format=markdown"]),
        ("reconciler plan -l team=", ["team=docs", "team=tools"]),
        ("reconciler plan --selector=team=", ["--selector=team=docs", "--selector=team=tools"]),
        ("reconciler apply --plan=a.ya", ["--plan=a.yaml"]),
        ("reconciler stat", ["status"]),
    ],
)
def test_fish_is_offered_what_completes_the_word(
    commands: Path, line: str, expected: list[str]
) -> None:
    script = "reconciler completion fish | source; complete --do-complete "
    told = shell("fish", "-c", f"{script}'{line}'", commands=commands)
    assert [offer.partition("\t")[0] for offer in told.splitlines()] == expected
