"""A repository of bgit as documents: its ``input.yml``, and the names in its ``.bread``.

bgit gives everything a live name of its own, which ends in a digest; ``.bread`` remembers it. These
names are declared, so that what bgit has made is adopted and not made again. What bgit adds by
itself when it creates a target (prompts, the model of the last bake) is written out.
"""

from __future__ import annotations

import configparser
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.core.equality import normalize
from reconciler.core.errors import ReconcilerError
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.manifests import files, reader
from reconciler.workflow.importing.drafts import Draft, document
from reconciler.workflow.importing.live import declarable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Json = dict[str, Any]
_INPUT = "input.yml"
_NAMES = ".bread"
_MADE_BY_INIT = "--bgit takes a directory that `bgit init` has made."
_SECTIONS = ("PROMPT", "TARGET", "BAKE")


@dataclass(slots=True)
class Found:
    """The documents of a repository of bgit, and a sentence for everything that is not in them."""

    drafts: list[Draft] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(directory: Path) -> Found:
    """Return what a repository of bgit declares; raises ReconcilerError for what is none."""
    config = _input(directory / _INPUT)
    names = _Names(_text(directory / _NAMES))
    reading = _Reading(directory, names)
    reading.take(config)
    return reading.found


class _Names:
    """What ``.bread`` remembers: live names, the base model, and the model of the last bake."""

    def __init__(self, text: str) -> None:
        # An escaped dot is how the ini library of bgit writes a dot in the name of a section.
        parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
        try:
            parser.read_string(text)
        except configparser.Error as error:
            raise ReconcilerError(f"{_NAMES}: {' '.join(str(error).split())}") from error
        self._values = {
            name.replace("\\.", "."): dict(parser.items(name)) for name in parser.sections()
        }

    def get(self, section: str, key: str) -> str:
        """Return a value, or nothing."""
        return self._values.get(section, {}).get(key, "").strip().strip('"')

    def prompts(self) -> dict[str, str]:
        """Return the live name of every prompt, in the order in which bgit knows them."""
        found = (section for section in self._values if section.startswith("PROMPT."))
        return {name.removeprefix("PROMPT."): self.get(name, "prompt_name") for name in found}


class _Reading:
    def __init__(self, directory: Path, names: _Names) -> None:
        self.found = Found()
        self._directory = directory
        self._names = names
        self._repo = names.get("REPO", "name")
        if not self._repo:
            raise ReconcilerError(f"{directory / _NAMES} names no repo")

    def take(self, config: Json) -> None:
        """Turn the sections into documents, and say what comes to nothing."""
        base_model = self._names.get("RECIPE", "base_model")
        spec = {"base_model": base_model} if base_model else {}
        self._add(Kind.REPO, "", spec)
        prompts = _mapping(config, "PROMPT")
        if not prompts.get("student") and ("PROMPT" in config or "TARGET" in config):
            prompts["student"] = {"messages": []}  # bgit makes it where there is none
        known = self._names.prompts()
        live = known | {name: name for name in prompts if not known.get(name)}
        for name, content in prompts.items():
            self._prompt(name, live[name], content)
        if "TARGET" in config:
            self._target(_mapping(config, "TARGET"), live)
        self._say_what_is_missing(config)

    def _say_what_is_missing(self, config: Json) -> None:
        notes = self.found.notes
        for section in ("PROMPT", "TARGET"):
            if section not in config:
                notes.append(
                    f"{_INPUT} has no {section} (bgit comments it out after a bake); "
                    f"`reconciler import --repo {self._repo}` writes what is live"
                )
        if "BAKE" in config:
            notes.append("BAKE is left out: manifests declare stim and rollout, not bakes")
        for key in sorted(config.keys() - set(_SECTIONS)):
            notes.append(f"{key} is left out: bgit ignores it, too")

    def _prompt(self, name: str, live_name: str, content: Any) -> None:
        if not isinstance(content, dict):
            self.found.notes.append(f"prompt {name} is left out: it is no mapping")
            return
        spec = {key: content[key] for key in ("messages", "tools") if content.get(key) is not None}
        remarks = [f"{name} in {_INPUT}"] if name != live_name else []
        if spec.get("tools"):
            remarks.append("bgit does not send tools: a prompt that it has made has none")
        self._add(Kind.PROMPT, live_name, spec, *remarks)

    def _target(self, config: Json, live: Mapping[str, str]) -> None:
        name = config.pop("name", None) or "target"
        template = config.pop("template", None)
        config, remarks = declarable(normalize.target_config(self._with_templates(config)))
        for given, usual in zip(normalize.PROMPT_FIELDS, _usual_prompts(live), strict=True):
            prompt = config.get(given) or usual
            if prompt:
                config[given] = live.get(prompt, prompt)
        model = config.get("model_name") or self._names.get("PARENT_MODEL", "model_name")
        extra = {"template": template} if template else {}
        extra |= {"model_name": model} if model else {}
        live_name = self._names.get("TARGET", "target_name") or name
        if live_name != name:
            remarks.insert(0, f"{name} in {_INPUT}")
        self._add(Kind.TARGET, live_name, {**config, **extra}, *remarks)

    def _with_templates(self, config: Json) -> Json:
        generators = config.get("generators")
        if not isinstance(generators, list):
            return config
        return {**config, "generators": [self._with_template(item) for item in generators]}

    def _with_template(self, item: Any) -> Any:
        path = item.get("template_path") if isinstance(item, dict) else None
        if not isinstance(path, str):
            return item
        root = os.path.realpath(self._directory)
        resolved = os.path.realpath(self._directory / path)
        if not files.is_inside(resolved, root):
            raise ReconcilerError(
                f"{_INPUT}: the template {path} lies outside of {self._directory}"
            )
        content = _text(Path(resolved))
        return {**item, "template_path": Path(path).name, "template_content": content}

    def _add(self, kind: Kind, name: str, spec: Json, *remarks: str) -> None:
        id_ = ResourceId(kind, self._repo, name)
        metadata = {"repo": self._repo, "name": name} if name else {"name": self._repo}
        self.found.drafts.append(Draft(id_, document(kind, metadata, spec=spec), remarks))


def _usual_prompts(live: Mapping[str, str]) -> Iterator[str]:
    """Yield the prompts that bgit names as teacher and student where a target names none."""
    names = [*live, "", ""]
    yield names[0]
    yield names[1] or names[0]


def _mapping(config: Json, section: str) -> Json:
    value = config.get(section) or {}
    if not isinstance(value, dict):
        raise ReconcilerError(f"{_INPUT}: {section} must be a mapping")
    return dict(value)


def _input(path: Path) -> Json:
    found = reader.read(_text(path))
    faults = [fault for document in found.documents for fault in document.faults]
    fault = found.stopped or next(iter(faults), None)
    if fault:
        raise ReconcilerError(str(fault.within(str(path))))
    value = found.documents[0].value if found.documents else {}
    if not isinstance(value, dict):
        raise ReconcilerError(f"{path} must be a mapping with PROMPT, TARGET and BAKE")
    return value


def _text(path: Path) -> str:
    try:
        text = files.decode(files.read_bytes(str(path)))
    except files.UnreadableError as error:
        is_needed = path.name in {_INPUT, _NAMES}
        raise ReconcilerError(f"{path} {error}", hint=_MADE_BY_INIT if is_needed else "") from error
    if isinstance(text, str):
        return text
    raise ReconcilerError(str(text.within(str(path))))
