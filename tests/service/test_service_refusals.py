"""What the service refuses: status, sentence and body shape of every error."""

from __future__ import annotations

import gzip
import json
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.service import schema

from .support import KEY, MASTER_KEY, TEMPLATE, Api, client

if TYPE_CHECKING:
    from reconciler.service import Running

KINDS = "'oneshot_qs', 'hardcoded', 'persona', 'from_dataset', 'custom'"
CREATE = "/v1/repo/r/targets"


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check the shape that all errors share and return the body."""
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    assert body["error"] == body["message"]
    assert body["code"] == code
    assert ("detail" in body) == (status == 422)
    assert schema.fits("ValidationError" if status == 422 else "Error", body)
    return body


def invalid(response: httpx.Response) -> dict[tuple[str | int, ...], str]:
    """Check that this is a 422 and return its messages by place."""
    body = refused(response, 422, "VALIDATION_ERROR")
    assert all(set(fault) == {"loc", "msg", "type"} for fault in body["detail"])
    return {tuple(fault["loc"]): fault["msg"] for fault in body["detail"]}


class TestKeys:
    @pytest.mark.parametrize(
        "authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x"]
    )
    def test_missing_or_wrong(self, running: Running, authorization: str | None) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        response = httpx.get(f"{running.url}/v1/repo", headers=headers)
        body = refused(response, 401, "UNAUTHORIZED")
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert KEY not in json.dumps(body)

    def test_the_scheme_has_no_case(self, running: Running) -> None:
        response = httpx.get(f"{running.url}/v1/repo", headers={"Authorization": f"bearer {KEY}"})
        assert response.status_code == 200

    def test_only_the_master_key_acts_for_others(self, running: Running) -> None:
        with client(running.url) as ordinary:
            for more in ({"headers": {"X-User-Id": "ann"}}, {"params": {"user_id": "ann"}}):
                refused(ordinary.get("/v1/repo", **more), 403, "FORBIDDEN")
            assert ordinary.get("/v1/repo?user_id=").status_code == 200

    def test_every_user_has_a_namespace(self, running: Running, user: str) -> None:
        with client(running.url, key=MASTER_KEY) as master:
            for number, model in enumerate("AB"):
                path = f"/v1/repo?user_id={user}-{number}"
                body = {"repo_name": "coding", "base_model": model}
                assert master.post(path, body).status_code == 201
            headers = {"X-User-Id": f"{user}-1"}
            assert master.get("/v1/repo/coding", headers=headers).json()["base_model"] == "B"
            assert "coding" not in master.ok("GET", "/v1/repo")["repos"]

    def test_header_and_query_must_agree(self, running: Running) -> None:
        with client(running.url, key=MASTER_KEY, user="ann") as master:
            refused(master.get("/v1/repo?user_id=bob"), 400, "INVALID_INPUT")
            assert master.get("/v1/repo?user_id=ann").status_code == 200


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        ["/", "/v1", "/v1/nope", "/v1/repo/", "/v2/repo", "/v1/repo/r/x", "/v1/repo//prompts"],
    )
    def test_unknown(self, api: Api, path: str) -> None:
        refused(api.get(path), 404, "RESOURCE_NOT_FOUND")

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("PATCH", "/v1/repo", "GET, POST, PUT, HEAD"),
            ("DELETE", "/v1/repo/r", "GET, HEAD"),
            ("GET", "/v1/repo/r/prompts/batch", "POST, PUT"),
            ("POST", "/v1/health", "GET, HEAD"),
            ("PUT", "/openapi.json", "GET, HEAD"),
            ("BREW", "/v1/repo/r/prompts", "GET, POST, HEAD"),
            ("OPTIONS", "/v1/repo/r/targets/t/stim", "GET, POST, HEAD"),
        ],
    )
    def test_wrong_method(self, api: Api, method: str, path: str, allowed: str) -> None:
        response = api.call(method, path)
        refused(response, 405, "METHOD_NOT_ALLOWED")
        assert response.headers["Allow"] == allowed

    def test_head_answers_like_get(self, api: Api) -> None:
        for path in ("/openapi.json", "/v1/health", "/v1/repo", "/v1/repo/nowhere"):
            head, whole = api.call("HEAD", path), api.get(path)
            assert (head.status_code, head.content) == (whole.status_code, b"")
            assert head.headers["content-length"] == str(len(whole.content))

    def test_an_encoded_slash_is_no_part_of_a_name(self, api: Api) -> None:
        for path in ("/v1/repo/a%2Fb", "/v1/repo/r/prompts/a%2fb", "/v1/repo/r/targets/a%2Fb/stim"):
            assert invalid(api.get(path)) == {("path",): "Name contains invalid character: '/'"}

    def test_what_is_unknown_in_query_and_headers_is_ignored(self, api: Api) -> None:
        headers = {
            "Idempotency-Key": "1",
            "X-Stainless-Lang": "python",
            "Content-Type": "text/plain",
        }
        body = b'{"repo_name": "r", "color": "red"}'
        response = api.call("POST", "/v1/repo?verbose=1", content=body, headers=headers)
        assert response.status_code == 201


class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b"nonsense",
            b'{"repo_name": NaN}',
            b'{"repo_name": "r", "x": Infinity}',
            b'{"repo_name": "r", "x": 1e999}',
            b'{"repo_name": "\\ud800"}',
            b'{"repo_name": "\xff"}',
            b'{"repo_name": "\xed\xa0\x80"}',
            '{"repo_name": "r"}'.encode("utf-16"),
            gzip.compress(b'{"repo_name": "r"}', mtime=0),
            b'{"repo_name": "r", "x": ' + b"9" * 5000 + b"}",
            b'{"x":' * 200 + b"1" + b"}" * 200,
            b"[" * 100_000,
        ],
    )
    def test_not_json(self, api: Api, body: bytes) -> None:
        refused(api.call("POST", "/v1/repo", content=body), 400, "INVALID_INPUT")

    def test_a_byte_order_mark_does_no_harm(self, api: Api) -> None:
        body = '\ufeff{"repo_name": "r"}'.encode()
        assert api.call("POST", "/v1/repo", content=body).status_code == 201

    def test_empty(self, api: Api) -> None:
        assert invalid(api.call("POST", "/v1/repo", content=b" ")) == {("body",): "Field required"}

    @pytest.mark.parametrize("body", [[], "text", 1, None, True])
    def test_not_an_object(self, api: Api, body: object) -> None:
        response = api.call("POST", "/v1/repo", content=json.dumps(body))
        assert invalid(response) == {("body",): "Input should be an object"}

    @pytest.mark.parametrize("chunks", [1, 33], ids=["of known length", "in chunks"])
    def test_too_large(self, api: Api, chunks: int) -> None:
        chunk = b" " * (33 * 1024 * 1024 // chunks)
        body = chunk if chunks == 1 else (chunk for _ in range(chunks))
        refused(api.call("POST", "/v1/repo", content=body), 413, "PAYLOAD_TOO_LARGE")
        assert api.get("/v1/repo").status_code == 200

    def test_wrong_fields_are_listed_together(self, api: Api) -> None:
        body = {"base_model": 5}
        assert invalid(api.post("/v1/repo", body)) == {
            ("body", "repo_name"): "Field required",
            ("body", "base_model"): "Input should be a string",
        }

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("a/b", "Name contains invalid character: '/'"),
            ("..", "Name is reserved: '..'"),
            ("a\nb", "Name contains a control character"),
            ("", "String is shorter than 1"),
            ("x" * 256, "String is longer than 255"),
        ],
    )
    def test_names(self, api: Api, name: str, message: str) -> None:
        assert invalid(api.post("/v1/repo", {"repo_name": name})) == {
            ("body", "repo_name"): message
        }
        response = api.post("/v1/repo/r/prompts", {"prompt_name": name, "messages": []})
        assert invalid(response) == {("body", "prompt_name"): message}
        response = api.post(CREATE, {"target_name": name, "template": "default"})
        assert invalid(response) == {("body", "target_name"): message}

    def test_batch_is_reserved_where_it_could_not_be_addressed(self, api: Api) -> None:
        assert api.post("/v1/repo", {"repo_name": "batch"}).status_code == 201
        body = {"target_name": "batch", "template": "default"}
        assert invalid(api.post("/v1/repo/batch/targets", body))

    @pytest.mark.parametrize(
        ("overrides", "place", "message"),
        [
            ({"temprature": 1}, ("temprature",), "Extra inputs are not permitted"),
            ({"temperature": 2.1}, ("temperature",), "Input should be less than or equal to 2"),
            ({"temperature": "1"}, ("temperature",), "Input should be a number"),
            (
                {"max_tokens": 0},
                ("max_tokens",),
                "Input should be greater than or equal to 1",
            ),
            ({"max_tokens": 1.5}, ("max_tokens",), "Input should be an integer"),
            ({"max_concurrency": True}, ("max_concurrency",), "Input should be an integer"),
            (
                {"num_traj_per_stimulus": "5"},
                ("num_traj_per_stimulus",),
                "Input should be an integer",
            ),
            ({"teacher_prompt": 5}, ("teacher_prompt",), "Input should be a string"),
            ({"extra_kwargs": []}, ("extra_kwargs",), "Input should be an object"),
            ({"generators": {}}, ("generators",), "Input should be a list"),
            ({"generators": [{}]}, ("generators", 0, "type"), "Field required"),
            (
                {"generators": [{"type": "hardcoded"}, {"type": "magic"}]},
                ("generators", 1, "type"),
                f"Input should be one of {KINDS}",
            ),
            (
                {"generators": [{"type": "hardcoded", "question": []}]},
                ("generators", 0, "question"),
                "Extra inputs are not permitted",
            ),
            (
                {"generators": [{"type": "hardcoded", "questions": ["a", 1]}]},
                ("generators", 0, "questions", 1),
                "Input should be a string",
            ),
            (
                {"generators": [{"type": "custom", "template_content": "${numq} only"}]},
                ("generators", 0, "template_content"),
                "Template must contain ${prompt_u}",
            ),
            (
                {"generators": [{"type": "custom", "template_content": f"{TEMPLATE} for $5"}]},
                ("generators", 0, "template_content"),
                "Template has a stray '$': write '$$' for a dollar sign",
            ),
            (
                {"generators": [{"type": "custom", "template_content": TEMPLATE + "x" * 10**6}]},
                ("generators", 0, "template_content"),
                "Template is larger than 1 MB",
            ),
        ],
    )
    def test_target_config(
        self, api: Api, overrides: object, place: tuple[str | int, ...], message: str
    ) -> None:
        api.ok("POST", "/v1/repo", {"repo_name": "r"})
        body = {"target_name": "t", "template": "default", "overrides": overrides}
        assert invalid(api.post(CREATE, body)) == {("body", "overrides", *place): message}

    @pytest.mark.parametrize(
        ("query", "places"),
        [
            ("limit=0", ["limit"]),
            ("limit=1001", ["limit"]),
            ("offset=-1", ["offset"]),
            ("offset=x&limit=1.0", ["offset", "limit"]),
            ("limit=", ["limit"]),
            ("limit=%D9%A3", ["limit"]),
            ("offset=" + "9" * 30, ["offset"]),
        ],
    )
    def test_paging(self, api: Api, query: str, places: list[str]) -> None:
        target = api.target()
        for stage in ("stim", "rollout"):
            faults = invalid(api.get(f"{target}/{stage}/output?{query}"))
            assert list(faults) == [("query", place) for place in places]

    def test_paging_of_repos(self, api: Api) -> None:
        for query in ("limit=0", "offset=-1", "include_metadata=maybe"):
            assert invalid(api.get(f"/v1/repo?{query}"))


class TestNotReady:
    def test_stim_without_generators_or_teacher(self, api: Api) -> None:
        sentence = "Target must have generators and teacher prompt configured"
        cases = [{"generators": None}, {"generators": []}, {"teacher_prompt": None}]
        for number, overrides in enumerate([*cases, {"teacher_prompt": ""}]):
            target = api.target(f"t{number}", **overrides)  # type: ignore[arg-type]
            body = refused(api.post(f"{target}/stim"), 400, "INVALID_INPUT")
            assert body["error"] == sentence

    def test_stim_with_an_absent_teacher(self, api: Api) -> None:
        target = api.target(teacher_prompt="later")
        body = refused(api.post(f"{target}/stim"), 400, "INVALID_INPUT")
        assert body["error"] == "Teacher prompt not found: 'later'"
        api.ok("POST", "/v1/repo/r/prompts", {"prompt_name": "later", "messages": []})
        assert api.run(f"{target}/stim")["status"] == "complete"

    def test_an_absent_student_matters_only_where_rows_are_made_from_it(self, api: Api) -> None:
        calm = api.target("calm", student_prompt="later")
        assert api.run(f"{calm}/stim")["status"] == "complete"
        generators = [
            {"type": "hardcoded", "questions": ["q"], "rollout_with_conditioned": True},
        ]
        eager = api.target("eager", student_prompt="later", generators=generators)
        body = refused(api.post(f"{eager}/stim"), 400, "INVALID_INPUT")
        assert body["error"] == "Student prompt not found: 'later'"

    def test_rollout_before_stim(self, api: Api) -> None:
        target = api.target()
        body = refused(api.post(f"{target}/rollout"), 400, "INVALID_INPUT")
        assert body["error"] == "Stim job must complete before running rollout"

    def test_rollout_without_a_model(self, api: Api) -> None:
        target = api.target(model_name="")
        api.run(f"{target}/stim")
        body = refused(api.post(f"{target}/rollout"), 400, "INVALID_INPUT")
        assert body["error"] == "model_name must be configured in target"

    def test_a_template_nobody_uploaded(self, api: Api) -> None:
        custom = {"type": "custom", "template_path": "mine.txt", "numq": 2}
        target = api.target(generators=[custom])
        body = refused(api.post(f"{target}/stim"), 400, "INVALID_INPUT")
        assert "'templates/mine.txt'" in body["error"]
        api.target("other", generators=[{**custom, "template_content": TEMPLATE}])
        assert api.run(f"{target}/stim")["lines"] == 2


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=15,
)
NEARLY_A_TARGET = st.fixed_dictionaries(
    {"target_name": st.text() | JSON, "template": st.sampled_from(["default", "x", ""]) | JSON},
    optional={
        "overrides": st.dictionaries(
            st.sampled_from(["u", "v", "generators", "temperature", "max_tokens", "extra_kwargs"]),
            JSON | st.lists(st.dictionaries(st.sampled_from(["type", "numq", "seed"]), JSON)),
        ),
        "messages": JSON,
        "tools": JSON,
        "prompt_name": st.text(),
    },
)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    call=st.sampled_from(
        [
            ("POST", "/v1/repo"),
            ("POST", "/v1/repo/r/prompts"),
            ("PUT", "/v1/repo/r/prompts/p"),
            ("POST", "/v1/repo/r/prompts/batch"),
            ("POST", "/v1/repo/r/targets"),
            ("PUT", "/v1/repo/r/targets/t"),
            ("POST", "/v1/repo/r/targets/batch"),
        ]
    ),
    body=JSON
    | NEARLY_A_TARGET
    | st.fixed_dictionaries({"targets": st.lists(NEARLY_A_TARGET, max_size=3)})
    | st.fixed_dictionaries({"prompts": st.dictionaries(st.text(), JSON, max_size=3)}),
)
def test_no_body_is_the_services_fault(api: Api, call: tuple[str, str], body: object) -> None:
    api.ok("POST", "/v1/repo", {"repo_name": "r"})
    response = api.call(*call, json=body)
    assert response.status_code in {200, 201, 400, 404, 409, 422}
    assert isinstance(response.json(), dict)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(raw=st.binary(max_size=40), method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]))
def test_no_path_is_the_services_fault(api: Api, raw: bytes, method: str) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in raw)
    response = api.call(method, f"/v1/repo/{encoded}/prompts/{encoded}?limit={encoded}")
    assert response.status_code < 500


def test_what_is_no_http_at_all(running: Running) -> None:
    address = httpx.URL(running.url)
    with socket.create_connection((address.host, address.port or 0), timeout=60) as raw:
        raw.sendall(b"\x00\x01nonsense\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400 ")
