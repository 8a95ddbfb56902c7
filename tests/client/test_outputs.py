"""Pages of output as they come, and those that are too large to come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconciler.client import direct
from reconciler.core.errors import NotFoundError, UnreachableError
from reconciler.core.model.desired import Stage
from reconciler.core.model.outputs import OutputPage

from .support import answer, asynchronous, ok, speaking

if TYPE_CHECKING:
    from reconciler.client import Api

RECORDS = [{"stimulus_id": 0, "question": "Why?"}]
PAGES: dict[str, tuple[dict[str, Any], OutputPage]] = {
    "whole": (
        {
            "status": "complete",
            "lines": 1,
            "offset": 0,
            "limit": 1000,
            "has_more": False,
            "output": RECORDS,
            "config": {},
            "job_id": 7,
        },
        OutputPage(RECORDS, "complete", 1, 0, has_more=False, job=7),
    ),
    "bare strings": ({"output": ["Why?"]}, OutputPage(["Why?"])),
    "floats": ({"output": [], "lines": 2.0, "offset": 0.0}, OutputPage([], None, 2, 0)),
    "nulls": (
        {"output": [None], "status": None, "lines": None, "has_more": None, "job_id": None},
        OutputPage([None]),
    ),
    "nonsense": (
        {"output": [], "status": 3, "lines": "many", "offset": -1, "has_more": "yes"},
        OutputPage([]),
    ),
}


def asked(api: Api, limit: int = 1000) -> Any:
    return api.output("r", "a target/ä", Stage.STIM, 2000, limit)


@pytest.mark.parametrize(("body", "page"), PAGES.values(), ids=PAGES)
@asynchronous
async def test_pages_are_read_as_they_come(body: dict[str, Any], page: OutputPage) -> None:
    async with speaking(answer(200, body)) as (api, _):
        assert await asked(api) == page


@asynchronous
async def test_a_page_is_asked_for_by_its_place() -> None:
    async with speaking(ok(output=[])) as (api, server):
        await asked(api)
    path = "/v1/repo/r/targets/a%20target%2F%C3%A4/stim/output?offset=2000&limit=1000"
    assert [request.path for request in server.requests] == [path]


@pytest.mark.parametrize("body", [{}, {"output": None}, {"output": {"a": 1}}, {"output": "Why?"}])
@asynchronous
async def test_an_answer_without_records_makes_no_sense(body: dict[str, Any]) -> None:
    async with speaking(answer(200, body)) as (api, _):
        with pytest.raises(UnreachableError, match="no list of output"):
            await asked(api)


@asynchronous
async def test_a_target_that_has_gone_is_not_found() -> None:
    async with speaking(answer(404, {"error": "Target not found"})) as (api, _):
        with pytest.raises(NotFoundError):
            await asked(api)


class TestGiants:
    """A page that is larger than any answer may be is asked for in parts."""

    @pytest.fixture(autouse=True)
    def small_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(direct, "LARGEST_ANSWER", 1000)

    @asynchronous
    async def test_fewer_records_are_asked_for(self) -> None:
        giant = ok(output=["x" * 2000])
        async with speaking(giant, giant, ok(output=["x"])) as (api, server):
            assert (await asked(api)).records == ["x"]
        limits = [request.path.rpartition("=")[2] for request in server.requests]
        assert limits == ["1000", "500", "250"]

    @asynchronous
    async def test_a_single_giant_is_an_error(self) -> None:
        async with speaking(ok(output=["x" * 2000])) as (api, server):
            with pytest.raises(UnreachableError, match="larger than"):
                await asked(api, 4)
        assert len(server.requests) == 3
