"""The live addresses of declared resources: those they may have, and the one they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.equality.canonical import revised_names, revision_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.model.desired import DesiredPrompt, DesiredTarget
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.plan import Action


def candidates(resource: DesiredPrompt | DesiredTarget) -> tuple[ResourceId, ResourceId]:
    """Return its own address and that of its revision."""
    return resource.id, revision_of(resource)


def revision_of(resource: DesiredPrompt | DesiredTarget) -> ResourceId:
    """Return the address of its revision; costs a digest."""
    return resource.id.called(revision_name(resource.name, resource.digest))


class Listed:
    """What a repo lists: the live addresses that declared resources may have."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._revised = revised_names(names)

    def __contains__(self, id_: ResourceId) -> bool:
        return id_.name in self._names

    def candidates(self, resource: DesiredPrompt | DesiredTarget) -> Iterator[ResourceId]:
        """Return the candidates that are listed; makes no digest without need."""
        if resource.id in self:
            yield resource.id
        if resource.name in self._revised and revision_of(resource) in self:
            yield revision_of(resource)


def live_address(action: Action) -> ResourceId:
    """Return the address under which the target of an action is live, or will be."""
    return action.resource.called(action.live_name)
