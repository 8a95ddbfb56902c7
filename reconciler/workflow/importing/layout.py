"""Documents → texts of files: one folder for a repo, long content in files of its own.

Nothing is written here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from reconciler.core.model.manifest import Kind
from reconciler.manifests import reader
from reconciler.render.style import safe
from reconciler.workflow.importing.drafts import left_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.workflow.importing.drafts import Draft

Json = dict[str, Any]
_FILES = {Kind.REPO: "repo.yaml", Kind.PROMPT: "prompts.yaml", Kind.TARGET: "targets.yaml"}
_LONG = 120
_MANY = 5
#: A byte order mark at the beginning of a file is no part of its text.
_MARK = "\ufeff"
_HEADER = "# Written by `reconciler import`; from here on it is yours.\n"


class _Dumper(yaml.SafeDumper):
    """Writes lists indented, and what occurs twice twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return whether to write a value as a whole, which is always."""
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Begin a deeper level, also for a list in a mapping."""
        del indentless
        super().increase_indent(flow, False)


def lay_out(drafts: Iterable[Draft]) -> tuple[dict[str, str], list[str]]:
    """Return the texts of files by their path, and the drafts that no file can hold, in words."""
    layout = _Layout()
    for draft in drafts:
        layout.add(draft)
    return layout.texts(), layout.refused


class _Layout:
    def __init__(self) -> None:
        self.refused: list[str] = []
        self._manifests: dict[str, list[str]] = {}
        self._contents: dict[str, str] = {}
        self._taken: set[str] = set()

    def texts(self) -> dict[str, str]:
        manifests = {path: _HEADER + "---\n".join(parts) for path, parts in self._manifests.items()}
        return manifests | self._contents

    def add(self, draft: Draft) -> None:
        value = dict(draft.value)
        before = dict(self._contents)
        if draft.id.kind is Kind.PROMPT:
            value["spec"] = self._prompt(draft)
        elif draft.id.kind is Kind.TARGET and "spec" in value:
            value["spec"] = self._target(draft)
        text = _text(value)
        if not _means(text, value):
            self._contents = before
            self.refused.append(left_out(draft.id, "its YAML would not mean the same"))
            return
        remarks = "".join(f"# {_one_line(remark)}\n" for remark in draft.remarks)
        path = f"{draft.id.repo}/{_FILES[draft.id.kind]}"
        self._manifests.setdefault(path, []).append(remarks + text)

    def _prompt(self, draft: Draft) -> Json:
        spec = dict(draft.value["spec"])
        single = len(spec["messages"]) == 1
        spec["messages"] = [
            self._message(draft, "" if single else f".{number}", message)
            for number, message in enumerate(spec["messages"], start=1)
        ]
        if "tools" in spec:
            text = json.dumps(spec.pop("tools"), indent=2, ensure_ascii=False)
            spec["tools_file"] = self._file(draft, "prompts", ".tools.json", text)
        return spec

    def _message(self, draft: Draft, suffix: str, message: Json) -> Json:
        content = message.get("content")
        if not isinstance(content, str) or not _suits_a_file(content):
            return message
        name = self._file(draft, "prompts", f"{suffix}.md", content)
        rest = {key: value for key, value in message.items() if key != "content"}
        return {**rest, "content_file": name}

    def _target(self, draft: Draft) -> Json:
        spec = dict(draft.value["spec"])
        if "generators" in spec:
            single = len(spec["generators"]) == 1
            spec["generators"] = [
                self._generator(draft, "" if single else f".{number}", item)
                for number, item in enumerate(spec["generators"], start=1)
            ]
        return spec

    def _generator(self, draft: Draft, suffix: str, item: Json) -> Json:
        known = dict(item)
        questions, template = known.get("questions") or [], known.get("template_content") or ""
        if len(questions) > _MANY and all(map(_is_one_line, questions)):
            del known["questions"]
            text = "\n".join(questions)
            known["questions_file"] = self._file(draft, "questions", f"{suffix}.txt", text)
        if _suits_a_file(template):
            del known["template_content"]
            known["template_file"] = self._file(draft, "templates", f"{suffix}.txt", template)
        return known

    def _file(self, draft: Draft, folder: str, ending: str, text: str) -> str:
        """Keep a text under a name of its own, also where case makes no difference."""
        number, stem = 1, draft.id.name
        name = f"{folder}/{stem}{ending}"
        while f"{draft.id.repo}/{name}".lower() in self._taken:
            number += 1
            name = f"{folder}/{stem}_{number}{ending}"
        path = f"{draft.id.repo}/{name}"
        self._taken.add(path.lower())
        self._contents[path] = f"{text}\n"
        return name


def _suits_a_file(text: str) -> bool:
    """Whether a text is easier to read in a file, and the same when it comes from one."""
    changes = "\r" in text or text.startswith(_MARK)
    return not changes and (len(text) > _LONG or "\n" in text)


def _is_one_line(question: str) -> bool:
    is_trimmed = bool(question) and question == question.strip()
    return is_trimmed and "\n" not in question and not question.startswith(_MARK)


def _one_line(remark: str) -> str:
    """Return a remark, which may hold words of the API, as it can stand in a comment."""
    line = safe(" ".join(remark.split()))
    return line.encode("ascii", "backslashreplace").decode()


def _text(value: Mapping[str, Any]) -> str:
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


def _means(text: str, value: Json) -> bool:
    """Whether a reader of manifests finds in a text what it was made of, and no fault."""
    found = reader.read(text)
    if found.stopped or len(found.documents) != 1:
        return False
    document = found.documents[0]
    return not document.faults and bool(document.value == value)
