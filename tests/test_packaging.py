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
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import reconciler

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
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


@pytest.mark.skipif(os.environ.get("RECONCILER_TESTS") != "installed", reason="`make test` only")
def test_what_is_tested_is_what_was_installed() -> None:
    assert "site-packages" in Path(reconciler.__file__).parts


@pytest.mark.parametrize("name", ["dev", "audit"])
def test_everything_locked_is_pinned_and_hashed(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"[a-z0-9.-]+==\S+ ", line), line
        assert "--hash=sha256:" in line
        assert "://" not in line


def test_what_is_locked_satisfies_what_is_declared() -> None:
    pins = re.findall(r"^(\S+)==(\S+)", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE)
    locked = dict(pins)
    extras = PROJECT["optional-dependencies"]
    for text in (*PROJECT["dependencies"], *(each for extra in extras.values() for each in extra)):
        wanted = Requirement(text)
        assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), text
