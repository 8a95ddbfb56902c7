"""What the work of the service can be measured by; the numbers are kept elsewhere."""

from __future__ import annotations

from typing import Literal, Protocol

Kind = Literal["questions", "answers"]
"""What a model is asked for."""
Outcome = Literal["ok", "rate_limited", "server_error", "timeout", "connection", "refused"]
"""How asking ended."""


class Meter(Protocol):
    """Something that counts what happens."""

    def rows(self, stage: str, count: int) -> None:
        """Count rows that were committed."""

    def job_ended(self, stage: str, status: str) -> None:
        """Count an attempt at a stage that ended."""

    def model_request(self, kind: Kind, outcome: Outcome, seconds: float) -> None:
        """Count a request to the model endpoint, for questions or answers, and its outcome."""

    def model_tokens(self, prompt: int, completion: int) -> None:
        """Count the tokens that the model endpoint says it has used."""

    def model_up(self, up: bool) -> None:
        """Note whether the model endpoint answers."""


class NoMeter:
    """Counts nothing."""

    def rows(self, stage: str, count: int) -> None:
        """Count nothing."""

    def job_ended(self, stage: str, status: str) -> None:
        """Count nothing."""

    def model_request(self, kind: Kind, outcome: Outcome, seconds: float) -> None:
        """Count nothing."""

    def model_tokens(self, prompt: int, completion: int) -> None:
        """Count nothing."""

    def model_up(self, up: bool) -> None:
        """Count nothing."""
