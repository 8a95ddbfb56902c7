"""Repositories: creating, showing and listing them.

Each public function is one call of the API on a valid body; it returns the answer or raises an
ApiError. Never reads a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.service.names import check_name
from reconciler.service.problems import conflict, not_found

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.service.state.store import Repo, Store

DEFAULT_BASE_MODEL = "Qwen/Qwen3-32B"


def find(store: Store, user: str, name: str) -> Repo:
    """Return a user's repository; raises a 404."""
    repo = store.repo(user, name)
    if repo is None:
        raise not_found("Repository not found")
    return repo


def create(store: Store, user: str, body: Mapping[str, Any]) -> tuple[bool, dict[str, str]]:
    """Create a repository unless it exists with the same base model; say whether it is new."""
    name, base_model = body["repo_name"], body.get("base_model") or DEFAULT_BASE_MODEL
    check_name(name, "body", "repo_name")
    with store.writing():
        live = store.repo(user, name)
        if live is None:
            store.add_repo(user, name, base_model)
        elif live.base_model != base_model:
            raise conflict(
                f"Repository '{name}' already exists with base_model '{live.base_model}',"
                f" not '{base_model}'"
            )
    return live is None, {"repo_name": name, "base_model": base_model}


def get(store: Store, user: str, name: str) -> dict[str, Any]:
    """Return a repository."""
    repo = find(store, user, name)
    return {"repo_name": repo.name, "base_model": repo.base_model}


def names(store: Store, user: str) -> dict[str, Any]:
    """Return the names of a user's repositories."""
    return {"repos": [repo.name for repo in store.repos(user)]}


def page(store: Store, user: str, offset: int, limit: int | None) -> dict[str, Any]:
    """Return some of a user's repositories with their base models; all without a limit."""
    repos = store.repos(user)
    limit = limit or max(len(repos), 1)
    shown = repos[offset : offset + limit]
    return {
        "repos": [{"repo_name": repo.name, "base_model": repo.base_model} for repo in shown],
        "offset": offset,
        "limit": limit,
        "has_more": offset + len(shown) < len(repos),
        "total": len(repos),
    }
