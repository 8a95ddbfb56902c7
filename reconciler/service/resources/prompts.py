"""Prompts: creating, replacing, showing and listing them. They cannot be deleted.

Each public function is one call of the API on a valid body; it returns the answer or raises an
ApiError. Never reads a request.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.service import schema
from reconciler.service.names import check_name, name_fault
from reconciler.service.problems import conflict, not_found
from reconciler.service.resources import repos
from reconciler.service.resources.config import canonical
from reconciler.service.wire import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.service.state.store import Repo, Store, StoredPrompt

Json = dict[str, Any]


def names(store: Store, user: str, repo: str) -> Json:
    """Return the names of a repository's prompts."""
    return {"prompts": store.prompt_names(repos.find(store, user, repo).id)}


def get(store: Store, user: str, repo: str, name: str) -> Json:
    """Return a prompt; ``tools`` only if it has some."""
    found = store.repo(user, repo)
    prompt = store.prompt(found.id, name) if found else None
    if prompt is None:
        raise not_found("Prompt not found")
    return {"prompt_name": name, **_stored(prompt)}


def create(store: Store, user: str, repo: str, body: Mapping[str, Any]) -> tuple[bool, Json]:
    """Create a prompt unless it exists with the same content; say whether it is new."""
    name, wanted = body["prompt_name"], _content(body)
    check_name(name, "body", "prompt_name", beside_batch=True)
    with store.writing():
        found = repos.find(store, user, repo)
        live = store.prompt(found.id, name)
        if live is None:
            _write(store, found, name, wanted)
        else:
            _refuse_other_content(name, _stored(live), wanted)
    return live is None, {"prompt_name": name, **wanted}


def put(store: Store, user: str, repo: str, name: str, body: Mapping[str, Any]) -> Json:
    """Create a prompt or replace its content."""
    wanted = _content(body)
    check_name(name, "path", "prompt_name", beside_batch=True)
    with store.writing():
        _write(store, repos.find(store, user, repo), name, wanted)
    return {"prompt_name": name, **wanted}


def put_all(store: Store, user: str, repo: str, body: Mapping[str, Any]) -> Json:
    """Create or replace several prompts; each is judged alone."""
    failed = {name: fault for name, fault in map(_item_fault, body["prompts"].items()) if fault}
    created = [name for name in body["prompts"] if name not in failed]
    with store.writing():
        found = repos.find(store, user, repo)
        for name in created:
            _write(store, found, name, {"messages": body["prompts"][name]})
    return {"created": created, "failed": failed}


def _content(body: Mapping[str, Any]) -> Json:
    tools = body.get("tools")
    return {"messages": body["messages"], **({"tools": tools} if tools is not None else {})}


def _stored(prompt: StoredPrompt) -> Json:
    tools = {"tools": json.loads(prompt.tools)} if prompt.tools is not None else {}
    return {"messages": json.loads(prompt.messages), **tools}


def _write(store: Store, repo: Repo, name: str, content: Json) -> None:
    tools = dumps(content["tools"]) if "tools" in content else None
    store.set_prompt(repo.id, name, dumps(content["messages"]), tools)


def _refuse_other_content(name: str, live: Json, wanted: Json) -> None:
    differing = [
        part
        for part in ("messages", "tools")
        if canonical(live.get(part)) != canonical(wanted.get(part))
    ]
    if differing:
        raise conflict(f"Prompt '{name}' already exists with different {' and '.join(differing)}")


def _item_fault(item: tuple[str, object]) -> tuple[str, str | None]:
    name, messages = item
    fault = name_fault(name, beside_batch=True)
    if fault is None and not schema.fits("Messages", messages):
        fault = schema.faults("Messages", messages)[0].sentence()
    return name, fault
