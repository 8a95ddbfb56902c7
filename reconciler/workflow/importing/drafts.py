"""Documents in the making, and the check that they say of live state what is there.

Pure: knows no files and asks no API.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.core.declare import build
from reconciler.core.model.manifest import Document, Kind, ResourceId, Severity
from reconciler.core.model.plan import SETTLED
from reconciler.core.names import is_name
from reconciler.core.planning import compute_plan
from reconciler.manifests.checking import checker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.core.model.observed import Observed

Json = dict[str, Any]
#: Why something is left out that has a name such as "batch".
UNNAMEABLE = "a manifest cannot declare a resource of that name"


@dataclass(frozen=True, slots=True)
class Draft:
    """One document with all its content inline, and what to remark above it."""

    id: ResourceId
    value: Json
    remarks: tuple[str, ...] = ()


@dataclass(slots=True)
class Sifted:
    """The drafts that are good, and a sentence for each that was left out."""

    drafts: list[Draft] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def without(self, faults: dict[ResourceId, str]) -> None:
        """Leave out what has a fault."""
        self.drafts = [draft for draft in self.drafts if draft.id not in faults]
        self.notes += [left_out(id_, why) for id_, why in sorted(faults.items())]


def document(kind: Kind, metadata: Json, **blocks: Json) -> Json:
    """Return a manifest document; empty blocks are left out."""
    head = {"apiVersion": "reconciler/v1", "kind": str(kind), "metadata": metadata}
    return {**head, **{key: block for key, block in blocks.items() if block}}


def left_out(id_: ResourceId, why: str) -> str:
    """Return the sentence that says what is missing from the manifests."""
    return f"{id_.kind.lower()} {id_} is left out: {why}"


def sift(drafts: Iterable[Draft], observed: Observed | None = None) -> Sifted:
    """Leave out what is no valid document and, given live state, what a plan would not leave alone.

    With one left out, another may become wrong: it goes on until all is right.
    """
    found = Sifted(list(drafts))
    found.without({draft.id: why for draft in found.drafts if (why := _fault(draft))})
    while faults := _faults_together(found.drafts, observed):
        found.without(faults)
    return found


def _fault(draft: Draft) -> str:
    """Return what is wrong with a document by itself, if anything is."""
    odd = next((part for part in (draft.id.repo, draft.id.name) if part and not is_name(part)), "")
    if odd:
        return UNNAMEABLE
    try:
        json.dumps(draft.value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return "it holds something that no file can hold"
    if any("content_file" in message for message in _messages(draft)):
        return "a message has a key content_file, which would name a file here"
    problems = checker(draft.id.kind).problems(draft.value)
    if not problems:
        return ""
    place = ".".join(map(str, problems[0].path))
    return f"{place}: {problems[0].message}" if place else problems[0].message


def _messages(draft: Draft) -> Sequence[Json]:
    return draft.value.get("spec", {}).get("messages") or ()


def _faults_together(drafts: Sequence[Draft], observed: Observed | None) -> dict[ResourceId, str]:
    documents = [
        Document(str(number), 0, draft.id.kind, draft.value) for number, draft in enumerate(drafts)
    ]
    desired, problems = build(documents)
    errors = {
        drafts[int(problem.file)].id: problem.message
        for problem in problems
        if problem.severity is Severity.ERROR
    }
    if errors or observed is None:
        return errors
    plan = compute_plan(desired, observed, None, api_url="")
    unknown = {item.resource: item.why for item in plan.unknown}
    return unknown | {
        action.resource: action.message or str(action.reason).replace("_", " ")
        for action in plan.actions
        if action.verb not in SETTLED
    }


def known_keys(definition: str) -> frozenset[str]:
    """Return the keys that a definition of the manifest schema knows."""
    from reconciler import schema_files

    properties: Json = schema_files.load("manifest")["$defs"][definition]["properties"]
    return frozenset(properties)


def unknown_keys(value: Json, definition: str, *, but: Iterable[str] = ()) -> Iterator[str]:
    """Yield the keys that a manifest cannot say, sorted."""
    yield from sorted(value.keys() - (known_keys(definition) - frozenset(but)))
