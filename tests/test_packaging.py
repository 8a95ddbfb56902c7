"""What is shipped: the wheel, the source distribution, and what is locked for making them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from processes import INSTALLED

import reconciler

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: What a new virtual environment holds before anything is installed.
GIVEN = {"pip", "setuptools", "wheel"}
#: How tests start processes that import the package.
STARTS = (["-c", "import reconciler"], ["-m", "reconciler", "--version"])
only_installed = pytest.mark.skipif(not INSTALLED, reason="`make test` only")
NOT_SHIPPED = {".git", ".venv", "dist", ".hypothesis", ".mypy_cache", ".ruff_cache", "__pycache__"}


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    """Return wheel and source distribution, made twice, at different times and places."""
    return [built(tmp_path_factory.mktemp(name)) for name in ("here", "there")]


def built(place: Path) -> list[Path]:
    tree = place / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*NOT_SHIPPED), symlinks=True)
    for path in tree.rglob("*"):
        os.utime(path)
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(place / "out")]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    return sorted((place / "out").iterdir())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_sources_make_the_same_bytes(shipped: list[list[Path]]) -> None:
    first, second = ({path.name: digest(path) for path in made} for made in shipped)
    assert len(first) == 2
    assert first == second


def test_the_wheel_holds_the_package_and_its_schemas_and_nothing_else(
    shipped: list[list[Path]],
) -> None:
    (wheel,) = (path for path in shipped[0] if path.suffix == ".whl")
    names = {Path(name) for name in zipfile.ZipFile(wheel).namelist()}
    info = f"reconciler-{reconciler.__version__}.dist-info"
    assert {name.parts[0] for name in names} == {"reconciler", info}
    schemas = {path.name for path in (ROOT / "schemas").iterdir()}
    assert {name.name for name in names if name.parent.name == "schemas"} == schemas
    assert {Path("reconciler/py.typed"), Path(info, "licenses/LICENSE")} <= names


def test_the_source_distribution_is_enough_to_test_with(shipped: list[list[Path]]) -> None:
    (sdist,) = (path for path in shipped[0] if path.suffix == ".gz")
    with tarfile.open(sdist) as archive:
        names = {"/".join(Path(name).parts[1:]) for name in archive.getnames()}
    assert {"Makefile", "requirements/dev.txt", "tests/test_packaging.py"} <= names
    assert not [name for name in names if name.startswith((".venv", "dist/"))]


@only_installed
def test_what_is_tested_is_what_was_installed() -> None:
    assert "site-packages" in Path(reconciler.__file__).parts


@pytest.mark.parametrize("start", STARTS)
def test_processes_of_tests_import_what_is_tested_wherever_they_start(start: list[str]) -> None:
    command = [sys.executable, "-v", *start]
    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    code = Path(reconciler.__file__).parent
    assert str(code) in ran.stderr
    assert (str(ROOT / "reconciler") in ran.stderr) is (code == ROOT / "reconciler")


@pytest.mark.parametrize("start", STARTS)
def test_a_process_that_strays_into_the_checkout_ends_there(start: list[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests' / 'watch'}{os.pathsep}{ROOT}"}
    command = [sys.executable, *start]
    ran = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert ran.returncode == 86
    assert "imports the checkout" in ran.stderr


@pytest.mark.parametrize("name", ["dev", "audit"])
def test_everything_locked_is_pinned_and_hashed(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"[a-z0-9.-]+==\S+ ", line), line
        assert "--hash=sha256:" in line
        assert "://" not in line


def locked_versions() -> dict[str, str]:
    lines = (ROOT / "requirements/dev.txt").read_text()
    return dict(re.findall(r"^(\S+)==(\S+)", lines, re.MULTILINE))


@only_installed
def test_nothing_is_tested_with_that_is_not_locked() -> None:
    locked = locked_versions()
    found = {str(canonicalize_name(each.name)): each.version for each in distributions()}
    strangers = {name: version for name, version in found.items() if locked.get(name) != version}
    assert strangers.keys() <= {*GIVEN, "reconciler"}, strangers


def test_what_is_locked_satisfies_what_is_declared() -> None:
    locked = locked_versions()
    extras = PROJECT["optional-dependencies"]
    for text in (*PROJECT["dependencies"], *(each for extra in extras.values() for each in extra)):
        wanted = Requirement(text)
        assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), text
