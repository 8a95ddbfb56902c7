"""Status after status, of manifests that are read again when one of their files has changed.

While they are invalid, what they said before is what counts. Changes nothing.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.core.errors import InvalidManifestsError, UsageError
from reconciler.core.model.manifest import Severity
from reconciler.manifests.snapshot import snapshot
from reconciler.workflow.loading import load
from reconciler.workflow.verbs.status import statuses

if TYPE_CHECKING:
    from collections.abc import Generator

    from reconciler.core.model.desired import Desired
    from reconciler.core.selection.scope import Scope
    from reconciler.manifests.snapshot import Snapshot
    from reconciler.workflow.access import Access
    from reconciler.workflow.place import Place
    from reconciler.workflow.verbs.status import Status


@dataclass(frozen=True, slots=True)
class Look:
    """A status; ``trouble`` says why it is not of the manifests as they are now, if it is not."""

    status: Status
    trouble: str = ""


def seen(place: Place) -> Snapshot:
    """Return what the files of a project look like now, the lockfile left out."""
    return snapshot(place.root, {str(place.lockfile.resolve())})


@dataclass(slots=True)
class Looking:
    """Manifests as they were last read, without a problem; ``before`` is ``seen`` before that."""

    place: Place
    scope: Scope
    access: Access
    desired: Desired
    before: Snapshot
    trouble: str = ""

    def looks(self) -> Generator[Look]:
        """Yield a status whenever the next one is asked for, for ever."""
        while True:
            with closing(statuses(self.place, self.desired, self.access)) as found:
                for status in found:
                    yield Look(status, self.trouble)
                    if self._is_read_again():
                        break

    def _is_read_again(self) -> bool:
        now = seen(self.place)
        if now == self.before:
            return False
        self.before = now
        try:
            self.desired, self.trouble = load(self.place, self.scope).desired, ""
        except (InvalidManifestsError, UsageError) as error:
            self.trouble = _why(error)
            return False
        return True


def _why(error: InvalidManifestsError | UsageError) -> str:
    if isinstance(error, UsageError):
        return error.message
    first, *more = [it for it in error.diagnostics if it.severity is Severity.ERROR]
    return f"{first} (and {len(more):,} more)" if more else str(first)
