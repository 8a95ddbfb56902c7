"""What ``-v`` adds on stderr: what was read, what was asked, and how long that took.

Says nothing that anybody needs, and nothing at all without ``-v``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli import output
from reconciler.core.schema.wording import counted
from reconciler.render.style import safe

if TYPE_CHECKING:
    from reconciler.cli.common import Common
    from reconciler.core.model.desired import Desired
    from reconciler.manifests import Manifests
    from reconciler.workflow.verbs.shared import Looked


def manifests(common: Common, found: Manifests, seconds: float) -> None:
    """Say where the manifests lie, how much was read there, and what of it is declared."""
    read = f"{counted(found.files, 'file')}, {counted(found.documents, 'document')}"
    declared = contents(found.desired)
    _say(common, f"Manifests: {common.path} ({read}: {declared}), read in {seconds:.2f} s.")


def live_state(common: Common, looked: Looked) -> None:
    """Say which API was asked, and how much."""
    requests = counted(looked.requests, "request")
    _say(common, f"Live state: {looked.api_url}, {requests} in {looked.seconds:.2f} s.")


def lockfile(common: Common) -> None:
    """Say where the lockfile lies."""
    _say(common, f"Lockfile: {common.place.lockfile}.")


def contents(desired: Desired) -> str:
    """Return how much is declared, in words."""
    counts = (
        (len(desired.repos), "repo"),
        (len(desired.prompts), "prompt"),
        (len(desired.targets), "target"),
    )
    return ", ".join(counted(count, word) for count, word in counts)


def _say(common: Common, text: str) -> None:
    if common.verbose:
        output.note(common, safe(text))
