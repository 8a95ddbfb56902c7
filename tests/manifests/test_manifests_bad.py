"""Each folder in ``bad/`` holds manifests and the exact lines that they must be answered with."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from reconciler.core.errors import ExitCode, InvalidManifestsError
from reconciler.manifests import load, parser

CASES = sorted(path for path in (Path(__file__).parent / "bad").iterdir() if path.is_dir())
#: Where PyYAML's own parser sees the same fault at another column, or in another way.
ONLY_LIBYAML = {"syntax", "text_read_as_something_else"}


def complaints(path: Path) -> list[str]:
    with pytest.raises(InvalidManifestsError) as caught:
        load(path)
    assert caught.value.exit_code is ExitCode.INVALID
    return [str(diagnostic) for diagnostic in caught.value.diagnostics]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_manifests_are_told_exactly(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case)
    assert complaints(Path()) == (case / "expected.txt").read_text().splitlines()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_libyaml_it_is_the_same(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "_Loader", yaml.SafeLoader)
    monkeypatch.chdir(case)
    expected = (case / "expected.txt").read_text().splitlines()
    found = complaints(Path())
    if case.name in ONLY_LIBYAML:
        assert len(found) == len(expected)
    else:
        assert found == expected
