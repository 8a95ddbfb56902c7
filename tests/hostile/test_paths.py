"""Links, pipes, devices and odd names: nothing outside of the project is touched, nothing hangs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from cli.project import PROMPTS, target
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.core.errors import ExitCode

from . import damage
from .honest import Honest
from .support import assert_calm, assert_refused_manifests, command, measured

REPO = "apiVersion: reconciler/v1\nkind: Repo\nmetadata: {name: coding}\n"
SECRET = "hunter2-is-the-password"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a project that has a secret beside it."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "a.yaml").write_text("---\n".join([PROMPTS, target("one")]))
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text(f"{SECRET}\n")
    return root


def outside(project: Path) -> dict[str, str]:
    """Return what lies outside of a project, with its content."""
    folder = project.parent / "outside"
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


UNTOUCHED = {"secret": f"{SECRET}\n"}


@pytest.mark.parametrize(
    ("link", "leads_to"),
    [
        (".reconciler", "../outside"),
        (".reconciler/run.lock", "../../outside/secret"),
        (".reconciler/run.lock", "../../outside/new"),
        (".reconciler/.gitignore", "../../outside/new"),
        (".reconciler/.gitignore", "../../outside/secret"),
        ("reconciler.lock", "../outside/new"),
    ],
)
def test_no_link_in_the_project_makes_a_run_write_elsewhere(
    project: Path, surroundings: pytest.MonkeyPatch, link: str, leads_to: str
) -> None:
    """A repository may hold such links, and a pull request may bring them."""
    (project / link).parent.mkdir(exist_ok=True)
    (project / link).symlink_to(leads_to)
    with Honest().answering(surroundings):
        ended = command("apply", project)
    assert_calm(ended)
    assert outside(project) == UNTOUCHED
    assert [path.name for path in (project.parent / "outside").iterdir()] == ["secret"]


@pytest.mark.parametrize("form", ["password = !{}", "[{}", "\\\n{}\\", "!\n{}\\"])
def test_the_ignore_file_may_not_be_a_link_that_shows_what_lies_outside(
    project: Path, form: str
) -> None:
    secret = project.parent / "outside" / "secret"
    secret.write_text(form.format(SECRET))
    (project / ".reconcilerignore").symlink_to("../outside/secret")
    ended = command("validate", project)
    assert_refused_manifests(ended)
    assert SECRET not in ended.out + ended.err


ODD = ["pipe", "directory", "/dev/zero", "itself"]


def put(path: Path, what: str) -> None:
    """Put something odd in the place of a file."""
    path.parent.mkdir(exist_ok=True)
    if what == "pipe":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    else:
        path.symlink_to(path.name if what == "itself" else what)


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("name", ["reconciler.lock", ".reconciler/run.lock", ".reconcilerignore"])
def test_nothing_odd_in_the_place_of_a_file_hangs_or_breaks(
    project: Path, name: str, what: str
) -> None:
    put(project / name, what)
    verb = ("refresh", "--local") if "run" in name else ("plan", "--offline")
    ended = measured(*verb, project, seconds=20)
    assert ended.code in {ExitCode.OK, ExitCode.ERROR, ExitCode.INVALID}
    assert "internal error" not in ended.err
    assert "Traceback" not in ended.err
    assert "None" not in ended.err
    if ended.code != ExitCode.OK:
        assert name in ended.err


@pytest.mark.parametrize("what", ODD)
def test_nothing_odd_in_the_place_of_a_saved_plan_hangs_or_breaks(project: Path, what: str) -> None:
    put(project / "plan.json", what)
    ended = measured(
        "apply", "--plan", project / "plan.json", project, env={"BREAD_API_KEY": "k"}, seconds=20
    )
    assert ended.code in {ExitCode.INVALID, ExitCode.USAGE}
    assert "plan.json" in ended.err


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/proc/self/mem", "/proc/self/environ"])
def test_what_is_no_file_is_no_project(path: str) -> None:
    ended = command("validate", path)
    assert_calm(ended)
    assert_refused_manifests(ended)


@pytest.mark.parametrize(
    "name",
    ["../outside/secret", "a/../../outside/secret", "./../outside/secret", "link", "dir/secret"],
)
def test_no_file_outside_is_read_for_a_manifest(project: Path, name: str) -> None:
    (project / "link").symlink_to("../outside/secret")
    (project / "dir").symlink_to("../outside")
    prompt = "spec: {messages: [{role: user, content_file: NAME}]}".replace("NAME", name)
    head = REPO.replace("Repo", "Prompt").replace("name: coding", "repo: coding, name: p")
    (project / "a.yaml").write_text(f"{REPO}---\n{head}{prompt}\n")
    ended = command("validate", project)
    assert_refused_manifests(ended)
    assert "leads out of the directory" in ended.err
    assert SECRET not in ended.out + ended.err


WORDS = st.one_of(st.sampled_from(damage.EVIL), st.text(max_size=20)).map(
    lambda text: text.encode(errors="replace").replace(b"\0", b"0")
)
NAMES = WORDS.map(lambda word: word.replace(b"/", b"")[:200])


@given(NAMES, st.sampled_from(["file", "directory", "link"]))
def test_no_name_of_a_file_has_power_over_a_terminal(name: bytes, kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(os.fsencode(folder), b"x" + name)  # noqa: PTH118 - names are bytes
        if kind == "directory":
            os.mkdir(path)  # noqa: PTH102
            path = os.path.join(path, b"a")  # noqa: PTH118
        elif kind == "link":
            Path(os.fsdecode(path)).symlink_to("/etc")
        with open(path + b".yaml", "wb") as file:  # noqa: PTH123
            file.write(b"nonsense: [")
        for form in ("text", "json"):
            ended = command("validate", folder, "--format", form)
            assert_calm(ended)
            assert ended.code == ExitCode.INVALID


ARGUMENTS = (
    ("validate", "{folder}/{word}x.yaml"),
    ("validate", "{folder}", "--target={word}"),
    ("validate", "{folder}", "--selector={word}"),
    ("validate", "{folder}", "--{word}"),
    ("x{word}",),
    ("schema", "x{word}"),
    ("plan", "{folder}", "--api-url={word}"),
    ("plan", "{folder}", "--offline", "--lockfile={folder}/x{word}"),
    ("apply", "{folder}", "--timeout=x{word}"),
    ("apply", "{folder}", "--plan={folder}/x{word}"),
)


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
@settings(max_examples=max(10, settings().max_examples // 4))
@given(word=WORDS.map(bytes.decode))
@example("a" * 5_000)
def test_no_argument_has_power_over_a_terminal(arguments: tuple[str, ...], word: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.yaml").write_text(REPO)
        assert_calm(command(*(text.format(folder=folder, word=word) for text in arguments)))
