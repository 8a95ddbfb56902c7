"""The manifest schema as a document, and how schemas are found and checked with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from reconciler import schema_files
from reconciler.core import durations
from reconciler.core.model.desired import OnChange, OnShortfall
from reconciler.core.model.manifest import Kind
from reconciler.core.names import NAME, RESERVED, is_name, nearest, suggest
from reconciler.core.schema.checking import Checker
from reconciler.core.schema.explaining import SchemaProblem
from reconciler.core.schema.wording import quoted, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA: dict[str, Any] = dict(schema_files.load("manifest"))
DEFS: dict[str, Any] = SCHEMA["$defs"]
Json = dict[str, Any]


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every field of a schema, those of conditions left out."""
    if isinstance(schema, list):
        for item in schema:
            yield from properties(item, path)
    if not isinstance(schema, dict):
        return
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
    for key, part in schema.items():
        if key not in ("if", "then", "not", "allOf", "default", "examples"):
            yield from properties(part, f"{path}.{key}")


def resolved(field: Any, whole: Any = SCHEMA) -> dict[str, Any]:
    """Return a field with what it refers to, also where that holds of all but expressions."""
    if not isinstance(field, dict):
        return {}
    place = field.get("$ref") or field.get("else", {}).get("$ref")
    if not place:
        return field
    meant: Any = whole
    for step in place.removeprefix("#/").split("/"):
        meant = meant[int(step)] if isinstance(meant, list) else meant[step]
    return {**resolved(meant, whole), **field}


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_field_says_what_it_is() -> None:
    fields = [(path, resolved(field)) for path, field in properties(SCHEMA)]
    assert len(fields) > 50
    assert [path for path, field in fields if not field.get("title")] == []
    assert [p for p, field in fields if not field.get("description", "").endswith(".")] == []


@pytest.mark.parametrize("name", schema_files.names())
def test_every_field_of_every_schema_is_described(name: str) -> None:
    schema = schema_files.load(name)
    fields = [(path, resolved(field, schema)) for path, field in properties(schema)]
    assert len(fields) > 10
    assert [p for p, field in fields if not field.get("description", "").endswith(".")] == []


def test_only_what_goes_on_to_others_is_open() -> None:
    def closed(schema: Any, path: str) -> Iterator[str]:
        if isinstance(schema, dict):
            if "properties" in schema and schema.get("additionalProperties") is not False:
                yield path
            for key, part in schema.items():
                if key not in ("if", "then", "not", "allOf"):
                    yield from closed(part, f"{path}/{key}")

    found = ["/$defs/message", "/$defs/messageList/items", "/$defs/matrix"]
    assert list(closed(SCHEMA, "")) == found


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        (DEFS["targetSpecTemplate"], DEFS["targetSpec"]),
        (DEFS["generatorTemplate"], DEFS["generator"]),
        (DEFS["desiredTemplate"], DEFS["desired"]),
        (DEFS["stageTemplate"]["anyOf"][1], DEFS["stage"]["anyOf"][1]),
        (DEFS["targetPolicyTemplate"], DEFS["targetPolicy"]),
    ],
)
def test_a_template_has_every_field_of_a_target(template: Json, filled: Json) -> None:
    assert list(template["properties"]) == list(filled["properties"])
    assert template.get("required") == filled.get("required")
    assert len(template.get("allOf", ())) == len(filled.get("allOf", ()))
    for name, field in filled["properties"].items():
        mine = resolved(template["properties"][name])
        assert mine["title"] == resolved(field)["title"]
        assert mine["description"].rstrip(".").startswith(resolved(field)["description"][:-1])


def test_where_a_target_wants_no_text_a_template_takes_an_expression() -> None:
    target = Checker(SCHEMA, "targetTemplate")
    for block in ("targetSpecTemplate", "targetPolicyTemplate"):
        for name, field in DEFS[block]["properties"].items():
            if not {"array", "object"} & {*(resolved(field).get("type") or ())}:
                where = "spec" if block == "targetSpecTemplate" else "policy"
                assert target.problems({where: {name: "${{ matrix.x }}"}}) == [], name


@pytest.mark.parametrize("name", sorted(DEFS))
def test_a_definition_checked_by_itself_means_the_same(name: str) -> None:
    among_all = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": DEFS})
    alone = Checker(SCHEMA, name)
    values: list[Any] = [None, True, 1, "stim", [], ["stim"], {}, {"spec": {}}, {"type": "persona"}]
    for value in values:
        assert alone.is_valid(value) == among_all.is_valid(value)


def test_the_schema_knows_what_the_code_knows() -> None:
    assert SCHEMA["properties"]["kind"]["enum"] == [kind.value for kind in Kind]
    policy = DEFS["targetPolicy"]["properties"]
    assert policy["on_change"]["enum"] == [choice.value for choice in OnChange]
    assert policy["on_shortfall"]["enum"] == [choice.value for choice in OnShortfall]
    assert DEFS["name"]["pattern"] == f"^{NAME}$"
    assert {DEFS["name"]["not"]["const"]} == RESERVED


@pytest.mark.parametrize(
    ("ours", "theirs", "only_here"),
    [
        ("targetSpec", "TargetConfig", {"template"}),
        ("generator", "Generator", {"questions_file", "template_file"}),
    ],
)
def test_the_fields_are_those_of_the_api(ours: str, theirs: str, only_here: set[str]) -> None:
    here = DEFS[ours]["properties"]
    there = schema_files.load("api")["$defs"][theirs]["properties"]
    assert here.keys() - only_here == there.keys()
    for name, field in there.items():
        for keyword in ("type", "enum", "minimum", "maximum", "deprecated"):
            assert here[name].get(keyword) == field.get(keyword), (name, keyword)


@pytest.mark.parametrize("text", ["90s", "15m", "2h", "1h30m", "0.5h", "1h0m1s", "100s", "1h1s"])
def test_durations_of_the_schema_can_be_parsed(text: str) -> None:
    stage = Checker(SCHEMA, "stage")
    assert stage.problems({"timeout": text}) == []
    assert durations.parse(text) > 0


@pytest.mark.parametrize(
    "text", ["", "s", "90", "1d", "0s", "0h0m", "1m1h", "1h 30m", "-1s", "1.h", "1s\n", "٣s"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    (problem,) = Checker(SCHEMA, "stage").problems({"timeout": text})
    assert problem.message.startswith("timeout must be a duration such as 90s, 15m, 2h or 1h30m")


@pytest.mark.parametrize(
    "value",
    [
        {"apiVersion": "reconciler/v1", "kind": "Repo", "metadata": {"name": "a"}},
        {
            "apiVersion": "reconciler/v1",
            "kind": "Target",
            "metadata": {"repo": "a", "name": "b"},
            "desired": {"stim": "complete", "rollout": {"state": "none"}},
        },
        {
            "apiVersion": "reconciler/v1",
            "kind": "TargetSet",
            "metadata": {"repo": "a", "name": "b-${{ matrix.n }}"},
            "matrix": {"n": [1, 2], "include": [{"n": 3}], "topic": {"files": "*.txt"}},
            "template": {"spec": {"max_tokens": "${{ matrix.n }}"}, "desired": {"stim": "none"}},
        },
    ],
)
def test_the_whole_schema_tells_the_kinds_apart(value: dict[str, Any]) -> None:
    """Editors use it as a whole, by the kind that a document names."""
    assert Checker(SCHEMA).problems(value) == []
    others = set(SCHEMA["properties"]["kind"]["enum"]) - {value["kind"]}
    for kind in others - {"Project"}:
        assert Checker(SCHEMA).problems({**value, "kind": kind})


def test_schemas_are_found_by_any_form_of_their_name() -> None:
    assert {"api.v1", "manifest.v1"} <= set(schema_files.names())
    assert list(schema_files.names()) == sorted(schema_files.names())
    texts = {schema_files.text(name) for name in ("manifest", "manifest.v1", "manifest.v1.json")}
    assert len(texts) == 1
    assert json.loads(texts.pop()) == schema_files.load("manifest")


@pytest.mark.parametrize(
    "name", ["", "manifest.v9", "manifests", "../pyproject", "manifest.v1.yaml"]
)
def test_an_unknown_schema_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError):
        schema_files.text(name)


@pytest.mark.parametrize("name", ["a", "0", "A-b_c.d", "x" * 128, "batches", "Batch"])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "-a", ".a", "_a", "a/b", "a b", "é", "x" * 129, "batch", "a\n"]
)
def test_what_is_no_name(name: str) -> None:
    assert not is_name(name)


def test_the_nearest_word_is_offered_and_nothing_far() -> None:
    words = ["temperature", "template", "max_tokens", "Target"]
    assert nearest("temprature", words) == "temperature"
    assert nearest("target", words) == "Target"
    assert suggest("max_token", words) == ' (did you mean "max_tokens"?)'
    assert suggest("whatever", words) == suggest("x", []) == ""


def test_paths_and_values_are_shown_as_people_write_them() -> None:
    assert spelled(("spec", "generators", 0, "numq")) == "spec.generators[0].numq"
    assert spelled(("a b", "c.d")) == '["a b"]["c.d"]'
    assert quoted('say "hi"\x1b[31m\u202e') == '"say \\"hi\\"\\u001b[31m\\u202e"'
    assert len(quoted("x" * 1000)) < 70


def test_a_checker_explains_schemas_of_any_kind() -> None:
    schema = {
        "type": "object",
        "required": ["a", "b"],
        "properties": {
            "a": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
            "b": {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "object"}]},
            "c": {"const": 1},
            "d": {"uniqueItems": True},
            "e": {"exclusiveMinimum": 0},
        },
    }
    checker = Checker(schema)
    assert checker.problems({"a": [1, 2], "b": "abc"}) == []
    assert checker.problems({"a": [True], "b": "abcd", "c": 2, "d": [1, 1], "e": 0}) == [
        SchemaProblem(("a", 0), "a[0] must be an integer, not true"),
        SchemaProblem(("a",), "a must have at least 2 items"),
        SchemaProblem(("b",), "b must have at most 3 characters"),
        SchemaProblem(("c",), "c must be 1, not 2"),
        SchemaProblem(("d",), "d is not as the schema wants it, not a list"),
        SchemaProblem(("e",), "e must be more than 0, not 0"),
    ]
    assert checker.problems([]) == [SchemaProblem((), "this must be a mapping, not a list")]
    assert checker.problems({"a": [1, 2], "b": 1})[0].message == (
        "b must be a string or a mapping, not 1"
    )
    assert [it.message for it in checker.problems({})] == ['missing key "a"', 'missing key "b"']


def test_a_value_that_json_cannot_hold_is_a_problem_not_a_crash() -> None:
    (problem,) = Checker({"type": "string"}).problems(object())
    assert problem.message.startswith("this must be a string")
