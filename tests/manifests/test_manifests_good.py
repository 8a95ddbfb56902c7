"""What good manifests are read as: documents, files put in place, positions kept in mind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.core.errors import InvalidManifestsError
from reconciler.core.model.manifest import Kind, Problem, ResourceId, Severity
from reconciler.manifests import load
from reconciler.manifests.discovery import discover
from reconciler.manifests.loading import Loading

if TYPE_CHECKING:
    from manifests.conftest import WriteFiles

HEAD = "apiVersion: reconciler/v1\n"
REPO = f"{HEAD}kind: Repo\nmetadata: {{name: coding}}\n"
FULL = """\
apiVersion: reconciler/v1
kind: Project
metadata: {name: docs-assistant, labels: {team: docs}}
spec:
  api_url: https://bapi.bread.com.ai
  defaults:
    spec:
      model_name: Qwen/Qwen3-32B
      generators: [{type: hardcoded, questions_file: questions.txt}]
    desired: {rollout: {timeout: 1h30m}}
    policy: {on_change: revise}
  budget: {max_new_trajectories: 50000}
---
apiVersion: reconciler/v1
kind: Repo
metadata: {name: coding}
spec: {base_model: Qwen/Qwen3-32B}
---
apiVersion: reconciler/v1
kind: Prompt
metadata: {repo: coding, name: expert}
spec:
  messages:
    - {role: system, content_file: prompts/expert.md, name: kept}
    - {role: assistant, content: null, tool_calls: [{id: "1"}]}
    - {role: user, content: [{type: text, text: hi}]}
  tools_file: tools.json
policy: {on_change: revise}
---
apiVersion: reconciler/v1
kind: Prompt
metadata: {repo: coding, name: plain}
spec: {messages_file: plain.yaml.txt}
---
apiVersion: reconciler/v1
kind: Target
metadata: {repo: coding, name: all, labels: {team: docs}}
spec:
  template: default
  teacher_prompt: expert
  student_prompt: ""
  generators:
    - type: hardcoded
      questions_file: questions.json
      numq: 1
    - type: oneshot_qs
      model: claude-sonnet-4-5-20250929
      numq: 100
      temperature: 1.0
      max_tokens: 100
      seed: -1
      rollout_with_conditioned: false
    - {type: persona, numq: 1, dataset: null, questions: null, questions_file: null}
    - {type: from_dataset, dataset: faq, numq: 3}
    - {type: custom, numq: 1, template_path: a.txt, template_file: prompts/template.txt}
  model_name: Qwen/Qwen3-32B
  num_traj_per_stimulus: 5
  temperature: 0
  max_tokens: 150
  max_concurrency: 10
  extra_kwargs: {top_p: 0.9, anything: [1, {goes: here}]}
desired:
  stim: {state: complete, min_lines: 100, timeout: 1h}
  rollout: {state: complete, min_lines: 500, timeout: 2h}
policy: {on_change: fail, on_shortfall: fail, retries: 0, prevent_destroy: false}
---
apiVersion: reconciler/v1
kind: Target
metadata: {repo: coding, name: little}
spec:
  {u: null, v: null, generators: null, model_name: null, num_traj_per_stimulus: null,
   temperature: null, max_tokens: null, max_concurrency: null, extra_kwargs: null}
desired: {stim: none, rollout: none}
"""
FILES: dict[str, str | bytes] = {
    "all.yaml": FULL,
    "prompts/expert.md": "Be an expert.\n\n",
    "prompts/template.txt": "${numq} ${prompt_u}",
    "tools.json": '[{"type": "function"}]',
    "plain.yaml.txt": "[]",
    "questions.txt": b"\xef\xbb\xbf First? \r\n\r\n\tSecond?\n",
    "questions.json": '["Third?", " kept as it is "]',
}


def values(path: Path) -> dict[tuple[str, str], Any]:
    """Return the documents below a path by kind and name, as they were loaded."""
    loading = Loading(discover(path))
    assert loading.diagnostics == []
    return {(doc.kind, doc.value["metadata"]["name"]): doc.value for doc in loading.documents}


def complaints(path: Path) -> list[str]:
    with pytest.raises(InvalidManifestsError) as caught:
        load(path)
    return [str(diagnostic) for diagnostic in caught.value.diagnostics]


def test_every_field_of_the_contract_is_taken(project: WriteFiles) -> None:
    found = values(project(FILES))
    target = found[Kind.TARGET, "all"]
    assert target["spec"]["student_prompt"] == ""
    assert target["spec"]["extra_kwargs"] == {"top_p": 0.9, "anything": [1, {"goes": "here"}]}
    assert found[Kind.TARGET, "little"]["spec"]["generators"] is None
    assert found[Kind.TARGET, "little"]["desired"] == {"stim": "none", "rollout": "none"}


def test_files_take_the_place_of_the_keys_that_name_them(project: WriteFiles) -> None:
    found = values(project(FILES))
    expert = found[Kind.PROMPT, "expert"]["spec"]
    assert expert["messages"][0] == {
        "role": "system",
        "content": "Be an expert.\n",
        "name": "kept",
    }
    assert expert["tools"] == [{"type": "function"}]
    assert found[Kind.PROMPT, "plain"]["spec"] == {"messages": []}
    hardcoded, _, persona, _, custom = found[Kind.TARGET, "all"]["spec"]["generators"]
    assert hardcoded["questions"] == ["Third?", " kept as it is "]
    assert persona == {"type": "persona", "numq": 1, "dataset": None, "questions": None}
    assert custom["template_content"] == "${numq} ${prompt_u}"
    defaults = found[Kind.PROJECT, "docs-assistant"]["spec"]["defaults"]["spec"]
    assert defaults["generators"] == [{"type": "hardcoded", "questions": ["First?", "Second?"]}]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("text", "text"),
        ("text\n", "text"),
        ("text\r\n", "text"),
        ("text\n\n", "text\n"),
        ("\n text \n", "\n text "),
        ("a\r\nb\rc", "a\r\nb\rc"),
        ("text\r", "text\r"),
        ("\n", ""),
        ("", ""),
        ("\ufeffmarked", "marked"),
    ],
)
def test_only_the_line_break_at_the_end_is_no_content(
    written: str, read: str, project: WriteFiles
) -> None:
    manifest = f"""{HEAD}kind: Prompt
metadata: {{repo: coding, name: p}}
spec: {{messages: [{{role: user, content_file: x.md}}]}}
"""
    found = values(project({"a.yaml": manifest, "x.md": written}))
    assert found[Kind.PROMPT, "p"]["spec"]["messages"] == [{"role": "user", "content": read}]


def test_lists_may_be_written_in_yaml(project: WriteFiles) -> None:
    manifest = f"""{HEAD}kind: Prompt
metadata: {{repo: coding, name: p}}
spec: {{messages_file: .lists/messages.yaml, tools_file: .lists/tools.yml}}
"""
    lists: dict[str, str | bytes] = {
        ".lists/messages.yaml": "- role: user\n  content: |\n    a\n    b\n",
        ".lists/tools.yml": "- {type: function}\n",
    }
    found = values(project({"a.yaml": manifest, **lists}))
    assert found[Kind.PROMPT, "p"]["spec"] == {
        "messages": [{"role": "user", "content": "a\nb\n"}],
        "tools": [{"type": "function"}],
    }


def test_a_file_stands_relative_to_its_manifest(project: WriteFiles) -> None:
    manifest = f"""{HEAD}kind: Prompt
metadata: {{repo: coding, name: NAME}}
spec: {{messages: [{{role: user, content_file: FILE}}]}}
"""
    root = project(
        {
            "a/one.yaml": manifest.replace("NAME", "one").replace("FILE", "../shared/./x.md"),
            "a/b/two.yaml": manifest.replace("NAME", "two").replace("FILE", "x.md"),
            "shared/x.md": "shared",
            "a/b/x.md": "near",
        }
    )
    contents = [found["spec"]["messages"][0]["content"] for found in values(root).values()]
    assert contents == ["near", "shared"]


def test_merge_keys_and_aliases_are_what_yaml_says(project: WriteFiles) -> None:
    manifest = f"""{HEAD}kind: Target
metadata: {{repo: coding, name: t}}
spec:
  extra_kwargs:
    a: &a {{x: 1, y: 1}}
    b: &b {{y: 2, z: 2}}
    c: {{<<: [*a, *b], x: 3}}
    d: {{<<: *a, <<: *b}}
    e: &a [9]
    f: *a
    g: {{"<<": 1, k: <<, l: =}}
"""
    kwargs = values(project({"a.yaml": manifest}))[Kind.TARGET, "t"]["spec"]["extra_kwargs"]
    assert kwargs["c"] == {"x": 3, "y": 1, "z": 2}
    assert kwargs["d"] == {"x": 1, "y": 2, "z": 2}
    assert kwargs["e"] == kwargs["f"] == [9]
    assert kwargs["g"] == {"<<": 1, "k": "<<", "l": "="}


@pytest.mark.parametrize(
    "text",
    [
        f"---\n{REPO}",
        f"{REPO}---\n",
        f"# first\n---\n# second\n---\n{REPO}...\n---\n# last\n",
        f"%YAML 1.1\n---\n{REPO}",
        f"\ufeff{REPO}",
        REPO.replace("\n", "\r\n"),
        REPO.rstrip("\n"),
        "{apiVersion: reconciler/v1, kind: Repo, metadata: {name: coding}}",
        '{"apiVersion":"reconciler/v1","kind":"Repo",\t"metadata":{"name":"coding"}}',
        "!!map\napiVersion: !!str reconciler/v1\nkind: ! Repo\nmetadata: {name: coding}\n",
    ],
)
def test_one_document_in_many_guises(text: str, project: WriteFiles) -> None:
    assert list(load(project({"a.yaml": text})).desired.repos) == [ResourceId(Kind.REPO, "coding")]


def test_which_files_are_manifests(project: WriteFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project(
        {
            "b.yaml": REPO.replace("coding", "d"),
            "a.yml": REPO.replace("coding", "b"),
            "a/b/c.yaml": REPO.replace("coding", "c"),
            "a-b.yaml": REPO.replace("coding", "a"),
            ".hidden.yaml": "no",
            ".github/workflows/ci.yaml": "no",
            "notes.txt": "no",
            "yaml": "no",
            "vendor/x.yaml": "no",
            "a/b/draft.tmp.yaml": "no",
            "kept/x.yaml": REPO.replace("coding", "e"),
            "kept/y.yaml": "no",
            ".reconcilerignore": "# not ours\n/vendor/\n*.tmp.yaml\r\nkept/*\n!kept/x.yaml\n",
        }
    )
    shown = ["a-b.yaml", "a.yml", "a/b/c.yaml", "b.yaml", "kept/x.yaml"]

    def sources(path: Path) -> list[str]:
        return [repo.source.file for repo in load(path).desired.repos.values() if repo.source]

    assert sources(root) == [f"project/{name}" for name in shown]
    assert sources(Path("./project/")) == [f"project/{name}" for name in shown]
    assert sources(root.absolute()) == [f"{root.absolute()}/{name}" for name in shown]
    monkeypatch.chdir(root)
    assert sources(Path()) == shown
    assert sources(Path("a/b/c.yaml")) == ["a/b/c.yaml"]


def test_root_is_where_the_manifests_lie(project: WriteFiles) -> None:
    root = project({"a.yaml": REPO})
    assert load(root).root == root
    assert load(root / "a.yaml").root == root


def test_a_single_file_may_have_any_name(project: WriteFiles) -> None:
    root = project({"coding.manifest": REPO, "other.yaml": "no manifest"})
    assert len(load(root / "coding.manifest").desired.repos) == 1


def test_a_single_file_may_use_files_beside_it_only(project: WriteFiles) -> None:
    prompt = f"""{HEAD}kind: Prompt
metadata: {{repo: coding, name: p}}
spec: {{messages: [{{role: user, content_file: ../x.md}}]}}
"""
    root = project({"a/a.yaml": prompt, "x.md": "x"})
    assert len(load(root).desired.prompts) == 1
    assert complaints(root / "a/a.yaml") == [
        'project/a/a.yaml:4:46: "../x.md" leads out of the directory that holds the manifests'
    ]


@pytest.mark.parametrize(
    ("path", "at_key", "position"),
    [
        (("metadata", "name"), False, (21, 32)),
        (("metadata", "name"), True, (21, 26)),
        (("spec", "tools"), False, (27, 15)),
        (("spec", "tools", 0, "type"), True, (27, 3)),
        (("spec", "messages", 0, "content"), False, (24, 36)),
        (("spec", "messages", 1, "content"), False, (25, 34)),
        (("spec", "missing", "deep"), True, (22, 1)),
        (("status",), False, (19, 1)),
        ((), False, (19, 1)),
    ],
)
def test_problems_across_documents_get_their_position(
    path: tuple[str | int, ...], at_key: bool, position: tuple[int, int], project: WriteFiles
) -> None:
    loading = Loading(discover(project(FILES)))
    document = next(doc for doc in loading.documents if doc.value["metadata"]["name"] == "expert")
    problem = Problem(document.file, document.index, path, "what", Severity.WARNING, at_key=at_key)
    line, column = position
    [located] = loading.located([problem])
    assert str(located) == f"project/all.yaml:{line}:{column}: warning: what"


def test_warnings_do_not_stop_and_are_sorted(project: WriteFiles) -> None:
    root = project({"z.yaml": REPO, "dir/x.txt": ""})
    for name in ("link-b", "link-a"):
        (root / name).symlink_to("dir")
    assert [str(warning) for warning in load(root).warnings] == [
        "project/link-a:1:1: warning: this link to a directory is not followed",
        "project/link-b:1:1: warning: this link to a directory is not followed",
    ]
