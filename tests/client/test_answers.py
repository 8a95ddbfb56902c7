"""What the API reports, however much or little of it there is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.client import parse
from reconciler.core.errors import UnreachableError
from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import LivePrompt, LiveRepo, LiveStage, LiveTarget

from .support import answer, asynchronous, ok, speaking

STATUSES: dict[str, tuple[dict[str, Any], LiveStage]] = {
    "bare": ({"status": "running"}, LiveStage("running")),
    "null lines": ({"status": "running", "lines": None}, LiveStage("running")),
    "floats": (
        {"status": "running", "lines": 12.0, "total_expected": 50.0, "progress_percent": 24},
        LiveStage("running", 12, 50, progress=24.0),
    ),
    "unknown keys": (
        {"status": "complete", "lines": 3, "job_id": 7, "eta": "soon", "nested": {"a": [1]}},
        LiveStage("complete", 3),
    ),
    "config": ({"status": "running", "lines": 1, "config": {"numq": 3}}, LiveStage("running", 1)),
    "parameters": (
        {"status": "running", "lines": 1, "parameters": {"numq": 3}},
        LiveStage("running", 1),
    ),
    "error": (
        {"status": "failed", "lines": 0, "error": "Out of memory"},
        LiveStage("failed", 0, error="Out of memory"),
    ),
    "error object": (
        {"status": "failed", "error": {"message": "Out of memory"}},
        LiveStage("failed", error="Out of memory"),
    ),
    "undocumented": ({"status": "hibernating", "lines": 4}, LiveStage("hibernating", 4)),
    "nonsense numbers": (
        {"status": "running", "lines": -4, "total_expected": "many", "progress_percent": True},
        LiveStage("running"),
    ),
}


@pytest.mark.parametrize(("body", "seen"), STATUSES.values(), ids=STATUSES)
@asynchronous
async def test_job_statuses_are_read_as_they_come(body: dict[str, Any], seen: LiveStage) -> None:
    async with speaking(answer(200, body)) as (api, _):
        assert await api.stage("r", "t", Stage.STIM) == seen
        assert await api.run("r", "t", Stage.ROLLOUT) == seen


@pytest.mark.parametrize(
    "body", [{}, {"lines": 4}, {"status": None}, {"status": 7}, {"status": ""}]
)
@asynchronous
async def test_a_job_without_a_status_is_unreadable(body: dict[str, Any]) -> None:
    async with speaking(answer(200, body)) as (api, _):
        with pytest.raises(UnreachableError, match="status"):
            await api.stage("r", "t", Stage.STIM)


@asynchronous
async def test_a_complete_job_without_a_count_is_counted_by_its_outputs() -> None:
    page = ok(status="complete", lines=42, offset=0, limit=1, has_more=True, output=["q"])
    async with speaking(ok(status="complete", lines=None), page) as (api, server):
        assert await api.stage("r", "t", Stage.STIM) == LiveStage("complete", 42)
    assert [request.path for request in server.requests] == [
        "/v1/repo/r/targets/t/stim",
        "/v1/repo/r/targets/t/stim/output?limit=1",
    ]


@asynchronous
async def test_a_count_that_nobody_knows_stays_unknown() -> None:
    async with speaking(ok(status="complete")) as (api, _):
        assert await api.stage("r", "t", Stage.STIM) == LiveStage("complete", None)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"prompts": []}, set()),
        ({"prompts": ["a", "b"]}, {"a", "b"}),
        ({"prompts": [{"prompt_name": "a", "messages": []}], "total": 1}, {"a"}),
    ],
)
@asynchronous
async def test_listings_hold_names_or_objects(body: dict[str, Any], names: set[str]) -> None:
    async with speaking(answer(200, body)) as (api, _):
        assert await api.prompt_names("r") == names


@pytest.mark.parametrize("more", [{"has_more": True}, {"total": 3}])
@asynchronous
async def test_a_listing_that_goes_on_is_unreadable_and_not_short(more: dict[str, Any]) -> None:
    async with speaking(answer(200, {"prompts": ["a", "b"], **more})) as (api, _):
        with pytest.raises(UnreachableError, match="only 2 prompts, and says there are more"):
            await api.prompt_names("r")


@pytest.mark.parametrize("body", [{}, {"targets": None}, {"targets": {}}, {"targets": [7]}])
@asynchronous
async def test_a_listing_without_meaning_is_unreadable_and_not_empty(body: dict[str, Any]) -> None:
    async with speaking(answer(200, body)) as (api, _):
        with pytest.raises(UnreachableError):
            await api.target_names("r")


@asynchronous
async def test_resources_are_read_with_more_and_with_less_than_promised() -> None:
    async with speaking(ok(), ok(messages=[], extra=1), ok(config={"u": "p"}, id=4)) as (api, _):
        assert await api.repo("r") == LiveRepo(None)
        assert await api.prompt("r", "p") == LivePrompt({"messages": [], "tools": None})
        assert await api.target("r", "t") == LiveTarget({"u": "p"})


@pytest.mark.parametrize(
    "body", [{}, {"config": None}, {"config": []}, {"config": {"generators": "x"}}]
)
@asynchronous
async def test_a_target_without_a_config_is_unreadable(body: dict[str, Any]) -> None:
    async with speaking(answer(200, body)) as (api, _):
        with pytest.raises(UnreachableError):
            await api.target("r", "t")


@asynchronous
async def test_what_is_sent_is_what_the_reference_says() -> None:
    async with speaking(ok(created=["b"], failed={"a": "too hot", "c": 7})) as (api, server):
        await api.create_repo("r", None)
        await api.create_repo("r", "m")
        await api.create_prompt("r", "p", {"messages": [{"role": "user", "content": "ü"}]})
        item = {"target_name": "a", "template": "default", "overrides": {}}
        verdicts = {"a": "too hot", "b": None, "c": "7"}
        assert await api.create_targets("r", [item, item]) == verdicts
        await api.create_target("r", item)
        assert await api.create_prompts("r", {"p": [{"role": "user", "content": "ü"}]}) == verdicts
    assert [(each.method, each.path) for each in server.requests] == [
        ("POST", "/v1/repo"),
        ("POST", "/v1/repo"),
        ("POST", "/v1/repo/r/prompts"),
        ("POST", "/v1/repo/r/targets/batch"),
        ("POST", "/v1/repo/r/targets"),
        ("POST", "/v1/repo/r/prompts/batch"),
    ]
    bodies = [request.json for request in server.requests]
    assert bodies[0] == {"repo_name": "r"}
    assert bodies[1] == {"repo_name": "r", "base_model": "m"}
    assert bodies[2]["messages"][0]["content"] == "ü"
    assert bodies[3] == {"targets": [item, item]}
    assert bodies[5] == {"prompts": {"p": [{"role": "user", "content": "ü"}]}}


@pytest.mark.parametrize(
    ("body", "verdicts"),
    [
        ({}, {}),
        ({"message": "done"}, {}),
        ({"created": None, "failed": None}, {}),
        ({"created": ["a", 7, None, {}], "failed": ["a"]}, {"a": None}),
        ({"created": "ab", "failed": "ab"}, {}),
        ({"created": ["a"], "failed": {"a": "too late"}}, {"a": "too late"}),
    ],
)
@asynchronous
async def test_of_a_batch_is_believed_what_the_answer_says_and_no_more(
    body: dict[str, Any], verdicts: dict[str, str | None]
) -> None:
    async with speaking(answer(200, body)) as (api, _):
        assert await api.create_targets("r", []) == verdicts
        assert await api.create_prompts("r", {}) == verdicts


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("with space", "with%20space"),
        ("ümlaut", "%C3%BCmlaut"),
        ("100%", "100%25"),
        ("a?b#c", "a%3Fb%23c"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("a+b&c=d", "a%2Bb%26c%3Dd"),
        ("plain-1.0_x", "plain-1.0_x"),
        ("\udcff", "%ED%B3%BF"),  # what a shell makes of a byte that is no text
    ],
)
@asynchronous
async def test_names_are_encoded_in_paths(name: str, written: str) -> None:
    async with speaking(ok(status="running")) as (api, server):
        await api.stage("r", name, Stage.STIM)
        await api.run(name, "t", Stage.STIM)
    assert [request.path for request in server.requests] == [
        f"/v1/repo/r/targets/{written}/stim",
        f"/v1/repo/{written}/targets/t/stim",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
STATUS_BODIES = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["running", "complete", "failed"]) | JSON,
        "lines": JSON,
        "total_expected": JSON,
        "error": JSON,
        "progress_percent": JSON,
    },
)


@given(STATUS_BODIES)
@example({"status": "running", "lines": 10**400})
@example({"status": "running", "progress_percent": 10**400})
def test_any_status_is_read_or_is_without_meaning(body: dict[str, Any]) -> None:
    try:
        seen = parse.stage(body)
    except ValueError:
        return
    assert isinstance(seen.status, str)
    for count in (seen.lines, seen.expected):
        assert count is None or (type(count) is int and count >= 0)
    assert seen.error is None or seen.error


@given(st.dictionaries(st.sampled_from(["config", "messages", "tools", "targets"]), JSON))
def test_any_resource_is_read_or_is_without_meaning(body: dict[str, Any]) -> None:
    for read in (parse.repo, parse.prompt, parse.target, lambda b: parse.names(b, "targets")):
        try:
            read(body)
        except ValueError:
            continue
