"""What each call of the API does: it reads what it needs, hands it on and wraps the answer."""

from __future__ import annotations

import sqlite3

from reconciler.service.api.calls import Bounds, Call, Reply, reply
from reconciler.service.resources import prompts, repos, stages, targets

API = "reconciler local service"
VERSION = "v1"
PAGE = {
    "offset": Bounds(0, least=0, meaning="Where the page begins."),
    "limit": Bounds(100, least=1, most=1000, meaning="How many rows it may hold."),
}
REPO_PAGE = {
    "offset": Bounds(0, least=0, meaning="Where the page begins; counts with include_metadata."),
    "limit": Bounds(
        0, least=1, meaning="How many the page may hold; counts with include_metadata."
    ),
}
METADATA = "include_metadata"


async def health(call: Call) -> Reply:
    """GET /v1/health."""
    reason = await _trouble(call)
    if reason is None:
        return reply({"status": "healthy", "api": API, "version": VERSION})
    return reply({"status": "degraded", "api": API, "version": VERSION, "reason": reason})


async def _trouble(call: Call) -> str | None:
    try:
        call.store.ping()
    except sqlite3.Error:
        return "The database is out of order"
    if not call.store.is_writable():
        return "The data directory cannot be written to"
    return None if await call.is_model_up() else "The model endpoint does not answer"


async def list_repos(call: Call) -> Reply:
    """GET /v1/repo."""
    offset, limit = call.numbers(**REPO_PAGE)
    if not call.flag(METADATA):
        return reply(repos.names(call.store, call.user))
    return reply(repos.page(call.store, call.user, offset, limit or None))


async def create_repo(call: Call) -> Reply:
    """POST /v1/repo."""
    created, repo = repos.create(call.store, call.user, await call.body("RepoCreate"))
    return reply(repo, created=created)


async def put_repo(call: Call) -> Reply:
    """PUT /v1/repo, deprecated."""
    return reply(repos.create(call.store, call.user, await call.body("RepoCreate"))[1])


async def get_repo(call: Call) -> Reply:
    """GET /v1/repo/{repo}."""
    return reply(repos.get(call.store, call.user, *call.names("repo")))


async def list_prompts(call: Call) -> Reply:
    """GET …/prompts."""
    return reply(prompts.names(call.store, call.user, *call.names("repo")))


async def create_prompt(call: Call) -> Reply:
    """POST …/prompts."""
    (repo,) = call.names("repo")
    body = await call.body("PromptCreate")
    created, prompt = prompts.create(call.store, call.user, repo, body)
    return reply(prompt, created=created)


async def get_prompt(call: Call) -> Reply:
    """GET …/prompts/{prompt}."""
    return reply(prompts.get(call.store, call.user, *call.names("repo", "prompt")))


async def put_prompt(call: Call) -> Reply:
    """PUT …/prompts/{prompt}, deprecated."""
    repo, name = call.names("repo", "prompt")
    return reply(prompts.put(call.store, call.user, repo, name, await call.body("PromptSet")))


async def put_prompts(call: Call) -> Reply:
    """POST and PUT …/prompts/batch."""
    (repo,) = call.names("repo")
    return reply(prompts.put_all(call.store, call.user, repo, await call.body("PromptBatch")))


async def list_targets(call: Call) -> Reply:
    """GET …/targets."""
    return reply(targets.names(call.store, call.user, *call.names("repo")))


async def create_target(call: Call) -> Reply:
    """POST …/targets."""
    (repo,) = call.names("repo")
    body = await call.body("TargetCreate")
    created, target = targets.create(call.store, call.user, repo, body)
    return reply(target, created=created)


async def create_targets(call: Call) -> Reply:
    """POST and PUT …/targets/batch."""
    (repo,) = call.names("repo")
    return reply(targets.create_all(call.store, call.user, repo, await call.body("TargetBatch")))


async def get_target(call: Call) -> Reply:
    """GET …/targets/{target}."""
    return reply(targets.get(call.store, call.user, *call.names("repo", "target")))


async def put_target(call: Call) -> Reply:
    """PUT …/targets/{target}, deprecated."""
    repo, name = call.names("repo", "target")
    return reply(targets.put(call.store, call.user, repo, name, await call.body("TargetSet")))


async def delete_target(call: Call) -> Reply:
    """DELETE …/targets/{target}."""
    deleted = targets.delete(call.store, call.user, *call.names("repo", "target"))
    call.wake()
    return reply(deleted)


async def start_stage(stage: str, call: Call) -> Reply:
    """POST …/stim and POST …/rollout."""
    repo, target = call.names("repo", "target")
    started = stages.start(call.store, call.user, repo, target, stage)
    call.wake()
    return Reply(started)


async def stage_status(stage: str, call: Call) -> Reply:
    """GET …/stim and GET …/rollout."""
    repo, target = call.names("repo", "target")
    return Reply(stages.status(call.store, call.user, repo, target, stage))


async def stage_output(stage: str, call: Call) -> Reply:
    """GET …/stim/output and GET …/rollout/output."""
    offset, limit = call.numbers(**PAGE)
    repo, target = call.names("repo", "target")
    page = stages.page(call.store, call.user, repo, target, stage, offset=offset, limit=limit)
    return Reply(page)
