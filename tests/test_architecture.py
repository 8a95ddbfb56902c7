"""The rules of the house that a machine can check: who imports what, and who says what it is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from importlinter.cli import lint_imports

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "reconciler"
MODULES = sorted(PACKAGE.rglob("*.py"))
PURE = sorted([*(PACKAGE / "core").rglob("*.py"), *(PACKAGE / "render").rglob("*.py")])
PURE_PACKAGES = ("reconciler.core", "reconciler.render")

#: All that values in, values out takes.
ALLOWED = {
    "__future__",
    "base64",
    "collections",
    "dataclasses",
    "deepdiff",
    "difflib",
    "enum",
    "fnmatch",
    "functools",
    "hashlib",
    "html",
    "itertools",
    "json",
    "jsonschema",
    "jsonschema_rs",
    "re",
    "string",
    "textwrap",
    "typing",
    "unicodedata",
}
#: What takes long to import, and what `--help` and `schema` do without.
SLOW = {"httpx", "rich", "starlette", "uvicorn", "deepdiff", "yaml", "jsonschema"}


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_import_contracts_hold(capsys: pytest.CaptureFixture[str]) -> None:
    code = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert code == 0, capsys.readouterr().out


@pytest.mark.parametrize("path", PURE, ids=named)
def test_the_core_imports_nothing_that_could_reach_out(path: Path) -> None:
    foreign = {name for name in imports(path) if not name.startswith(PURE_PACKAGES)}
    assert {name.partition(".")[0] for name in foreign} <= ALLOWED


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_the_command_line_starts_without_what_is_slow() -> None:
    script = "import sys, reconciler.cli.root; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert SLOW & set(done.stdout.split()) == set()


def imports(path: Path) -> Iterator[str]:
    """Yield what a module imports when it runs, inside functions too."""
    tree = ast.parse(path.read_text())
    only_typed = {id(node) for block in _type_checking(tree) for node in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in only_typed:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def _type_checking(tree: ast.Module) -> Iterator[ast.If]:
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield node
