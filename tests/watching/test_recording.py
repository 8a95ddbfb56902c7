"""What is known of all rounds reaches whoever reads it, or a warning says where it did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.core.errors import ReconcilerError
from reconciler.workflow.place import Place
from reconciler.workflow.watching.recorder import Recorder, Telling

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("spoilt", [".reconciler/rounds.json", "metrics.prom"])
def test_what_cannot_be_written_is_named_once_and_keeps_nothing_else(
    tmp_path: Path, spoilt: str
) -> None:
    memory, metrics = tmp_path / ".reconciler" / "rounds.json", tmp_path / "metrics.prom"
    (tmp_path / spoilt).mkdir(parents=True)
    warned: list[str] = []
    recorder = Recorder(Place(tmp_path, tmp_path / "x.lock"), Telling(metrics), warned.append)
    for _ in range(2):
        recorder.begin()
        recorder.failed(ReconcilerError("nobody is there"))
    (warning,) = warned
    assert f"cannot write {tmp_path / spoilt}" in warning
    assert [path.is_file() for path in (memory, metrics)].count(True) == 1
