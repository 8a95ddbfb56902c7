"""Status after status, of manifests that are read again when one of their files has changed.

Where the project is a single file, that is read at every look, and so is what it refers to: reading
alone tells what that is, and takes little. What else lies beside it is not looked at. While
manifests are invalid, what they said before is what counts; so it is with the lockfile. Changes
nothing.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.core.errors import InvalidLockfileError, InvalidManifestsError, UsageError
from reconciler.manifests.snapshot import snapshot
from reconciler.workflow.loading import first_of, load
from reconciler.workflow.verbs.shared import is_of_another_api, read_lock
from reconciler.workflow.verbs.status import statuses

if TYPE_CHECKING:
    from collections.abc import Generator

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock
    from reconciler.core.selection.scope import Scope
    from reconciler.lockfile import Store
    from reconciler.manifests.snapshot import Snapshot
    from reconciler.workflow.access import Access
    from reconciler.workflow.place import Place
    from reconciler.workflow.verbs.status import Status


@dataclass(frozen=True, slots=True)
class Look:
    """A status; ``trouble`` says why it is not of the manifests as they are now, if it is not.

    ``torn`` says the same of the lockfile.
    """

    status: Status
    trouble: str = ""
    torn: str = ""


def seen(place: Place) -> Snapshot:
    """Return what the files of a project look like now, the lockfile left out.

    Of a single file that is nothing.
    """
    if _is_one_file(place):
        return frozenset()
    return snapshot(place.root, {os.path.realpath(place.lockfile)})


def _is_one_file(place: Place) -> bool:
    return place.root != place.manifests


@dataclass(slots=True)
class _Locks:
    """The lockfile as it was last read; ``torn`` says why it is not as it is now, if it is not."""

    torn: str = ""
    _last: Lock | None = None
    _is_known: bool = False

    def read(self, store: Store, api_url: str) -> Lock | None:
        """Return what the lockfile records, or did; raises InvalidLockfileError at first."""
        try:
            self._last, self.torn = read_lock(store, api_url), ""
        except InvalidLockfileError as error:
            if not self._is_known or is_of_another_api(self._last, api_url):
                raise
            self.torn = error.message
        self._is_known = True
        return self._last


@dataclass(slots=True)
class Looking:
    """Manifests as they were last read, without a problem; ``before`` is ``seen`` before that."""

    place: Place
    scope: Scope
    access: Access
    desired: Desired
    before: Snapshot
    trouble: str = ""
    _locks: _Locks = field(default_factory=_Locks)

    def looks(self) -> Generator[Look]:
        """Yield a status whenever the next one is asked for, for ever."""
        while True:
            read = self._locks.read
            with closing(statuses(self.place, self.desired, self.access, read=read)) as found:
                for status in found:
                    yield Look(status, self.trouble, self._locks.torn)
                    if self._is_read_again():
                        break

    def _is_read_again(self) -> bool:
        """Read the manifests if there is need to; return whether they say something else now."""
        now, before, old = seen(self.place), self.before, self.desired
        if now == before and not _is_one_file(self.place):
            return False
        self.before = now
        try:
            self.desired, self.trouble = load(self.place, self.scope).desired, ""
        except (InvalidManifestsError, UsageError) as error:
            self.trouble = _why(error)
        return self.desired != old


def _why(error: InvalidManifestsError | UsageError) -> str:
    return error.message if isinstance(error, UsageError) else first_of(error)
