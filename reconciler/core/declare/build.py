"""Turn schema-valid documents into the desired value, collecting every problem on the way.

Pure: documents arrive with their files already read. Problems carry a path into their document;
who reads the manifests turns that into a line and a column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.core.declare import references, targets
from reconciler.core.equality import canonical, normalize
from reconciler.core.model.desired import Desired, DesiredPrompt, DesiredRepo, OnChange
from reconciler.core.model.manifest import Document, Kind, Problem, ResourceId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def build(
    documents: Sequence[Document], *, also_declared: frozenset[ResourceId] = frozenset()
) -> tuple[Desired, tuple[Problem, ...]]:
    """Return what the documents declare, and everything that is wrong across them.

    ``also_declared`` are the addresses of documents left out because something else is wrong with
    them, so that a reference to one of them is not reported as a second problem.
    """
    project, problems = _only_project(documents)
    settings = (project.value.get("spec") or {}) if project else {}
    defaults = settings.get("defaults") or {}
    if project:
        path = ("spec", "defaults", "spec")
        problems.extend(targets.problems_of_spec(project, defaults.get("spec") or {}, path))
    # Whichever file a document stands in, and wherever, means nothing.
    unique = dict(sorted(_by_id(documents, problems).items()))
    repos = {id_: _repo(doc) for id_, doc in unique.items() if id_.kind is Kind.REPO}
    prompts = {
        id_: _prompt(doc, defaults) for id_, doc in unique.items() if id_.kind is Kind.PROMPT
    }
    drafts = {
        id_: targets.draft(doc, defaults, problems)
        for id_, doc in unique.items()
        if id_.kind is Kind.TARGET
    }
    known = frozenset(unique) | also_declared
    problems.extend(references.check(unique, drafts, known))
    ordered = references.order(drafts, problems)
    declared = targets.finish(ordered, prompts, project, problems)
    desired = Desired(
        repos=repos,
        prompts=prompts,
        targets=declared,
        project=(project.value.get("metadata") or {}).get("name") if project else None,
        api_url=settings.get("api_url"),
        max_new_trajectories=(settings.get("budget") or {}).get("max_new_trajectories"),
    )
    return desired, tuple(problems)


def _only_project(documents: Sequence[Document]) -> tuple[Document | None, list[Problem]]:
    found = [doc for doc in documents if doc.kind is Kind.PROJECT]
    problems = [
        doc.problem(("kind",), f"there may be one Project at most; the first is in {found[0].file}")
        for doc in found[1:]
    ]
    return (found[0] if found else None), problems


def _by_id(documents: Sequence[Document], problems: list[Problem]) -> dict[ResourceId, Document]:
    unique: dict[ResourceId, Document] = {}
    for doc in documents:
        if doc.kind is Kind.PROJECT:
            continue
        id_ = document_id(doc)
        first = unique.setdefault(id_, doc)
        if first is not doc:
            cell, this = f" {first.cell}" if first.cell else "", "; this is" if doc.cell else ""
            text = f"{id_.kind} {id_} is declared twice; the first one is in {first.file}"
            problems.append(doc.problem(("metadata", "name"), text + cell + this))
    return unique


def document_id(doc: Document) -> ResourceId:
    """Return the address of the resource that a document declares (not of a Project)."""
    metadata = doc.value["metadata"]
    if doc.kind is Kind.REPO:
        return ResourceId(Kind.REPO, metadata["name"])
    return ResourceId(doc.kind, metadata["repo"], metadata["name"])


def _repo(doc: Document) -> DesiredRepo:
    spec = doc.value.get("spec") or {}
    return DesiredRepo(doc.value["metadata"]["name"], spec.get("base_model"), doc.origin)


def _prompt(doc: Document, defaults: Mapping[str, Any]) -> DesiredPrompt:
    content = normalize.prompt_content(doc.value["spec"])
    return DesiredPrompt(
        id=document_id(doc),
        content=content,
        lazy_digest=canonical.Digest(lambda: content),
        on_change=_prompt_on_change(doc, defaults),
        source=doc.origin,
    )


def _prompt_on_change(doc: Document, defaults: Mapping[str, Any]) -> OnChange:
    own = (doc.value.get("policy") or {}).get("on_change")
    inherited = OnChange((defaults.get("policy") or {}).get("on_change", OnChange.FAIL))
    # A project may default targets to `replace`; a prompt cannot be deleted, so it stays blocked.
    return OnChange(own) if own else (OnChange.FAIL if inherited is OnChange.REPLACE else inherited)
