"""What is said of the fields of the manifests, taken from their schema."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler import schema_files
from reconciler.core.schema.fields import Field, UnknownFieldError, find, kinds
from reconciler.render import fields as rendered

MANIFEST = schema_files.load("manifest")


def explained(path: str) -> Field:
    return find(MANIFEST, path)


def test_the_kinds_are_those_of_the_schema() -> None:
    names = MANIFEST["properties"]["kind"]["enum"]
    assert [kind.name for kind in kinds(MANIFEST)] == names
    assert all(kind.description and not kind.fields for kind in kinds(MANIFEST))


def test_a_field_is_what_the_schema_says() -> None:
    field = explained("target.spec.num_traj_per_stimulus")
    assert field.path == ("Target", "spec", "num_traj_per_stimulus")
    assert field.type == "integer or null"
    assert field.bounds == ("at least 1", "at most 2,147,483,647")
    assert (field.default, field.required, field.deprecated) == ("1", False, False)
    assert field.description == "How many trajectories each stimulus gets."
    assert explained("target.spec.u").deprecated
    assert explained("target.metadata.repo").required


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("target.spec.generators", "list of mappings or null"),
        ("target.policy.on_change", "fail, revise or replace"),
        ("target.desired.stim", "complete, none or mapping"),
        ("target.policy.prevent_destroy", "boolean"),
        ("target.metadata.labels", "mapping"),
        ("target.metadata.labels.team", "string"),
        ("target.kind", "Target"),
        ("targetset.matrix", "mapping"),
        ("targetset.matrix.model", "list of strings or mapping"),
        ("targetset.matrix.model.files", "string"),
        ("targetset.template.spec.temperature", "number or null, or an expression"),
        ("targetset.template.desired.rollout.timeout", "string"),
    ],
)
def test_types_are_told_in_words(path: str, told: str) -> None:
    assert explained(path).type == told


@pytest.mark.parametrize(
    ("path", "rules", "field_rules"),
    [
        (
            "prompt.spec",
            [],
            ["exactly one of messages, messages_file", "not both tools and tools_file"],
        ),
        (
            "prompt.spec.messages",
            ["exactly one of messages, messages_file"],
            ["not both content and content_file"],
        ),
        (
            "target.spec.generators",
            [],
            [
                "at least one of questions, questions_file where type is hardcoded",
                "dataset is required where type is from_dataset",
                "not both questions and questions_file",
                "not both template_content and template_file",
            ],
        ),
        (
            "targetset.template.spec.generators[0].dataset",
            ["dataset is required where type is from_dataset"],
            [],
        ),
        ("target.spec", [], []),
        ("targetset.matrix.model", [], []),
    ],
)
def test_rules_say_which_fields_go_together(
    path: str, rules: list[str], field_rules: list[str]
) -> None:
    field = explained(path)
    assert (list(field.rules), list(field.field_rules)) == (rules, field_rules)


def together(schema: Any) -> set[frozenset[str]]:
    """Return the fields that a schema ties to one another, by whatever keyword."""
    if isinstance(schema, list):
        return {names for item in schema for names in together(item)}
    if not isinstance(schema, dict):
        return set()
    assert not schema.keys() & {"dependentRequired", "dependentSchemas"}, "to be explained, too"
    found = {names for item in schema.values() for names in together(item)}
    for branches in (schema.get("oneOf", []), schema.get("anyOf", [])):
        choices = [set(it["required"]) for it in branches if "required" in it and "type" not in it]
        found |= {frozenset().union(*choices)} if choices else set()
    apart = schema["not"].get("required") if "not" in schema else None
    return found | ({frozenset(apart)} if apart else set())


def test_no_rule_of_the_schema_is_left_out() -> None:
    told = {
        frozenset(name for name in (inner.name for inner in field.fields) if _names(rule, name))
        for kind in MANIFEST["properties"]["kind"]["enum"]
        for field in everything(find(MANIFEST, kind, recursive=True))
        for rule in field.field_rules
    }
    assert together(MANIFEST) == told


def _names(rule: str, name: str) -> bool:
    return name in rule.partition(" where ")[0].replace(",", "").split()


@pytest.mark.parametrize(
    "path",
    [
        "target.spec.generators.numq",
        "Target.spec.generators.numq",
        "target.spec.generators[0].numq",
        "TARGET.spec.generators.17.numq",
    ],
)
def test_a_path_may_be_pasted_from_an_error_message(path: str) -> None:
    assert explained(path).path == ("Target", "spec", "generators", "numq")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("trget", 'no kind "trget" (did you mean "Target"?)'),
        ("xyz", 'no kind "xyz"; there are Project, Repo, Prompt, Target, TargetSet'),
        (".", 'no kind "."; there are Project, Repo, Prompt, Target, TargetSet'),
        ("repo.spec.model", 'Repo.spec has no field "model" (did you mean "base_model"?)'),
        ("repo.spec.x", 'Repo.spec has no field "x"; there are base_model'),
        ("repo.spec.base_model.x", 'Repo.spec.base_model has no field "x"; it has none at all'),
    ],
)
def test_an_unknown_field_is_answered_with_those_there_are(path: str, message: str) -> None:
    with pytest.raises(UnknownFieldError) as caught:
        explained(path)
    assert str(caught.value) == message


def everything(field: Field) -> list[Field]:
    return [field, *(inner for part in field.fields for inner in everything(part))]


@pytest.mark.parametrize("kind", MANIFEST["properties"]["kind"]["enum"])
def test_every_field_can_be_found_and_explained(kind: str) -> None:
    for field in everything(find(MANIFEST, kind, recursive=True)):
        if "<name>" in field.path:
            continue
        alone = explained(".".join(field.path))
        assert (alone.type, alone.required) == (field.type, field.required)
        assert field.description, field.path
        text = rendered.text(alone, width=60)
        assert all(len(line) <= 60 for line in text.splitlines())
        value: Any = rendered.value(alone)
        assert [inner["path"] for inner in value["fields"]] == [
            ".".join(inner.path) for inner in alone.fields
        ]


def test_the_text_of_a_field() -> None:
    assert (
        rendered.text(explained("target.desired.stim"), width=60)
        == """\
KIND:       Target
FIELD:      desired.stim
TYPE:       complete, none or mapping
DEFAULT:    "complete"

DESCRIPTION:
  The stage that makes the questions.

FIELDS:
  state      string   complete: run it and wait for its lin…
  min_lines  integer  How many lines the finished stage mus…
  timeout    string   How long to wait for the stage.
"""
    )


def test_the_tree_of_a_field() -> None:
    field = find(MANIFEST, "targetset.metadata", recursive=True)
    assert (
        rendered.text(field, recursive=True).partition("FIELDS:\n")[2]
        == """\
  repo (required)  string
  name (required)  string
"""
    )


def test_the_text_of_rules() -> None:
    text = rendered.text(explained("prompt.spec"), width=60)
    assert text.endswith(
        """
RULES OF THESE FIELDS:
  exactly one of messages, messages_file
  not both tools and tools_file
"""
    )
    text = rendered.text(explained("prompt.spec.tools_file"))
    assert "RULES:      not both tools and tools_file\n" in text
