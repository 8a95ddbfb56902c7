"""The laws of paging: any pages, put together, are the whole; what was seen never changes."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.service.resources import stages
from reconciler.service.state.store import Store
from reconciler.service.work.sink import Sink

from .support import MASTER_KEY, Api, Json, client, new_job

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.service import Running

QUESTIONS = 23
SAMPLES = 2


@pytest.fixture(scope="module")
def finished(running: Running) -> Iterator[tuple[Api, str]]:
    with client(running.url, key=MASTER_KEY, user="pages") as api:
        target = api.target(
            generators=[{"type": "oneshot_qs", "numq": QUESTIONS}], num_traj_per_stimulus=SAMPLES
        )
        api.run(f"{target}/stim")
        api.run(f"{target}/rollout")
        yield api, target


@settings(max_examples=25, deadline=None)
@given(stage=st.sampled_from(["stim", "rollout"]), limit=st.integers(1, 60))
def test_pages_put_together_are_the_whole(
    finished: tuple[Api, str], stage: str, limit: int
) -> None:
    api, target = finished
    whole = api.ok("GET", f"{target}/{stage}/output?limit=1000")["output"]
    assert len(whole) == QUESTIONS * (SAMPLES if stage == "rollout" else 1)
    assert api.output(f"{target}/{stage}", limit) == whole


@settings(max_examples=25, deadline=None)
@given(offset=st.integers(0, 60), limit=st.integers(1, 60))
def test_a_page_is_a_slice(finished: tuple[Api, str], offset: int, limit: int) -> None:
    api, target = finished
    whole = api.ok("GET", f"{target}/rollout/output?limit=1000")["output"]
    page = api.ok("GET", f"{target}/rollout/output?offset={offset}&limit={limit}")
    assert page["output"] == whole[offset : offset + limit]
    assert page["has_more"] == (offset + limit < len(whole))
    assert (page["offset"], page["limit"]) == (offset, limit)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=st.permutations(range(12)).flatmap(lambda order: _cut(list(order))))
def test_rows_in_any_order_show_as_a_growing_prefix(
    tmp_path: Path, batches: list[list[int]]
) -> None:
    """Rows come as answers do; a runner that starts anew in between sees what there is."""
    store = Store(tmp_path)
    try:
        job = new_job(store, "stim", 12)
        arrived: set[int] = set()
        for batch in batches:
            asyncio.run(_feed(store, job, batch))
            arrived |= set(batch)
            prefix = next(n for n in range(13) if n not in arrived)
            assert store.work(job).lines == prefix
            for offset in range(0, 13, 5):
                page = _page(store, offset, 5)
                assert (
                    page["output"] == [str(n) for n in range(13)][offset : min(prefix, offset + 5)]
                )
                assert page["has_more"] == (offset + 5 < prefix)
    finally:
        store.close()


def test_a_page_costs_the_same_wherever_it_is(tmp_path: Path) -> None:
    """Counted in steps of the database's machine, which a scan would take more of."""
    rows = 200_000
    store = Store(tmp_path)
    try:
        job = new_job(store, "stim", 12)
        beginning = _steps(store, 0, rows=[])
        assert beginning > 0
        store.add_rows(job, ((n, f'"{n}"') for n in range(rows)), rows, rows)
        full = [str(n) for n in range(rows)]
        begin, middle, end = (
            _steps(store, offset, rows=full[offset : offset + 1000])
            for offset in (0, rows // 2, rows - 1000)
        )
        assert begin == middle == end
        assert _steps(store, rows, rows=[]) <= beginning
    finally:
        store.close()


def _steps(store: Store, offset: int, *, rows: list[str]) -> int:
    """Return what the page of ``rows`` costs."""
    steps = itertools.count()
    store._db.set_progress_handler(lambda: next(steps) and None, 1)
    page = _page(store, offset, 1000)
    store._db.set_progress_handler(None, 1)
    assert page["output"] == rows
    return next(steps)


def _page(store: Store, offset: int, limit: int) -> Json:
    text = stages.page(store, "", "r", "t", "stim", offset=offset, limit=limit)
    page: Json = json.loads(text)
    return page


async def _feed(store: Store, job: int, batch: list[int]) -> None:
    sink = Sink(store, job, store.work(job).lines)
    for n in batch:
        sink.add(n, f'"{n}"')
    sink.flush()


def _cut(order: list[int]) -> st.SearchStrategy[list[list[int]]]:
    places = st.lists(st.integers(1, len(order) - 1), unique=True).map(sorted)
    return places.map(
        lambda cuts: [
            order[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(order)], strict=True)
        ]
    )
