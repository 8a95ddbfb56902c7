"""Every documented call: what it answers, created, repeated and in conflict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .support import EXPERT, KEY, Api, client, hardcoded

if TYPE_CHECKING:
    from reconciler.service import Running

TOOLS = [{"type": "function", "function": {"name": "search", "parameters": {}}}]


def test_health_needs_no_key(running: Running) -> None:
    with client(running.url, key=None) as stranger:
        answer = stranger.ok("GET", "/v1/health")
    assert answer["status"] == "healthy"
    assert set(answer) >= {"api", "version"}


class TestRepos:
    def test_created_then_there(self, api: Api) -> None:
        first = api.post("/v1/repo", {"repo_name": "coding"})
        second = api.post("/v1/repo", {"repo_name": "coding", "base_model": "Qwen/Qwen3-32B"})
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json() == second.json() == api.ok("GET", "/v1/repo/coding")
        assert first.json() == {"repo_name": "coding", "base_model": "Qwen/Qwen3-32B"}

    def test_another_base_model_is_a_conflict(self, api: Api) -> None:
        api.ok("POST", "/v1/repo", {"repo_name": "coding", "base_model": "A"})
        for call in (api.post, api.put):
            response = call("/v1/repo", {"repo_name": "coding", "base_model": "B"})
            assert response.status_code == 409
            assert response.json()["code"] == "RESOURCE_CONFLICT"
            assert "'A', not 'B'" in response.json()["error"]

    def test_put_always_answers_200(self, api: Api) -> None:
        assert api.put("/v1/repo", {"repo_name": "old"}).status_code == 200
        assert api.put("/v1/repo", {"repo_name": "old", "base_model": None}).status_code == 200

    def test_names_by_default(self, api: Api) -> None:
        assert api.ok("GET", "/v1/repo") == {"repos": []}
        for name in ("b", "a"):
            api.ok("POST", "/v1/repo", {"repo_name": name})
        assert api.ok("GET", "/v1/repo") == {"repos": ["a", "b"]}
        assert api.ok("GET", "/v1/repo?include_metadata=false&limit=1") == {"repos": ["a", "b"]}

    def test_pages_with_metadata(self, api: Api) -> None:
        for name in "abc":
            api.ok("POST", "/v1/repo", {"repo_name": name, "base_model": name.upper()})
        page = api.ok("GET", "/v1/repo?include_metadata=true&offset=1&limit=1")
        assert page == {
            "repos": [{"repo_name": "b", "base_model": "B"}],
            "offset": 1,
            "limit": 1,
            "has_more": True,
            "total": 3,
        }
        whole = api.ok("GET", "/v1/repo?include_metadata=true")
        assert [repo["repo_name"] for repo in whole["repos"]] == ["a", "b", "c"]
        assert whole["has_more"] is False
        beyond = api.ok("GET", "/v1/repo?include_metadata=true&offset=9")
        assert (beyond["repos"], beyond["has_more"], beyond["total"]) == ([], False, 3)

    def test_unknown(self, api: Api) -> None:
        for path in ("", "/prompts", "/targets"):
            response = api.get(f"/v1/repo/nowhere{path}")
            assert response.status_code == 404
            assert response.json()["error"] == "Repository not found"


@pytest.fixture
def repo(api: Api) -> Api:
    api.ok("POST", "/v1/repo", {"repo_name": "r"})
    return api


class TestPrompts:
    PATH = "/v1/repo/r/prompts"

    def test_created_then_there(self, repo: Api) -> None:
        body = {"prompt_name": "expert", "messages": EXPERT, "tools": TOOLS}
        first, second = repo.post(self.PATH, body), repo.post(self.PATH, body)
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json() == second.json() == repo.ok("GET", f"{self.PATH}/expert") == body
        assert repo.ok("GET", self.PATH) == {"prompts": ["expert"]}

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"messages": []}, "different messages"),
            ({"tools": TOOLS}, "different tools"),
            ({"messages": [], "tools": TOOLS}, "different messages and tools"),
        ],
    )
    def test_other_content_is_a_conflict(self, repo: Api, change: object, named: str) -> None:
        body = {"prompt_name": "expert", "messages": EXPERT}
        repo.ok("POST", self.PATH, body)
        response = repo.post(self.PATH, body | change)  # type: ignore[operator]
        assert response.status_code == 409
        assert named in response.json()["message"]
        assert repo.ok("GET", f"{self.PATH}/expert") == body

    def test_every_kind_of_message_is_kept(self, repo: Api) -> None:
        messages = [
            {"role": "system", "content": ""},
            {"role": "user", "content": [{"type": "text", "text": "hello"}], "name": "ann"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
            {"role": "tool", "tool_call_id": "1", "content": "déjà vu \U0001f35e"},
        ]
        repo.ok("POST", self.PATH, {"prompt_name": "p", "messages": messages, "tools": None})
        assert repo.ok("GET", f"{self.PATH}/p") == {"prompt_name": "p", "messages": messages}

    def test_put_updates_in_place(self, repo: Api) -> None:
        for messages in (EXPERT, []):
            response = repo.put(f"{self.PATH}/p", {"messages": messages})
            assert response.status_code == 200
            assert repo.ok("GET", f"{self.PATH}/p")["messages"] == messages

    @pytest.mark.parametrize("method", ["POST", "PUT"])
    def test_batch_creates_updates_and_judges_each_alone(self, repo: Api, method: str) -> None:
        repo.ok("PUT", f"{self.PATH}/old", {"messages": [], "tools": TOOLS})
        prompts = {
            "old": EXPERT,
            "new": [],
            "a/b": [],
            "batch": [],
            "roleless": [{"content": "x"}],
            "listless": "x",
        }
        answer = repo.ok(method, f"{self.PATH}/batch", {"prompts": prompts})
        assert answer["created"] == ["old", "new"]
        assert answer["failed"]["a/b"] == "Name contains invalid character: '/'"
        assert answer["failed"]["roleless"] == "0.role: Field required"
        assert set(answer["failed"]) == {"a/b", "batch", "roleless", "listless"}
        assert repo.ok("GET", f"{self.PATH}/old") == {"prompt_name": "old", "messages": EXPERT}

    def test_batch_in_which_everything_fails_is_200(self, repo: Api) -> None:
        response = repo.post(f"{self.PATH}/batch", {"prompts": {"a/b": []}})
        assert response.status_code == 200
        assert response.json()["created"] == []

    def test_unknown_and_undeletable(self, repo: Api) -> None:
        assert repo.get(f"{self.PATH}/p").json()["error"] == "Prompt not found"
        assert repo.delete(f"{self.PATH}/p").status_code == 405
        assert repo.get("/v1/repo/nowhere/prompts/p").status_code == 404


class TestTargets:
    PATH = "/v1/repo/r/targets"

    def test_created_then_there(self, repo: Api) -> None:
        body = {"target_name": "t", "template": "default"}
        first, second = repo.post(self.PATH, body), repo.post(self.PATH, {**body, "overrides": {}})
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json() == second.json() == repo.ok("GET", f"{self.PATH}/t")
        assert repo.ok("GET", self.PATH) == {"targets": ["t"]}

    @pytest.mark.parametrize("method", ["POST", "PUT"])
    def test_another_config_is_a_conflict_that_names_the_fields(
        self, repo: Api, method: str
    ) -> None:
        path = self.PATH if method == "POST" else f"{self.PATH}/t"
        body = {"target_name": "t", "template": "default", "overrides": {"max_tokens": 5}}
        repo.ok(method, path, body)
        other = {"temperature": 0.7, "generators": hardcoded("a")}
        response = repo.call(method, path, json={**body, "overrides": other})
        assert response.status_code == 409
        assert response.json()["error"] == (
            "Target 't' already exists with a different config: generators differ;"
            " temperature is 1.0, not 0.7; max_tokens is 5, not unset"
        )

    def test_put_answers_200_from_the_start(self, repo: Api) -> None:
        assert repo.put(f"{self.PATH}/t", {"template": "default"}).status_code == 200
        assert repo.put(f"{self.PATH}/t", {"template": "default"}).status_code == 200

    @pytest.mark.parametrize("method", ["POST", "PUT"])
    def test_batch_in_order_each_judged_alone(self, repo: Api, method: str) -> None:
        targets = [
            {"target_name": "base", "template": "default", "overrides": {"max_tokens": 7}},
            {"target_name": "heir", "template": "base", "overrides": {"temperature": 0}},
            {"target_name": "orphan", "template": "nothing"},
            {"target_name": "a/b", "template": "default"},
        ]
        answer = repo.ok(method, f"{self.PATH}/batch", {"targets": targets})
        assert answer["created"] == ["base", "heir"]
        assert "'nothing'" in answer["failed"]["orphan"]
        assert answer["failed"]["a/b"] == "Name contains invalid character: '/'"
        heir = repo.ok("GET", f"{self.PATH}/heir")["config"]
        assert (heir["max_tokens"], heir["temperature"]) == (7, 0.0)

    def test_a_conflict_refuses_the_whole_batch(self, repo: Api) -> None:
        repo.ok("POST", self.PATH, {"target_name": "t", "template": "default"})
        targets = [
            {"target_name": "new", "template": "default"},
            {"target_name": "t", "template": "default", "overrides": {"max_tokens": 1}},
        ]
        response = repo.post(f"{self.PATH}/batch", {"targets": targets})
        assert response.status_code == 409
        assert repo.ok("GET", self.PATH) == {"targets": ["t"]}

    def test_unknown_template(self, repo: Api) -> None:
        response = repo.post(self.PATH, {"target_name": "t", "template": "nothing"})
        assert response.status_code == 404
        assert "'nothing'" in response.json()["error"]

    def test_deleted_with_its_jobs(self, api: Api) -> None:
        target = api.target()
        api.run(f"{target}/stim")
        assert "message" in api.ok("DELETE", target)
        assert api.get(target).json()["error"] == "Target not found"
        assert api.get(f"{target}/stim").status_code == 404
        assert api.delete(target).status_code == 404
        api.target()
        assert api.ok("GET", f"{target}/stim")["status"] == "not_started"

    def test_unknown(self, repo: Api) -> None:
        for path in ("", "/stim", "/rollout", "/stim/output", "/rollout/output"):
            response = repo.get(f"{self.PATH}/t{path}")
            assert (response.status_code, response.json()["error"]) == (404, "Target not found")
            assert response.json()["code"] == "RESOURCE_NOT_FOUND"
        assert repo.post("/v1/repo/nowhere/targets/t/stim").json()["error"] == "Target not found"


def test_names_that_need_encoding(api: Api) -> None:
    repo, prompt, target = "my repo", "ein Prüfstein?", "100% #1"
    api.ok("POST", "/v1/repo", {"repo_name": repo})
    api.ok("POST", "/v1/repo/my%20repo/prompts", {"prompt_name": prompt, "messages": []})
    body = {"target_name": target, "template": "default"}
    api.ok("POST", "/v1/repo/my%20repo/targets", body)
    paths = ("prompts/ein%20Pr%C3%BCfstein%3F", "targets/100%25%20%231")
    found = [api.ok("GET", f"/v1/repo/my%20repo/{path}") for path in paths]
    assert [found[0]["prompt_name"], found[1]["target_name"]] == [prompt, target]
    assert api.ok("GET", "/v1/repo/my%20repo/targets/100%25%20%231/stim")["lines"] == 0


def test_bakes_are_elsewhere(api: Api) -> None:
    api.ok("POST", "/v1/repo", {"repo_name": "r"})
    for path in ("tree", "bakes", "bakes/b/metrics", "recipe/b/recreation-plan"):
        response = api.get(f"/v1/repo/r/{path}")
        assert response.status_code == 404
        assert "Bakes are not part of this service" in response.json()["error"]
    assert api.post("/v1/repo/r/bakes", {}).status_code == 404


def test_the_ordinary_key_has_a_namespace_too(running: Running) -> None:
    with client(running.url, key=KEY) as ordinary:
        ordinary.ok("POST", "/v1/repo", {"repo_name": "mine"})
        assert "mine" in ordinary.ok("GET", "/v1/repo")["repos"]
