"""The calls of the stim & rollout API that the reconciler needs, typed."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from reconciler.client import parse
from reconciler.client.transport import TooLargeError
from reconciler.core.errors import NotFoundError, UnreachableError
from reconciler.core.model.observed import COMPLETE, Absent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reconciler.client.http import Http
    from reconciler.core.model.desired import Stage
    from reconciler.core.model.observed import LivePrompt, LiveRepo, LiveStage, LiveTarget
    from reconciler.core.model.outputs import OutputPage

Value = TypeVar("Value")


class Api:
    """Typed calls over one HTTP session; raises subclasses of ApiError alone."""

    def __init__(self, http: Http) -> None:
        self.http = http

    async def repo(self, name: str) -> LiveRepo | Absent:
        """Return a repo, or that there is none."""
        return await self._maybe(_path(name), parse.repo)

    async def repo_names(self) -> frozenset[str]:
        """Return the names of all repos."""
        return await self._read("/v1/repo", lambda body: parse.names(body, "repos"))

    async def create_repo(self, name: str, base_model: str | None) -> None:
        """Create a repo; raises ConflictError if it exists with another base model."""
        model = {} if base_model is None else {"base_model": base_model}
        await self.http.call("POST", "/v1/repo", body={"repo_name": name, **model})

    async def prompt_names(self, repo: str) -> frozenset[str]:
        """Return the names of all prompts of a repo."""
        return await self._read(_path(repo, "prompts"), lambda body: parse.names(body, "prompts"))

    async def prompt(self, repo: str, name: str) -> LivePrompt | Absent:
        """Return a prompt, or that there is none."""
        return await self._maybe(_path(repo, "prompts", name), parse.prompt)

    async def create_prompt(self, repo: str, name: str, content: Mapping[str, Any]) -> None:
        """Create a prompt; raises ConflictError if it exists with other content."""
        body = {"prompt_name": name, **content}
        await self.http.call("POST", _path(repo, "prompts"), body=body)

    async def create_prompts(
        self, repo: str, prompts: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> Mapping[str, str | None]:
        """Create or **replace** prompts without tools, given as messages by name.

        Return what the API says of each: None that it is there, else why not; it may say nothing of
        some. If the answer gets lost, that is an error at once: others may have written meanwhile.
        """
        path, body = _path(repo, "prompts", "batch"), {"prompts": prompts}
        return _verdicts(await self.http.call("POST", path, body=body, repeatable=False))

    async def target_names(self, repo: str) -> frozenset[str]:
        """Return the names of all targets of a repo."""
        return await self._read(_path(repo, "targets"), lambda body: parse.names(body, "targets"))

    async def target(self, repo: str, name: str) -> LiveTarget | Absent:
        """Return a target without its stages, or that there is none."""
        return await self._maybe(_path(repo, "targets", name), parse.target)

    async def create_target(self, repo: str, item: Mapping[str, Any]) -> None:
        """Create a target; raises ConflictError if it exists with another config."""
        await self.http.call("POST", _path(repo, "targets"), body=item)

    async def create_targets(
        self, repo: str, items: Sequence[Mapping[str, Any]]
    ) -> Mapping[str, str | None]:
        """Create several targets, templates before their users.

        Return what the API says of each, as ``create_prompts`` does. Raises ConflictError if one of
        them exists with another config; which of the others are there then is not told.
        """
        path, body = _path(repo, "targets", "batch"), {"targets": list(items)}
        return _verdicts(await self.http.call("POST", path, body=body))

    async def delete_target(self, repo: str, name: str) -> None:
        """Delete a target with its jobs and outputs; that it is gone already is fine."""
        try:
            await self.http.call("DELETE", _path(repo, "targets", name))
        except NotFoundError:
            return

    async def stage(self, repo: str, target: str, stage: Stage) -> LiveStage:
        """Return a job status; where it is complete without a count, the outputs tell the count."""
        path = _path(repo, "targets", target, stage)
        seen = await self._read(path, parse.stage)
        if seen.status == COMPLETE and seen.lines is None:
            page = await self._read(f"{path}/output", parse.stage, {"limit": 1})
            return replace(seen, lines=page.lines)
        return seen

    async def output(
        self, repo: str, target: str, stage: Stage, offset: int, limit: int
    ) -> OutputPage:
        """Return the records of a stage from ``offset`` on, at most ``limit`` of them.

        Where those make an answer larger than any may be, fewer are asked for.
        """
        from reconciler.client import outputs  # a plan reads no outputs

        path = _path(repo, "targets", target, stage, "output")
        try:
            return await self._read(path, outputs.page, {"offset": offset, "limit": limit})
        except UnreachableError as error:
            if limit == 1 or not isinstance(error.__cause__, TooLargeError):
                raise
        return await self.output(repo, target, stage, offset, limit // 2)

    async def run(self, repo: str, target: str, stage: Stage) -> LiveStage:
        """Ask for a job once; whether a lost request had its effect, only a new look can tell.

        An answer without a body says that it had, and a look at the status follows.
        """
        path = _path(repo, "targets", target, stage)
        body = await self.http.call("POST", path, repeatable=False)
        return _meaning(path, body, parse.stage) if body else await self._read(path, parse.stage)

    async def _maybe(self, path: str, read: Callable[[dict[str, Any]], Value]) -> Value | Absent:
        try:
            return await self._read(path, read)
        except NotFoundError:
            return Absent()

    async def _read(
        self,
        path: str,
        read: Callable[[dict[str, Any]], Value],
        params: Mapping[str, str | int] | None = None,
    ) -> Value:
        return _meaning(path, await self.http.call("GET", path, params=params), read)


def _path(repo: str, *rest: str) -> str:
    return "/".join(["/v1/repo", *map(_quoted, (repo, *rest))])


@lru_cache(maxsize=1024)  # the same few names follow one another
def _quoted(name: str) -> str:
    return quote(name, safe="", errors="surrogatepass")


def _verdicts(answer: Mapping[str, Any]) -> dict[str, str | None]:
    """Read the answer to a batch; where it contradicts itself, the item counts as failed."""
    created, failed = answer.get("created"), answer.get("failed")
    names = created if isinstance(created, list) else []
    reasons = failed if isinstance(failed, dict) else {}
    told: dict[str, str | None] = {name: None for name in names if isinstance(name, str)}
    return told | {name: str(why) for name, why in reasons.items()}


def _meaning(path: str, body: dict[str, Any], read: Callable[[dict[str, Any]], Value]) -> Value:
    try:
        return read(body)
    except ValueError as error:
        raise UnreachableError(f"{path}: the answer makes no sense: {error}") from error
