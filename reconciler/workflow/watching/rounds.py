"""One round of ``watch``: manifests read anew, then a whole ``apply`` under the run lock.

An error that a later round may find mended becomes part of how the round ended. At the first one,
what is wrong with the command line, the key, the manifests or the lockfile is raised instead. What
is to be said of the manifests is said once, until that changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.core.errors import (
    ApiError,
    AuthenticationError,
    InvalidManifestsError,
    LockHeldError,
    ReconcilerError,
)
from reconciler.workflow.loading import load
from reconciler.workflow.verbs.apply import apply

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.events import Event, RunResult
    from reconciler.core.model.manifest import Diagnostic
    from reconciler.core.model.plan import Plan
    from reconciler.core.selection.scope import Scope
    from reconciler.core.watching.rounds import Round
    from reconciler.workflow.access import Access
    from reconciler.workflow.place import Place
    from reconciler.workflow.verbs.apply import ApplyOptions
    from reconciler.workflow.watching.health import Health
    from reconciler.workflow.watching.recorder import Recorder


@dataclass(slots=True)
class Rounds:
    """What all rounds of a watch have in common; calling it makes one."""

    place: Place
    scope: Scope
    access: Access
    options: ApplyOptions
    recorder: Recorder
    health: Health
    emit: Callable[[Event], object]
    warn: Callable[[tuple[Diagnostic, ...]], object]
    _is_first: bool = True
    _told: tuple[Diagnostic, ...] = ()

    def __call__(self) -> Round:
        """Make a round; raises KeyboardInterrupt if a signal breaks it off."""
        self.health.begins()
        self.recorder.begin()
        try:
            desired, result = self._applied()
            done = self.recorder.ended(desired, result)
        except ReconcilerError as error:
            done = self.recorder.failed(error)
            if self._is_first and not _may_pass(error):
                raise
            if isinstance(error, InvalidManifestsError):
                self._tell(error.diagnostics)
        self._is_first = False
        self.health.ends(success=done.ending.is_success)
        return done

    def _applied(self) -> tuple[Desired, RunResult]:
        loaded = load(self.place, self.scope)
        self._tell(loaded.warnings)
        result = apply(
            self.place,
            loaded.desired,
            replace(self.access, ended=self.recorder.asked),
            self.options,
            confirm=self._agreed,
            emit=self._happened,
        )
        if result.interrupted:
            raise KeyboardInterrupt
        return loaded.desired, result

    def _tell(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        if diagnostics != self._told:
            self.warn(diagnostics)
            self._told = diagnostics

    def _agreed(self, plan: Plan) -> bool:
        self.recorder.planned(plan)
        return True

    def _happened(self, event: Event) -> None:
        self.recorder.happened(event)
        self.emit(event)


def _may_pass(error: ReconcilerError) -> bool:
    """Return whether an error may be over by the next round without anybody doing something."""
    passing = (ApiError, LockHeldError)
    return isinstance(error, passing) and not isinstance(error, AuthenticationError)
