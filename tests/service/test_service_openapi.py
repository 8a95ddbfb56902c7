"""The document at /openapi.json: valid, complete, and true of the running service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from jsonschema import Draft202012Validator
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from reconciler.service.api.openapi import document
from reconciler.service.api.routes import TABLE

from .support import EXPERT, MASTER_KEY, Api, Json, client, hardcoded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case, CheckContext, Response
    from schemathesis.engine.recorder import ScenarioRecorder
    from schemathesis.specs.openapi.schemas import OpenApiSchema

    from reconciler.service import Running

REPO, TARGET = "/v1/repo/{repo}", "/v1/repo/{repo}/targets/{target}"
NAMES = {"repo": "coding", "prompt": "expert", "target": "t"}
SETTINGS: Json = {
    "template": "default",
    "overrides": {"teacher_prompt": "expert", "generators": hardcoded("a", "b")},
}
TARGET_BODY: Json = {"target_name": "t", **SETTINGS}
PROMPT_BODY: Json = {"prompt_name": "expert", "messages": EXPERT, "tools": [{"type": "function"}]}
WALK: list[tuple[int, str, str, Json | None]] = [
    (200, "GET", "/openapi.json", None),
    (200, "GET", "/v1/health", None),
    (201, "POST", "/v1/repo", {"repo_name": "coding"}),
    (200, "POST", "/v1/repo", {"repo_name": "coding"}),
    (200, "PUT", "/v1/repo", {"repo_name": "coding"}),
    (200, "GET", "/v1/repo", None),
    (200, "GET", "/v1/repo?include_metadata=true", None),
    (200, "GET", REPO, None),
    (201, "POST", f"{REPO}/prompts", PROMPT_BODY),
    (200, "POST", f"{REPO}/prompts", PROMPT_BODY),
    (200, "GET", f"{REPO}/prompts", None),
    (200, "GET", f"{REPO}/prompts/{{prompt}}", None),
    (200, "PUT", f"{REPO}/prompts/{{prompt}}", {"messages": EXPERT}),
    (200, "POST", f"{REPO}/prompts/batch", {"prompts": {"x": EXPERT, "a/b": []}}),
    (200, "PUT", f"{REPO}/prompts/batch", {"prompts": {}}),
    (201, "POST", f"{REPO}/targets", TARGET_BODY),
    (200, "POST", f"{REPO}/targets", TARGET_BODY),
    (200, "GET", f"{REPO}/targets", None),
    (200, "GET", TARGET, None),
    (200, "PUT", TARGET, SETTINGS),
    (200, "POST", f"{REPO}/targets/batch", {"targets": [TARGET_BODY]}),
    (200, "PUT", f"{REPO}/targets/batch", {"targets": [{**TARGET_BODY, "target_name": "a/b"}]}),
    *(
        (200, method, f"{TARGET}/{stage}{output}", None)
        for stage in ("stim", "rollout")
        for method, output in [("GET", ""), ("GET", "/output"), ("POST", ""), ("GET", "")]
    ),
    (200, "GET", f"{TARGET}/stim/output", None),
    (200, "GET", f"{TARGET}/rollout/output", None),
    (200, "DELETE", TARGET, None),
]
USER = "openapi"
CONFIG: Json = {
    "seed": 1,
    "headers": {"Authorization": f"Bearer {MASTER_KEY}"},
    # One target of one user, that is there and has output: refusals have no other reason left.
    "parameters": {
        "X-User-Id": USER,
        "user_id": USER,
        **{f"path.{kind}": name for kind, name in NAMES.items()},
    },
    "operations": [
        {"include-operation-id": "deleteTarget", "parameters": {"path.target": "another"}}
    ],
    "generation": {"deterministic": True, "max-examples": 4},
    "phases": {"stateful": {"max-steps": 8}},
    # Well-formed input can be refused for its meaning; `refused_only_for_its_meaning` looks closer.
    "checks": {
        "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "404", "409", "422"]}
    },
}


@pytest.fixture(scope="module")
def described(running: Running) -> OpenApiSchema:
    with client(running.url, key=MASTER_KEY, user=USER) as api:
        api.ok("POST", "/v1/repo", {"repo_name": "coding"})
        api.ok("POST", f"{REPO.format(**NAMES)}/prompts", PROMPT_BODY)
        api.ok("POST", f"{REPO.format(**NAMES)}/targets", TARGET_BODY)
        for stage in ("stim", "rollout"):
            api.run(f"{TARGET.format(**NAMES)}/{stage}")
    config = SchemathesisConfig.from_dict(CONFIG)
    return schemathesis.openapi.from_url(f"{running.url}/openapi.json", config=config)


@pytest.fixture(scope="module")
def published(running: Running) -> Iterator[Json]:
    with client(running.url, key=None) as stranger:
        yield stranger.ok("GET", "/openapi.json")


@schemathesis.check
def refused_only_for_its_meaning(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """Input that fits the definitions is never refused for its form."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code == 422:
        assert {fault["type"] for fault in response.json()["detail"]} == {"value_error"}
    if response.status_code == 400:
        assert "requestBody" not in case.operation.definition.raw, "a body that fits is JSON"


def failures(recorder: ScenarioRecorder) -> Iterator[str]:
    for checks in recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                failure, sample = check.failure_info.failure, check.failure_info.code_sample
                yield f"{check.name}: {failure.operation}: {failure}\n{sample}"


def test_the_service_is_as_described(described: OpenApiSchema) -> None:
    """Examples, boundary values, random values, wrong methods, wrong keys, calls in a row."""
    wrong: list[str] = []
    phases = set()
    for event in from_schema(described).execute():
        match event:
            case events.ScenarioFinished():
                phases.add(event.phase.value)
                wrong += failures(event.recorder)
            case events.NonFatalError() | events.FatalError():
                wrong.append(str(event))
    assert not wrong, "\n\n".join(wrong)
    assert phases == {"examples", "coverage", "fuzzing", "stateful"}


def test_the_document_is_valid(described: OpenApiSchema, published: Json) -> None:
    described.validate()
    for schema in published["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_the_document_and_the_table_agree(published: Json) -> None:
    documented = {
        (path, method.upper())
        for path, item in published["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert documented == {(path, method) for path, methods in TABLE.items() for method in methods}
    assert published == document(TABLE)


def test_every_kind_of_answer_fits_its_definition(api: Api, published: Json) -> None:
    """A walk by hand, through every good answer that is documented."""
    seen = set()
    for status, method, path, body in WALK:
        response = api.call(method, path.format(**NAMES), json=body)
        assert response.status_code == status, response.text
        operation = published["paths"][path.partition("?")[0]][method.lower()]
        answer = operation["responses"][str(status)]["content"][response.headers["Content-Type"]]
        fitting = Draft202012Validator({**answer["schema"], "components": published["components"]})
        fitting.validate(response.json())
        seen.add((operation["operationId"], status))
        if method == "POST" and path.startswith(TARGET):
            assert api.settled(path.format(**NAMES))["status"] == "complete"
    assert seen == {
        (each.id, status)
        for methods in TABLE.values()
        for each in methods.values()
        for status in each.answers
    }


def test_what_the_document_says_about_keys(published: Json) -> None:
    open_calls = [
        operation["operationId"]
        for item in published["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and operation.get("security") == []
    ]
    assert open_calls == ["getDocument", "getHealth"]
    assert published["security"] == [{"key": []}]


def test_the_deprecated_calls_are_marked(published: Json) -> None:
    for item in published["paths"].values():
        for method, operation in item.items():
            assert method == "parameters" or operation.get("deprecated", False) == (method == "put")
