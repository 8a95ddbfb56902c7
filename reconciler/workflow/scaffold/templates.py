"""The texts of the files that ``init`` writes, made to fit a project.

They lie in ``reconciler/templates/``; the recipes for CI in ``recipes/`` of an installed package,
and in ``examples/ci/`` of a checkout. This module writes nothing.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from reconciler import schema_files
from reconciler.manifests.discovery import IGNORE_FILE

#: The JSON Schema beside the manifests, which their first line names.
SCHEMA = "reconciler.schema.json"
_PACKAGE = Path(__file__).parents[2]
_NAME = "my-project"
#: One question a line.
QUESTIONS = "questions.txt"
_TARGETS = "targets.yaml"
_FILES = ("project.yaml", "prompts.yaml", "prompts/assistant.md", _TARGETS, QUESTIONS, IGNORE_FILE)
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]*")


def project(name: str, questions: int = 4) -> dict[str, str]:
    """Return the files of a small project, by their path in its directory.

    ``questions`` is their number where they are not those of the template.
    """
    texts = {file: _text(_PACKAGE / "templates" / file).replace(_NAME, name) for file in _FILES}
    texts[_TARGETS] = (
        texts[_TARGETS]
        .replace("stim: {min_lines: 4}", f"stim: {{min_lines: {questions}}}")
        .replace("rollout: {min_lines: 8}", f"rollout: {{min_lines: {2 * questions}}}")
    )
    return texts


def no_manifests() -> list[str]:
    """Return the lines of the list of what is no manifest."""
    return _text(_PACKAGE / "templates" / IGNORE_FILE).splitlines()


def schema() -> str:
    """Return the JSON Schema of manifests."""
    return schema_files.text("manifest")


def is_plain(word: str) -> bool:
    """Whether a path or a branch may stand in a recipe as it is."""
    return _PLAIN.fullmatch(word) is not None


def github(directory: str, branch: str) -> dict[str, str]:
    """Return the workflows for a project in a directory, by their path in the repository."""
    written = branch if is_plain(branch) else json.dumps(branch)
    return {
        f".github/workflows/{name}": _fitted(_recipe(f"github/{name}"), directory).replace(
            "branches: [main]", f"branches: [{written}]"
        )
        for name in ("reconciler-plan.yml", "reconciler-apply.yml")
    }


def gitlab(directory: str) -> str:
    """Return the jobs for a project in a directory."""
    return _fitted(_recipe("gitlab/.gitlab-ci.yml"), directory)


def editor_settings(directory: str) -> str:
    """Return settings for VS Code that know the manifests in a directory."""
    patterns = [f"{directory}/**/*.yaml", f"{directory}/**/*.yml"]
    settings = {"yaml.schemas": {f"./{directory}/{SCHEMA}": patterns}}
    return json.dumps(settings, indent=2) + "\n"


def _fitted(recipe: str, directory: str) -> str:
    """Return a recipe for another directory than ``targets``; "." is the whole repository."""
    if directory == "targets":
        return recipe
    inside = "" if directory == "." else f"{directory}/"
    return (
        recipe.replace("PROJECT: targets\n", f'PROJECT: "{directory}"\n')
        .replace("[targets/**/*]", f'["{inside}**/*"]')
        .replace("targets/", inside)
    )


def _recipe(name: str) -> str:
    return _text(_recipes() / name)


@cache
def _recipes() -> Path:
    packaged = _PACKAGE / "recipes"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "examples" / "ci"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
