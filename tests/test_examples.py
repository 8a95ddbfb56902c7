"""Every example validates, converges on the embedded service, and converges twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reconciler.cli.root import run
from reconciler.core.errors import ExitCode

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(params=sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name: str = request.param
    copy = tmp_path / name
    ignored = shutil.ignore_patterns(".reconciler", "reconciler.lock")
    shutil.copytree(EXAMPLES / name, copy, ignore=ignored)
    return copy


def test_an_example_validates(example: Path) -> None:
    assert run(["validate", str(example)]) is ExitCode.OK


def test_an_example_converges_twice(example: Path) -> None:
    lockfile = example / "reconciler.lock"
    assert run(["apply", "--local", str(example)]) is ExitCode.OK
    first = lockfile.read_bytes()
    assert run(["plan", "--local", "--detailed-exitcode", str(example)]) is ExitCode.OK
    assert run(["apply", "--local", str(example)]) is ExitCode.OK
    assert lockfile.read_bytes() == first


def test_an_example_is_rebuilt_by_refresh(example: Path) -> None:
    lockfile = example / "reconciler.lock"
    run(["apply", "--local", str(example)])
    first = lockfile.read_bytes()
    lockfile.unlink()
    assert run(["plan", "--local", "--detailed-exitcode", str(example)]) is ExitCode.OK
    assert run(["refresh", "--local", str(example)]) is ExitCode.OK
    assert lockfile.read_bytes() == first


def test_an_example_says_where_its_schema_is(example: Path) -> None:
    for manifest in example.rglob("*.yaml"):
        first = manifest.read_text().splitlines()[0]
        assert first == "# yaml-language-server: $schema=../../schemas/manifest.v1.json"
