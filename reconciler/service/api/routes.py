"""The table of the API: every path, its methods, and what can be said of each.

The one place that knows which calls there are: requests are routed by it, and the OpenAPI document
is made from it.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from reconciler.service.api import handlers as do
from reconciler.service.api import openapi
from reconciler.service.api.calls import Reply
from reconciler.service.api.operation import Operation
from reconciler.service.resources.config import ROLLOUT, STIM
from reconciler.service.wire import dumps

if TYPE_CHECKING:
    from reconciler.service.api.calls import Call


async def _document(_: Call) -> Reply:
    return Reply(_document_text())


@cache
def _document_text() -> str:
    return dumps(openapi.document(TABLE))


def _stage(stage: str) -> dict[str, Operation]:
    """Return what can be done with ``…/stim`` or ``…/rollout``."""
    name, answers = stage.capitalize(), {200: f"{stage.capitalize()}Status"}
    return {
        "GET": Operation(
            partial(do.stage_status, stage), f"get{name}", f"Show where a {stage} stands", answers
        ),
        "POST": Operation(
            partial(do.start_stage, stage),
            f"run{name}",
            f"Start a {stage} unless it runs or is complete",
            answers,
            refusals=(402,),
        ),
    }


def _output(stage: str) -> dict[str, Operation]:
    """Return what can be done with ``…/stim/output`` or ``…/rollout/output``."""
    name = stage.capitalize()
    return {
        "GET": Operation(
            partial(do.stage_output, stage),
            f"get{name}Output",
            f"Read what a {stage} made",
            {200: f"{name}Page"},
            numbers=do.PAGE,
        )
    }


_REPO = "/v1/repo/{repo}"
_TARGET = f"{_REPO}/targets/{{target}}"

TABLE: dict[str, dict[str, Operation]] = {
    "/openapi.json": {
        "GET": Operation(
            _document, "getDocument", "Show this document", {200: "Document"}, open=True
        ),
    },
    "/v1/health": {
        "GET": Operation(
            do.health,
            "getHealth",
            "Say whether the service is in order",
            {200: "Health"},
            open=True,
        ),
    },
    "/v1/repo": {
        "GET": Operation(
            do.list_repos,
            "listRepos",
            "List repositories",
            {200: "RepoList"},
            numbers=do.REPO_PAGE,
            flags={do.METADATA: "Answer with base models, in pages."},
        ),
        "POST": Operation(
            do.create_repo,
            "createRepo",
            "Create a repository, or find it as wanted",
            {200: "Repo", 201: "Repo"},
            refusals=(409,),
            body="RepoCreate",
        ),
        "PUT": Operation(
            do.put_repo,
            "setRepo",
            "Create a repository, or find it as wanted",
            {200: "Repo"},
            refusals=(409,),
            body="RepoCreate",
            deprecated=True,
        ),
    },
    _REPO: {"GET": Operation(do.get_repo, "getRepo", "Show a repository", {200: "Repo"})},
    f"{_REPO}/prompts": {
        "GET": Operation(do.list_prompts, "listPrompts", "List prompts", {200: "PromptNames"}),
        "POST": Operation(
            do.create_prompt,
            "createPrompt",
            "Create a prompt, or find it as wanted",
            {200: "Prompt", 201: "Prompt"},
            refusals=(409,),
            body="PromptCreate",
        ),
    },
    f"{_REPO}/prompts/batch": {
        "POST": Operation(
            do.put_prompts,
            "createPrompts",
            "Create or replace prompts",
            {200: "BatchResult"},
            body="PromptBatch",
        ),
        "PUT": Operation(
            do.put_prompts,
            "setPrompts",
            "Create or replace prompts",
            {200: "BatchResult"},
            body="PromptBatch",
            deprecated=True,
        ),
    },
    f"{_REPO}/prompts/{{prompt}}": {
        "GET": Operation(do.get_prompt, "getPrompt", "Show a prompt", {200: "Prompt"}),
        "PUT": Operation(
            do.put_prompt,
            "setPrompt",
            "Create or replace a prompt",
            {200: "Prompt"},
            body="PromptSet",
            deprecated=True,
        ),
    },
    f"{_REPO}/targets": {
        "GET": Operation(do.list_targets, "listTargets", "List targets", {200: "TargetNames"}),
        "POST": Operation(
            do.create_target,
            "createTarget",
            "Create a target, or find it as wanted",
            {200: "Target", 201: "Target"},
            refusals=(409,),
            body="TargetCreate",
        ),
    },
    f"{_REPO}/targets/batch": {
        "POST": Operation(
            do.create_targets,
            "createTargets",
            "Create targets, in order",
            {200: "BatchResult"},
            refusals=(409,),
            body="TargetBatch",
        ),
        "PUT": Operation(
            do.create_targets,
            "setTargets",
            "Create targets, in order",
            {200: "BatchResult"},
            refusals=(409,),
            body="TargetBatch",
            deprecated=True,
        ),
    },
    _TARGET: {
        "GET": Operation(do.get_target, "getTarget", "Show a target", {200: "Target"}),
        "PUT": Operation(
            do.put_target,
            "setTarget",
            "Create a target, or find it as wanted",
            {200: "Target"},
            refusals=(409,),
            body="TargetSet",
            deprecated=True,
        ),
        "DELETE": Operation(
            do.delete_target,
            "deleteTarget",
            "Delete a target with its jobs and outputs",
            {200: "Deleted"},
        ),
    },
    f"{_TARGET}/stim": _stage(STIM),
    f"{_TARGET}/rollout": _stage(ROLLOUT),
    f"{_TARGET}/stim/output": _output(STIM),
    f"{_TARGET}/rollout/output": _output(ROLLOUT),
}
"""Every path and its methods; the first path that fits counts."""

OPEN_PATHS = frozenset(
    path for path, methods in TABLE.items() if all(each.open for each in methods.values())
)
"""The paths that need no key."""
