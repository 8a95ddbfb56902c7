"""What the engine needs from outside, as protocols: the API calls. The client provides them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.core.model.desired import Stage
    from reconciler.core.model.observed import (
        Absent,
        LivePrompt,
        LiveRepo,
        LiveStage,
        LiveTarget,
    )


class ReadApi(Protocol):
    """The calls that change nothing; all raise subclasses of ApiError."""

    async def repo(self, name: str) -> LiveRepo | Absent: ...
    async def prompt_names(self, repo: str) -> frozenset[str]: ...
    async def prompt(self, repo: str, name: str) -> LivePrompt | Absent: ...
    async def target_names(self, repo: str) -> frozenset[str]: ...
    async def target(self, repo: str, name: str) -> LiveTarget | Absent: ...
    async def stage(self, repo: str, target: str, stage: Stage) -> LiveStage: ...


class WriteApi(ReadApi, Protocol):
    """The calls that change something; doing one twice is the same as doing it once.

    Only ``create_prompts`` replaces what is there, and so undoes what others wrote in between. The
    calls for several return what the API says of each: None that it is there, else why not.
    """

    async def create_repo(self, name: str, base_model: str | None) -> None: ...
    async def create_prompt(self, repo: str, name: str, content: Mapping[str, Any]) -> None: ...
    async def create_prompts(
        self, repo: str, prompts: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> Mapping[str, str | None]: ...
    async def create_target(self, repo: str, item: Mapping[str, Any]) -> None: ...
    async def create_targets(
        self, repo: str, items: Sequence[Mapping[str, Any]]
    ) -> Mapping[str, str | None]: ...
    async def delete_target(self, repo: str, name: str) -> None: ...
    async def run(self, repo: str, target: str, stage: Stage) -> LiveStage: ...
