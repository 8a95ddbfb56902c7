"""Read the lists that manifests keep in files of their own: messages, tools, questions.

What is wrong inside of such a file is told with its place there. Opens no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifests import json_text, reader
from reconciler.manifests.checking import checker
from reconciler.manifests.explaining import contrast
from reconciler.manifests.syntax import Broken, Fault

if TYPE_CHECKING:
    from reconciler.core.model.manifest import JsonValue
    from reconciler.core.schema.explaining import SchemaProblem


def read(definition: str, text: str, path: str) -> JsonValue | Broken:
    """Return the list in the text of a file, in YAML if its name says so, else in JSON.

    ``definition`` is what the manifest schema calls such a list.
    """
    if path.endswith((".yaml", ".yml")):
        return _yaml_list(text, definition)
    return _json_list(text, definition)


def _json_list(text: str, definition: str) -> JsonValue | Broken:
    value = json_text.parse(text)
    if isinstance(value, Fault):
        return Broken((value,))
    problems = checker(definition).problems(value)
    if not problems:
        return value
    document = json_text.places(text)
    return Broken(tuple(_fault(problem, document) for problem in problems))


def _yaml_list(text: str, definition: str) -> JsonValue | Broken:
    found = reader.read(text)
    if found.stopped:
        return Broken((found.stopped,))
    if len(found.documents) != 1:
        message = f"this file must hold one list, not {len(found.documents)} documents"
        return Broken((Fault(1, 1, message),))
    document = found.documents[0]
    problems = checker(definition).problems(document.value, contrast(document))
    faults = [_fault(it, document) for it in problems if it.path not in document.replaced]
    faults.extend(document.faults)
    return Broken(tuple(faults)) if faults else document.value


def _fault(problem: SchemaProblem, document: reader.YamlDocument | None) -> Fault:
    place = document.position(problem.path, at_key=problem.at_key) if document else (1, 1)
    return Fault(*place, problem.message)
