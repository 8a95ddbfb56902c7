"""What commands do without: a module that is not imported costs nobody any time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import pytest
from processes import SAME_CODE

from reconciler.cli.root import run

from .project import Project

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Runs a command line, and at last says on stderr what was imported for it.
_TELLING = """
import sys
from reconciler.cli import main
try:
    main()
finally:
    sys.stderr.write("\\nimported: " + " ".join(sys.modules))
"""
#: What no command imports that finds all as it should be, and nobody to look on.
_NEVER = {
    "aiohttp",
    "deepdiff",
    "difflib",
    "httpx",
    "importlib.metadata",
    "jsonschema",
    "rich",
    "starlette",
    "uvicorn",
}
_OFFLINE = {
    "_hashlib",
    "asyncio",
    "httptools",
    "logging",
    "ssl",
    "reconciler.client",
    "reconciler.engine",
}
#: What no command imports to whose manifests nothing can be said, and which have no sets.
_FINDING_FAULTS = {
    "reconciler.core.declare.sets",
    "reconciler.core.schema.explaining",
    "reconciler.manifests.examining",
    "reconciler.manifests.expansion",
    "reconciler.manifests.explaining",
    "reconciler.manifests.json_text",
    "reconciler.manifests.lists",
    "reconciler.manifests.reader",
}
#: What is about live state, or writes.
_LIVE = {
    "reconciler.core.expected",
    "reconciler.core.model.lock",
    "reconciler.core.model.observed",
    "reconciler.core.model.plan",
    "reconciler.workflow.access",
    "tempfile",
}
_PARSING = {"yaml", "jsonschema_rs", "pathspec"}
_RUNNING = {
    "reconciler.core.model.events",
    "reconciler.core.model.outputs",
    "reconciler.core.planning.offline",
    "reconciler.core.planning.report",
    "reconciler.engine.executor",
    "reconciler.engine.pacing",
    "reconciler.render.json",
    "reconciler.render.markdown",
    "reconciler.service",
    "reconciler.workflow.saved",
}


_SAID = """\
apiVersion: reconciler/v1
kind: Prompt
metadata: {repo: coding, name: said}
spec: {messages_file: messages.json}
"""


class Done(NamedTuple):
    code: int
    out: str
    imported: frozenset[str]


def started(*arguments: str, environment: Mapping[str, str] | None = None) -> Done:
    """Run a command in a process of its own, without the variables that concern it."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("BREAD_", "RECONCILER_"))}
    done = subprocess.run(
        [sys.executable, "-c", _TELLING, *arguments],
        check=False,
        env={**clean, **SAME_CODE, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )
    imported = done.stderr.rpartition("imported: ")[2]
    return Done(done.returncode, done.stdout, frozenset(imported.split()))


@pytest.mark.parametrize(
    "name", sorted(_NEVER | _OFFLINE | _FINDING_FAULTS | _LIVE | _PARSING | _RUNNING)
)
def test_what_is_not_imported_exists(name: str) -> None:
    assert find_spec(name)


def always_imported() -> set[str]:
    """Return what a process of the tests has imported before its first line."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        env={**os.environ, **SAME_CODE},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_told_without_the_command_line(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = started(option)
    avoided = {"reconciler.cli.root", "click", "re", "typing"} - always_imported()
    assert avoided & done.imported == set()
    assert (run([option]), capsys.readouterr().out) == (done.code, done.out)


def test_the_version_is_told_by_the_command_line_where_more_is_asked_for() -> None:
    assert started("--version", "plan")[:2] == started("--version")[:2]
    assert started("plan", "--version").code != 0


@pytest.mark.parametrize("arguments", [("--help",), ("plan", "--help"), ("schema",)])
def test_help_and_schemas_need_no_parser_and_no_network(arguments: tuple[str, ...]) -> None:
    done = started(*arguments)
    assert done.code == 0
    assert "click" in done.imported
    assert (_NEVER | _OFFLINE | _PARSING | {"reconciler.workflow.verbs"}) & done.imported == set()


def test_valid_manifests_are_checked_without_what_speaks_explains_or_draws(
    project: Project,
) -> None:
    done = started("validate", str(project.root))
    assert done.code == 0
    avoided = _NEVER | _OFFLINE | _FINDING_FAULTS | _LIVE | _RUNNING
    assert avoided & done.imported == set()


def test_lists_in_files_are_read_without_what_finds_the_faults_of_manifests(
    project: Project,
) -> None:
    (project.root / "messages.json").write_text('[{"role": "user", "content": "Hello."}]')
    project.write("said.yaml", _SAID)
    done = started("validate", str(project.root))
    examining = {"reconciler.manifests.examining", "reconciler.manifests.expansion"}
    assert (done.code, examining & done.imported) == (0, set())


def test_a_plan_of_what_is_converged_is_made_without_what_carries_plans_out(
    project: Project,
) -> None:
    assert project.run("apply").code == 0
    done = started("plan", str(project.root), *project.access, environment=project.environment)
    assert (done.code, done.out) == (0, "Nothing to do: live state satisfies every manifest.\n")
    assert (_NEVER | _FINDING_FAULTS | _RUNNING | {"tempfile"}) & done.imported == set()


def test_an_offline_plan_is_made_without_what_speaks_to_an_api(project: Project) -> None:
    assert project.run("apply").code == 0
    done = started("plan", "--offline", str(project.root))
    assert (done.code, done.out.splitlines()[0]) == (
        0,
        "Nothing to do, as far as the lockfile knows.",
    )
    avoided = _NEVER | _FINDING_FAULTS | (_OFFLINE - {"_hashlib"}) | {"tempfile"}
    assert avoided & done.imported == set()


def test_where_nothing_pulled_lies_here_a_plan_does_without_what_compares_it(
    project: Project,
) -> None:
    pulling = {"reconciler.workflow.pulling.files", "reconciler.engine.downloading"}
    assert project.run("apply").code == 0
    assert project.run("pull").code == 0
    plan = ("plan", str(project.root), *project.access)
    assert pulling <= started(*plan, environment=project.environment).imported
    shutil.rmtree(project.root / "outputs")
    assert pulling & started(*plan, environment=project.environment).imported == set()
