"""Targets: creating, showing, listing and deleting them. Their config never changes.

Each public function is one call of the API on a valid body; it returns the answer or raises an
ApiError. Never reads a request.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from reconciler.service.names import check_name, name_fault
from reconciler.service.problems import ApiError, conflict, not_found
from reconciler.service.resources import config, repos
from reconciler.service.wire import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.service.resources.config import Config
    from reconciler.service.state.store import Repo, Store, StoredTarget

Json = dict[str, Any]


def names(store: Store, user: str, repo: str) -> Json:
    """Return the names of a repository's targets."""
    return {"targets": store.target_names(repos.find(store, user, repo).id)}


def get(store: Store, user: str, repo: str, name: str) -> Json:
    """Return a target with its merged config."""
    found = store.repo(user, repo)
    target = store.target(found.id, name) if found else None
    if target is None:
        raise not_found("Target not found")
    return _shown(name, json.loads(target.config))


def create(store: Store, user: str, repo: str, body: Mapping[str, Any]) -> tuple[bool, Json]:
    """Create a target unless it exists with the same config; say whether it is new."""
    check_name(body["target_name"], "body", "target_name", beside_batch=True)
    with store.writing():
        return _create(store, repos.find(store, user, repo), body)


def put(store: Store, user: str, repo: str, name: str, body: Mapping[str, Any]) -> Json:
    """Do what ``create`` does, for the deprecated call that names the target in its path."""
    check_name(name, "path", "target_name", beside_batch=True)
    with store.writing():
        return _create(store, repos.find(store, user, repo), {**body, "target_name": name})[1]


def create_all(store: Store, user: str, repo: str, body: Mapping[str, Any]) -> Json:
    """Create several targets, in order; a conflict refuses all, another fault only its item."""
    created: dict[str, None] = {}
    failed: dict[str, str] = {}
    with store.writing():
        found = repos.find(store, user, repo)
        for item in body["targets"]:
            fault = _try(store, found, item)
            if fault is None:
                created[item["target_name"]] = None
            else:
                failed[item["target_name"]] = fault
    return {"created": list(created), "failed": failed}


def delete(store: Store, user: str, repo: str, name: str) -> Json:
    """Delete a target, its jobs and their outputs."""
    with store.writing():
        found = store.repo(user, repo)
        if found is None or not store.delete_target(found.id, name):
            raise not_found("Target not found")
    return {"message": f"Target '{name}' deleted"}


def _try(store: Store, repo: Repo, item: Mapping[str, Any]) -> str | None:
    """Create a target of a batch; return why that failed, but raise a conflict."""
    fault = name_fault(item["target_name"], beside_batch=True)
    if fault is not None:
        return fault
    try:
        _create(store, repo, item)
    except ApiError as error:
        if error.status is HTTPStatus.CONFLICT:
            raise
        return error.message
    return None


def _create(store: Store, repo: Repo, body: Mapping[str, Any]) -> tuple[bool, Json]:
    name = body["target_name"]
    template = _template(store, repo, body["template"])
    wanted = config.merge(template, config.normalise(body.get("overrides")))
    live = store.target(repo.id, name)
    if live is None:
        _add(store, repo, name, wanted)
    else:
        _refuse_other_config(name, live, wanted)
    return live is None, _shown(name, wanted)


def _template(store: Store, repo: Repo, template: str) -> Config:
    if template == "default":
        return config.default_template(repo.base_model)
    target = store.target(repo.id, template)
    if target is None:
        raise not_found(f"Template not found: '{template}' is neither 'default' nor a target")
    found: Config = json.loads(target.config)
    return found


def _add(store: Store, repo: Repo, name: str, wanted: Config) -> None:
    stages = {
        stage: dumps(config.parameters(wanted, stage)) for stage in (config.STIM, config.ROLLOUT)
    }
    store.add_target(repo.id, name, dumps(wanted), **stages)


def _refuse_other_config(name: str, live: StoredTarget, wanted: Config) -> None:
    differing = config.differences(json.loads(live.config), wanted)
    if differing:
        phrases = "; ".join(differing)
        raise conflict(f"Target '{name}' already exists with a different config: {phrases}")


def _shown(name: str, merged: Config) -> Json:
    return {"target_name": name, "config": config.public(merged)}
