"""How far a run has come is known however it ends; none begins that could not be recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builders import declare, prompt, repo, target

from reconciler.core.errors import (
    AuthenticationError,
    ExitCode,
    InvalidLockfileError,
    ReconcilerError,
)
from reconciler.service import Running, Settings, embedded
from reconciler.workflow import stopping
from reconciler.workflow.access import Access
from reconciler.workflow.place import place
from reconciler.workflow.pulling.downloads import PullOptions
from reconciler.workflow.verbs.apply import ApplyOptions, apply
from reconciler.workflow.verbs.destroy import destroy
from reconciler.workflow.verbs.pull import pull
from reconciler.workflow.verbs.refresh import refresh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconciler.core.model.events import RunResult
    from reconciler.workflow.place import Place

KEY = "the-key-of-this-test"
DESIRED = declare(repo(), prompt(), target())
TOLD: dict[str, Any] = {"confirm": lambda _: True, "emit": lambda _: None}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with embedded(Settings(tmp_path_factory.mktemp("service") / "data", key=KEY)) as service:
        yield service


def access(
    running: Running, key: str = KEY, ended: Callable[[str], object] = lambda _: None
) -> Access:
    return Access(api_url=running.url, environment={"BREAD_API_KEY": key}, ended=ended)


def applied(where: Place, by: Access) -> RunResult:
    return apply(where, DESIRED, by, ApplyOptions(), **TOLD)


def test_a_refused_key_has_made_its_requests_and_befallen_everything(
    running: Running, tmp_path: Path
) -> None:
    asked: list[str] = []
    by = access(running, "another-key", asked.append)
    with stopping.following() as so_far, pytest.raises(AuthenticationError):
        applied(place(tmp_path), by)
    result = so_far.result()
    assert result.requests == len(asked) > 0
    assert result.count(ExitCode.ERROR) == len(DESIRED.ids()) == len(result.outcomes)
    assert result.exit_code is ExitCode.ERROR


def test_a_key_that_is_refused_later_leaves_what_was_done(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise AuthenticationError("401: invalid API key")

    monkeypatch.setattr("reconciler.client.Api.create_prompt", refuse)
    asked: list[str] = []
    with stopping.following() as so_far, pytest.raises(AuthenticationError):
        applied(place(tmp_path), access(running, ended=asked.append))
    found = {str(outcome.resource): outcome.code for outcome in so_far.outcomes.values()}
    assert found == {
        "coding": ExitCode.OK,
        "coding/expert": ExitCode.ERROR,
        "coding/t": ExitCode.PENDING,
    }
    assert so_far.requests == len(asked)


def test_one_run_knows_nothing_of_another(running: Running, tmp_path: Path) -> None:
    with stopping.following() as first, pytest.raises(AuthenticationError):
        applied(place(tmp_path), access(running, "another-key"))
    with stopping.following() as second:
        assert not second.outcomes
        assert second.requests == 0
    assert first.outcomes


VERBS: dict[str, Callable[[Place, Access], object]] = {
    "apply": applied,
    "destroy": lambda where, by: destroy(where, DESIRED, by, allow_destroy=True, **TOLD),
    "refresh": lambda where, by: refresh(where, DESIRED, by),
    "pull": lambda where, by: pull(where, DESIRED, by, PullOptions(), _Watcher()),
}


class _Watcher:
    def moved(self, output: object, lines: int) -> None: ...

    def ended(self, pulled: object) -> None: ...


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_sent_where_the_lockfile_cannot_be_written(
    running: Running, tmp_path: Path, verb: str
) -> None:
    asked: list[str] = []
    by = access(running, ended=asked.append)
    with pytest.raises(ReconcilerError, match=r"there is no directory .*sub"):
        VERBS[verb](place(tmp_path, tmp_path / "sub" / "x.lock"), by)
    (tmp_path / "taken").mkdir()
    with pytest.raises(InvalidLockfileError, match="not a regular file"):
        VERBS[verb](place(tmp_path, tmp_path / "taken"), by)
    assert not asked
