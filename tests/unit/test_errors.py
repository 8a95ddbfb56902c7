from __future__ import annotations

import pytest

from reconciler.core.errors import (
    BlockedError,
    ExitCode,
    InvalidLockfileError,
    InvalidManifestsError,
    LockHeldError,
    PaymentRequiredError,
    ReconcilerError,
    UnreachableError,
    UsageError,
    worst,
)
from reconciler.core.model.manifest import Diagnostic, Severity


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 2], 2),
        ([2, 3], 3),
        ([3, 2, 1, 0], 1),
    ],
)
def test_the_worst_outcome_wins_in_the_order_of_the_contract(codes: list[int], code: int) -> None:
    assert worst(map(ExitCode, codes)) == code


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ReconcilerError, 1),
        (UnreachableError, 1),
        (BlockedError, 3),
        (PaymentRequiredError, 3),
        (LockHeldError, 4),
        (InvalidLockfileError, 5),
        (UsageError, 64),
    ],
)
def test_every_error_knows_its_exit_code(kind: type[ReconcilerError], code: int) -> None:
    assert kind("what happened", hint="what to do").exit_code == code


def test_invalid_manifests_come_with_all_diagnostics() -> None:
    found = [Diagnostic("a.yaml", 1, 2, "bad"), Diagnostic("a.yaml", 3, 4, "old", Severity.WARNING)]
    error = InvalidManifestsError(found)
    assert error.exit_code == 5
    assert [str(each) for each in error.diagnostics] == [
        "a.yaml:1:2: bad",
        "a.yaml:3:4: warning: old",
    ]
