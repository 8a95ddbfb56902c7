"""What may happen to a job on its way, besides its work: nothing, unless a rehearsal is on."""

from __future__ import annotations

from typing import Protocol


class Fate(Protocol):
    """What is to happen to one job."""

    async def before(self, n: int, total: int) -> bool:
        """Say whether row ``n`` of ``total`` is to be made; if not, no later one is.

        May take its time. Raises ModelError when the job is to fail.
        """


class Fates(Protocol):
    """The fates of all jobs."""

    def of(self, job: int, stage: str, target: str) -> Fate:
        """Return the fate of an attempt at a stage of a target, ``REPO/NAME``."""


class Undisturbed:
    """Lets every job do its work; the fates of all jobs and the fate of each."""

    def of(self, job: int, stage: str, target: str) -> Fate:
        """Return the fate of every job."""
        return self

    async def before(self, n: int, total: int) -> bool:
        """Say yes."""
        return True
