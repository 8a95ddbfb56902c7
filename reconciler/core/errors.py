"""The exception tree and the exit codes of the contract.

An error that a person may see carries a sentence, a hint (what to do next) and the exit code of the
process. This module never formats for a terminal and never decides which error occurred.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.core.model.manifest import Diagnostic


class ExitCode(IntEnum):
    """Exit codes that scripts and CI jobs may rely on."""

    OK = 0
    ERROR = 1
    PENDING = 2
    BLOCKED = 3
    LOCKED = 4
    INVALID = 5
    USAGE = 64
    INTERRUPTED = 130


_WORST_FIRST = (ExitCode.ERROR, ExitCode.BLOCKED, ExitCode.PENDING, ExitCode.OK)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the worst of several outcomes, in the contract's order 1, 3, 2, 0."""
    seen = set(codes)
    return next((code for code in _WORST_FIRST if code in seen), ExitCode.OK)


class ReconcilerError(Exception):
    """A failure with a sentence for a person, and what to do next in ``hint``."""

    exit_code: ExitCode = ExitCode.ERROR

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ReconcilerError):
    """The command line asks for something that makes no sense."""

    exit_code = ExitCode.USAGE


class BlockedError(ReconcilerError):
    """Nothing can go on until a person decides."""

    exit_code = ExitCode.BLOCKED


class StalePlanError(BlockedError):
    """A saved plan is not what would be done now."""


class LockHeldError(ReconcilerError):
    """Another run holds the run lock."""

    exit_code = ExitCode.LOCKED


class ApiError(ReconcilerError):
    """The API refused a request; the message holds its own sentence."""


class NotFoundError(ApiError):
    """The API answered that there is no such thing (404)."""


class ConflictError(ApiError):
    """Something different exists under that name already (409)."""


class AuthenticationError(ApiError):
    """The API does not accept the key, or not for this (401, 403); it stops everything."""


class PaymentRequiredError(ApiError):
    """Prepaid credits ran out (402): account-wide, and permanent until a person acts."""

    exit_code = ExitCode.BLOCKED


class UnreachableError(ApiError):
    """Nobody knows: no answer, a server's fault, or an answer that makes no sense.

    After such an error a request that changes something may or may not have had its effect.
    """


class InvalidLockfileError(ReconcilerError):
    """The lockfile cannot be used as it is."""

    exit_code = ExitCode.INVALID


class InvalidManifestsError(ReconcilerError):
    """The manifests are wrong; ``diagnostics`` says where and why, all at once."""

    exit_code = ExitCode.INVALID

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("the manifests are not valid")
