"""What help and errors point to: examples that work as they stand, and pages that are there."""

from __future__ import annotations

import itertools
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from processes import SAME_CODE

from reconciler.cli.failures import PAGES
from reconciler.cli.root import COMMANDS, cli

from .conftest import KEY
from .project import PROMPTS, target

if TYPE_CHECKING:
    from reconciler.service import Running

ROOT = Path(__file__).parents[2]
#: What is called by git and by nobody else.
_WITHOUT = {"merge-driver"}
#: What goes on until it is stopped, and how that ends.
_ENDLESS = re.compile(r"reconciler (serve|watch)\b|--watch\b")
_STOPPED = {0, 130}
_numbers = itertools.count()


def explained(name: str) -> str:
    """Return the help of a command, as wide as its longest line."""
    command = cli.get_command(click.Context(cli), name)
    assert command
    return command.get_help(click.Context(command, info_name=name, max_content_width=200))


def examples(name: str) -> list[str]:
    """Return the command lines below the word Examples."""
    _, _, below = explained(name).partition("Examples:\n")
    lines = itertools.takewhile(str.strip, below.splitlines())
    return [line.strip() for line in lines]


EXAMPLES = [(name, line) for name in COMMANDS for line in examples(name)]


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - _WITHOUT))
def test_every_command_has_a_few_examples(name: str) -> None:
    found = examples(name)
    assert 1 <= len(found) <= 4
    assert all(re.search(rf"\breconciler {name}\b", line) for line in found)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, running: Running) -> Path:
    """Give a directory as the examples want it, everything in it converged.

    Beside a project of its own it holds ``examples/`` and ``targets/``, which are projects apart.
    """
    place = tmp_path_factory.mktemp("template") / "place"
    skipped = shutil.ignore_patterns(".reconciler", "reconciler.lock", "ci")
    shutil.copytree(ROOT / "examples", place / "examples", ignore=skipped)
    shutil.copytree(ROOT / "examples" / "quickstart", place / "targets", ignore=skipped)
    (place / ".reconcilerignore").write_text("examples/\ntargets/\n")
    labelled = {"repo": "coding", "name": "one", "labels": {"team": "docs"}}
    documents = [
        PROMPTS,
        target("one", metadata=labelled),
        target("experiment-1", policy={"prevent_destroy": False}),
    ]
    (place / "manifests.yaml").write_text("---\n".join(documents))
    program = place.parent / "bin" / "reconciler"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m reconciler "$@"\n')
    program.chmod(0o755)
    user = f"help-{next(_numbers)}"
    ready = [
        f"reconciler apply --user-id {user}",
        f"reconciler apply --user-id {user} targets",
        f"reconciler pull --user-id {user}",
        "reconciler apply --local examples/quickstart",
    ]
    for line in ready:
        done = started(line, place, place.parent / "bin", running.url)
        out, err = done.communicate(timeout=60)
        assert done.returncode == 0, out + err
    (place.parent / "user").write_text(user)
    return place


def started(line: str, place: Path, programs: Path, url: str) -> subprocess.Popen[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("BREAD_", "RECONCILER_"))}
    access = {"BREAD_API_KEY": KEY, "BREAD_BASE_URL": url}
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        ["/bin/sh", "-c", line],
        cwd=place,
        env={**clean, **SAME_CODE, **access, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "place"
    shutil.copytree(template, copy, symlinks=True)
    return copy


@pytest.mark.parametrize(("name", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_works_as_it_stands(
    name: str, line: str, place: Path, template: Path, running: Running
) -> None:
    user = (template.parent / "user").read_text()
    takes_a_user = name != "serve" and "--user-id" in explained(name)
    apart = "" if "--local" in line or not takes_a_user else f" --user-id {user}"
    meant = re.sub(rf"\breconciler {name}\b", f"reconciler {name}{apart}", line)
    if name == "apply":
        meant = meant.replace("reconciler plan", f"reconciler plan{apart}")
    meant = re.sub(r"(--port|--listen) [0-9]+", rf"\1 {free_port()}", meant)
    if _ENDLESS.search(line):
        process = started(f"exec {meant}", place, template.parent / "bin", running.url)
        assert ended_by_interrupt(process) in _STOPPED
        return
    process = started(meant, place, template.parent / "bin", running.url)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err


def free_port() -> int:
    """Return a port that nobody listens on; the one of an example may be taken here."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ended_by_interrupt(running: subprocess.Popen[str]) -> int:
    """Interrupt something that has said or done something; return its exit code."""
    assert running.stdout
    assert running.stderr
    select.select([running.stdout, running.stderr], [], [], 3)
    time.sleep(0.2)
    assert running.poll() is None, running.communicate()
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert "Traceback" not in out + err
    return running.returncode


def anchors(page: Path) -> set[str]:
    """Return what the headings of a page can be linked to as, on the usual hosting services."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def links() -> list[str]:
    """Return every page of the documentation that the program points to."""
    sources = (path.read_text() for path in (ROOT / "reconciler").rglob("*.py"))
    found = {
        link for text in sources for link in re.findall(r"\bdocs/[\w-]+\.md(?:#[\w-]+)?", text)
    }
    return sorted(found)


def test_errors_point_to_pages() -> None:
    assert {page for _, page in PAGES} <= set(links())


@pytest.mark.parametrize("link", links())
def test_a_page_that_is_pointed_to_is_there(link: str) -> None:
    name, _, anchor = link.partition("#")
    page = ROOT / name
    assert page.is_file()
    assert not anchor or anchor in anchors(page)


def test_a_broken_link_would_be_seen() -> None:
    assert "the-lockfile" in anchors(ROOT / "docs" / "behaviour.md")
    assert "nothing-like-it" not in anchors(ROOT / "docs" / "behaviour.md")
