"""Names that documents use of each other: whether they exist, and in which order they come.

A prompt or a template may also exist live only, so an unknown name is an error only where it looks
like a misspelling of a declared one; the plan finds out about the others. Of very many unknown
names only the first are held against the declared ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core import graph
from reconciler.core.equality import normalize
from reconciler.core.model.manifest import Document, Kind, Problem, ResourceId
from reconciler.core.names import Comparisons, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.core.declare.targets import Draft

_CLOSE = 0.75


def check(
    documents: Mapping[ResourceId, Document],
    drafts: Mapping[ResourceId, Draft],
    known: frozenset[ResourceId],
) -> list[Problem]:
    """Return a problem for every reference to nothing that can be told offline."""
    names: dict[tuple[Kind, str], set[str]] = {}
    for id_ in known:
        names.setdefault((id_.kind, id_.repo if id_.name else ""), set()).add(id_.name or id_.repo)
    comparisons = Comparisons()
    found = list(_unknown_repos(documents, names.get((Kind.REPO, ""), set()), comparisons))
    # Looking for what a name resembles is slow, and many targets share a name: ask once.
    seen: dict[ResourceId, str] = {}
    for item in drafts.values():
        for field, id_ in _references(item):
            if id_ not in seen:
                declared = names.get((id_.kind, id_.repo), set())
                seen[id_] = _misspelling(id_, declared, comparisons)
            if seen[id_]:
                found.append(item.problem(("spec", _as_written(item, field)), seen[id_]))
    return found


def order(drafts: Mapping[ResourceId, Draft], problems: list[Problem]) -> dict[ResourceId, Draft]:
    """Return the drafts with every template before what uses it; cycles go to ``problems``."""
    parent = {id_: item.parent for id_, item in drafts.items() if item.parent}
    ids = sorted(drafts)
    for cycle in graph.cycles(parent, parent):
        names = " → ".join(id_.name for id_ in [*cycle, cycle[0]])
        first = drafts[cycle[0]]
        problems.append(first.problem(("spec", "template"), f"templates in a circle: {names}"))
    return {id_: drafts[id_] for id_ in graph.order(ids, parent)}


def _unknown_repos(
    documents: Mapping[ResourceId, Document], repos: set[str], comparisons: Comparisons
) -> Iterator[Problem]:
    # A project that declares no repo at all works in repos that exist live.
    if not repos:
        return
    unknown = sorted({id_.repo for id_ in documents} - repos)
    texts = {
        repo: f'repo "{repo}" is not declared{comparisons.suggest(repo, repos)}' for repo in unknown
    }
    for id_, doc in documents.items():
        if id_.repo in texts:
            yield doc.problem(("metadata", "repo"), texts[id_.repo])


def _references(item: Draft) -> Iterator[tuple[str, ResourceId]]:
    for field in normalize.PROMPT_FIELDS:
        name = item.overrides.get(field)
        if name:
            yield field, ResourceId(Kind.PROMPT, item.id.repo, name)
    if item.parent:
        yield "template", item.parent


def _misspelling(id_: ResourceId, names: set[str], comparisons: Comparisons) -> str:
    """Return what to say of a name that looks like a wrong one, or nothing."""
    if id_.name in names or comparisons.is_over:
        return ""
    comparisons.count(names)
    if id_.kind is Kind.TARGET:
        names = names | {normalize.DEFAULT_TEMPLATE}
    if not is_misspelt(id_.name, names):
        return ""
    return f'no {id_.kind.lower()} "{id_.name}" is declared{suggest(id_.name, names)}'


def _as_written(item: Draft, field: str) -> str:
    """Return the name under which a document gives a field: today's or the deprecated one."""
    spec = item.document.value.get("spec") or {}
    return next(
        (old for old, new in normalize.RENAMED.items() if new == field and old in spec), field
    )


def is_misspelt(name: str, declared: Iterable[str]) -> bool:
    """Whether a name is no declared one but looks like one.

    ``expert-v2`` beside ``expert`` does not: a name with a suffix of its own was meant as written.
    """
    candidates = set(declared)
    if name in candidates:
        return False
    import difflib  # only what is not declared needs it

    close = difflib.get_close_matches(name, candidates, n=3, cutoff=_CLOSE)
    return any(not _is_variant(name, other) for other in close)


def _is_variant(name: str, other: str) -> bool:
    shorter, longer = sorted((name, other), key=len)
    rest = longer.removeprefix(shorter)
    suffixed = rest != longer and bool(rest) and not rest[0].isalpha()
    return suffixed or _letters(name) == _letters(other)


def _letters(name: str) -> str:
    return "".join(char for char in name if not char.isdigit())
