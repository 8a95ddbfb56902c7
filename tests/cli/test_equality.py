"""Sameness against the service: what was applied is equal, and each field that changes is told.

Every field of the manifest's schema has a target of its own here; a field without one fails.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from reconciler import schema_files
from reconciler.core.errors import ExitCode

from .project import PROMPTS, Project

if TYPE_CHECKING:
    from .project import Json

TEMPLATE = "Ask ${numq} questions about ${prompt_u}."
GENERATORS: dict[str, Json] = {
    "oneshot_qs": {"type": "oneshot_qs"},
    "hardcoded": {"type": "hardcoded", "questions": ["Why?", "How?"]},
    "persona": {"type": "persona"},
    "from_dataset": {"type": "from_dataset", "dataset": "faq"},
    "custom": {"type": "custom", "template_path": "harder.txt", "template_content": TEMPLATE},
}
#: For each field a value, another one, and where the two differ.
OF_TARGETS: dict[str, tuple[Any, Any, str]] = {
    "teacher_prompt": ("expert", "plain", "teacher_prompt"),
    "student_prompt": ("plain", "", "student_prompt"),
    "u": ("expert", "plain", "teacher_prompt"),
    "v": ("plain", "", "student_prompt"),
    "generators": ([{"type": "persona"}], [{"type": "persona"}] * 2, "generators[1]"),
    "model_name": ("some/model", "other/model", "model_name"),
    "num_traj_per_stimulus": (2, 3, "num_traj_per_stimulus"),
    "temperature": (0.7, 0.8, "temperature"),
    "max_tokens": (100, 101, "max_tokens"),
    "max_concurrency": (3, 4, "max_concurrency"),
    "extra_kwargs": (
        {"top_p": 0.5, "stop": ["a", {"b": None}], "__x": 1},
        {"top_p": 0.5, "stop": ["a", {"b": None}], "__x": 2},
        "extra_kwargs.__x",
    ),
}
OF_GENERATORS: dict[str, tuple[Any, Any, str]] = {
    "type": ("persona", "oneshot_qs", "type"),
    "model": ("some/model", "other/model", "model"),
    "numq": (2, 3, "numq"),
    "temperature": (0, 0.5, "temperature"),
    "max_tokens": (100, 101, "max_tokens"),
    "dataset": ("faq", "more", "dataset"),
    "questions": (["Why?", "How?"], ["Why?", "When?"], "questions[1]"),
    "seed": (7, 8, "seed"),
    "template_path": ("a/easy.txt", "b/hard.txt", "template_path"),
    "rollout_with_conditioned": (True, False, "rollout_with_conditioned"),
}
#: Fields that are no part of what is compared, each with what stands for it.
ELSEWHERE = {
    "template": "what it yields is compared, field by field",
    "questions_file": "questions",
    "template_file": "template_content",
    "template_content": "the service keeps it to itself",
}


def target(name: str, spec: Json) -> Json:
    return {
        "apiVersion": "reconciler/v1",
        "kind": "Target",
        "metadata": {"repo": "coding", "name": name},
        "spec": {**({} if "u" in spec else {"teacher_prompt": "expert"}), **spec},
        "desired": {"stim": "none"},
    }


def cases() -> dict[str, tuple[Json, Json, str]]:
    """Return specs before and after a change, by the name of their target, and where it shows."""
    found: dict[str, tuple[Json, Json, str]] = {}
    for field, (old, new, path) in OF_TARGETS.items():
        found[f"field-{field}"] = ({field: old}, {field: new}, path)
    for kind, base in GENERATORS.items():
        for field, (old, new, path) in OF_GENERATORS.items():
            if field == "type" and kind != "persona":
                continue
            before, after = ({"generators": [{**base, field: value}]} for value in (old, new))
            found[f"{kind}-{field}"] = (before, after, f"generators[0].{path}")
    return found


CASES = cases()


def write(project: Project, change: int) -> None:
    """Write every target as it was (0) or as it shall be (1)."""
    documents = [target(name, case[:2][change]) for name, case in CASES.items()]
    project.targets(*(yaml.safe_dump(each) for each in documents))


@pytest.fixture
def applied(project: Project) -> Project:
    write(project, 0)
    assert project.run("apply", "-q").code == ExitCode.OK
    return project


def test_every_field_has_a_case() -> None:
    defined = schema_files.load("manifest")["$defs"]
    known = ELSEWHERE.keys()
    assert OF_TARGETS.keys() == defined["targetSpec"]["properties"].keys() - known
    assert OF_GENERATORS.keys() == defined["generator"]["properties"].keys() - known
    assert GENERATORS.keys() == set(defined["generator"]["properties"]["type"]["enum"])


def test_what_was_applied_is_equal_and_each_change_is_told_where_it_is(applied: Project) -> None:
    plan = applied.run("plan", "--format", "json", "--detailed-exitcode")
    assert plan.json["actions"] == []
    assert plan.code == ExitCode.OK
    write(applied, 1)
    changed = applied.run("plan", "--format", "json", "--detailed-exitcode")
    assert changed.code == ExitCode.BLOCKED
    found = {a["resource"]: [d["path"] for d in a["diff"]] for a in changed.json["actions"]}
    assert found == {f"coding/{name}": [path] for name, (_, _, path) in CASES.items()}


def spelled_in_json(project: Project) -> None:
    for name in ("prompts", "targets"):
        documents = list(yaml.safe_load_all((project.root / f"{name}.yaml").read_text()))
        for number, document in enumerate(documents):
            project.write(f"{name}/{number}.yml", json.dumps(document))
        (project.root / f"{name}.yaml").unlink()


def turned_round(project: Project) -> None:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(item) for item in value] if isinstance(value, list) else value

    documents = list(yaml.safe_load_all((project.root / "targets.yaml").read_text()))
    again = [yaml.safe_dump(turned(one), sort_keys=False) for one in reversed(documents)]
    project.write("targets.yaml", *again, PROMPTS)
    (project.root / "prompts.yaml").unlink()


def commented_and_quoted(project: Project) -> None:
    documents = yaml.safe_load_all((project.root / "targets.yaml").read_text())
    styles = {"default_style": '"', "width": 20, "explicit_start": True}
    text = "".join(f"# {n}\n" + yaml.safe_dump(d, **styles) for n, d in enumerate(documents))  # type: ignore[call-overload]  # styles of several types
    (project.root / "targets.yaml").write_text(text.replace("\n", "\r\n") + "# the end\r\n")


def nulls_and_defaults(project: Project) -> None:
    documents = []
    for document in yaml.safe_load_all((project.root / "targets.yaml").read_text()):
        spec = copy.deepcopy(document["spec"])
        absent = dict.fromkeys(OF_TARGETS.keys() - spec.keys() - {"u", "v"})
        for generator in spec.get("generators") or ():
            generator.setdefault("rollout_with_conditioned", False)
            generator.setdefault("seed", None)
        defaults = {"num_traj_per_stimulus": 1.0, "temperature": 1, "max_concurrency": 10}
        twins = {"teacher_prompt", "student_prompt"} if {"u", "v"} & spec.keys() else set()
        more = {key: value for key, value in {**absent, **defaults}.items() if key not in twins}
        documents.append({**document, "spec": {**more, **spec}})
    project.targets(*(yaml.safe_dump(document) for document in documents))


@pytest.mark.parametrize(
    "respell", [spelled_in_json, turned_round, commented_and_quoted, nulls_and_defaults]
)
def test_no_way_of_writing_changes_a_digest(applied: Project, respell: Any) -> None:
    before = applied.lockfile.read_bytes()
    respell(applied)
    lockfile = ("--lockfile", str(applied.lockfile))
    found = applied.run("validate", "-q", *lockfile, access=())
    assert found.code == ExitCode.OK, found.err
    assert applied.run("plan", "--detailed-exitcode").code == ExitCode.OK
    assert applied.run("apply", "-q").code == ExitCode.OK
    assert applied.lockfile.read_bytes() == before
