"""The live addresses of declared resources: those they may have, and the one they do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.core.equality.canonical import revision_name

if TYPE_CHECKING:
    from reconciler.core.model.desired import DesiredPrompt, DesiredTarget
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.plan import Action


def candidates(resource: DesiredPrompt | DesiredTarget) -> tuple[ResourceId, ResourceId]:
    """Return its own address and that of its revision."""
    revised = revision_name(resource.name, resource.digest)
    return resource.id, replace(resource.id, name=revised)


def live_address(action: Action) -> ResourceId:
    """Return the address under which the target of an action is live, or will be."""
    return replace(action.resource, name=action.live_name)
