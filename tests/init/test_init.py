"""``init``: a project that works at once, beside whatever was there."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from cli.project import Ended, ended

from reconciler import schema_files
from reconciler.core.errors import ExitCode
from reconciler.workflow.directories import create

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
GITHUB = "https://github.com/acme/models.git"
GITLAB = "git@gitlab.example.org:acme/models.git"
MANIFESTS = {
    "project.yaml",
    "prompts.yaml",
    "prompts/assistant.md",
    "targets.yaml",
    "questions.txt",
}
BESIDE = {".reconcilerignore", "reconciler.schema.json", ".gitignore", ".gitattributes"}
WORKFLOWS = {f".github/workflows/reconciler-{name}.yml" for name in ("plan", "apply")}
ALWAYS = MANIFESTS | BESIDE | WORKFLOWS

needs_git = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")


@pytest.fixture
def cli(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ended]:
    """Run commands in an empty directory, in which no repository of git lies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    for name in ("BREAD_API_KEY", "BREAD_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: ended(capsys, *arguments)


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], check=False, capture_output=True, text=True)
    return done.stdout.strip()


def begin(remote: str = "", branch: str = "main") -> None:
    git("init", "--quiet", "--initial-branch", branch)
    if remote:
        git("remote", "add", "origin", remote)


def tree() -> dict[str, bytes]:
    """Return every file below the working directory, but for those of git and of runs."""
    own = {".git", ".reconciler"}
    files = (path for path in Path().rglob("*") if path.is_file() and not own & {*path.parts})
    return {path.as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("directory", [".", "targets", "deep/down"])
def test_what_was_written_can_be_planned_and_applied_at_once(
    cli: Callable[..., Ended], directory: str
) -> None:
    assert cli("init", directory).code == ExitCode.OK
    assert {str(Path(name).relative_to(directory)) for name in tree()} == ALWAYS
    assert cli("validate", directory).err == ""
    plan = cli("plan", "--local", directory, "--format", "json").json
    assert plan["summary"]["create"] == 4
    assert plan["summary"]["blocked"] == 0
    assert cli("apply", "--local", directory).code == ExitCode.OK
    assert cli("plan", "--local", directory, "--detailed-exitcode").code == ExitCode.OK
    assert tree().keys() == {
        *(Path(directory, name).as_posix() for name in [*ALWAYS, "reconciler.lock"])
    }


@needs_git
@pytest.mark.parametrize("remote", ["", GITHUB, GITLAB])
@pytest.mark.parametrize("directory", [".", "targets"])
def test_a_second_time_changes_nothing(
    cli: Callable[..., Ended], directory: str, remote: str
) -> None:
    begin(remote)
    first = cli("init", directory, "--format", "json").json
    before, config = tree(), Path(".git/config").read_bytes()
    again = cli("init", directory, "--format", "json").json
    assert (tree(), Path(".git/config").read_bytes()) == (before, config)
    assert (again["written"], again["extended"], again["git_config"]) == ([], [], None)
    assert {*again["kept"]} == {name for name in first["written"] if name.endswith(".yaml")} | {
        name
        for name in first["written"]
        if Path(name).name not in {"assistant.md", "questions.txt", ".reconcilerignore"}
    }


@needs_git
def test_the_workflows_are_the_recipes(cli: Callable[..., Ended]) -> None:
    begin(GITHUB)
    assert cli("init", "targets", "--format", "json").json["ci"] == "github"
    for name in ("reconciler-plan.yml", "reconciler-apply.yml"):
        recipe = ROOT / "examples/ci/github" / name
        assert Path(".github/workflows", name).read_bytes() == recipe.read_bytes()


@needs_git
@pytest.mark.parametrize("directory", [".", "models/first"])
def test_the_workflows_fit_the_place_of_the_project(
    cli: Callable[..., Ended], directory: str
) -> None:
    begin(GITHUB, branch="master")
    assert cli("init", directory).code == ExitCode.OK
    inside = "" if directory == "." else f"{directory}/"
    apply = Path(".github/workflows/reconciler-apply.yml").read_text()
    pushed = yaml.safe_load(apply)[True]["push"]
    assert pushed["branches"] == ["master"]
    assert pushed["paths"][:2] == [f"{inside}**", f"!{inside}reconciler.lock"]
    for path in Path(".github/workflows").iterdir():
        text = path.read_text()
        assert yaml.safe_load(text)["env"]["PROJECT"] == directory
        assert "targets" not in text


@needs_git
@pytest.mark.parametrize("directory", [".", "targets", "models/first"])
def test_the_jobs_for_gitlab_are_included_and_fit(
    cli: Callable[..., Ended], directory: str
) -> None:
    begin(GITLAB)
    assert cli("init", directory, "--format", "json").json["ci"] == "gitlab"
    assert yaml.safe_load(Path(".gitlab-ci.yml").read_text()) == {
        "include": [{"local": ".gitlab/reconciler.yml"}]
    }
    jobs = yaml.safe_load(Path(".gitlab/reconciler.yml").read_text())
    assert jobs[".reconciler"]["variables"]["PROJECT"] == directory
    changes = {
        path for job in jobs.values() for rule in job.get("rules", []) for path in rule["changes"]
    }
    assert changes == {"**/*" if directory == "." else f"{directory}/**/*"}


@needs_git
def test_jobs_that_gitlab_runs_already_are_left_alone(cli: Callable[..., Ended]) -> None:
    begin()
    Path(".gitlab-ci.yml").write_text("test: {script: [make]}\n")
    done = cli("init", "targets")
    assert "add to .gitlab-ci.yml: include: [{local: .gitlab/reconciler.yml}]" in done.err
    assert Path(".gitlab-ci.yml").read_text() == "test: {script: [make]}\n"
    assert Path(".gitlab/reconciler.yml").exists()


@needs_git
@pytest.mark.parametrize(
    ("remote", "there", "chosen", "expected"),
    [
        ("", "", "auto", "github"),
        ("https://git.example.org/x.git", "", "auto", "github"),
        ("", ".gitlab-ci.yml", "auto", "gitlab"),
        ("", "Jenkinsfile", "auto", "none"),
        ("", ".circleci/config.yml", "auto", "none"),
        ("git@bitbucket.org:acme/models.git", "", "auto", "none"),
        (GITHUB, "Jenkinsfile", "auto", "github"),
        ("", "", "none", "none"),
        ("", ".github/dependabot.yml", "auto", "github"),
        (GITLAB, ".github/dependabot.yml", "auto", "gitlab"),
        (GITHUB, "", "none", "none"),
        ("", "", "gitlab", "gitlab"),
        ("https://example.org/x.git", "", "github", "github"),
    ],
)
def test_whose_ci_it_is_is_found_out_unless_it_is_said(
    cli: Callable[..., Ended], remote: str, there: str, chosen: str, expected: str
) -> None:
    begin(remote)
    if there:
        Path(there).parent.mkdir(parents=True, exist_ok=True)
        Path(there).touch()
    done = cli("init", "targets", "--ci", chosen, "--format", "json")
    assert done.json["ci"] == expected
    name = {"github": "GitHub", "gitlab": "GitLab"}.get(expected, "none")
    (told,) = (line for line in done.err.splitlines() if line.startswith("CI: "))
    assert name in told
    assert "--ci " in told
    assert Path(".github/workflows").exists() is (expected == "github")
    assert Path(".gitlab").exists() is (expected == "gitlab")


@pytest.mark.parametrize("directory", [".", "targets"])
def test_without_git_the_workflows_are_for_the_directory_itself(
    cli: Callable[..., Ended], directory: str
) -> None:
    assert cli("init", directory).code == ExitCode.OK
    for name in WORKFLOWS:
        assert yaml.safe_load(Path(directory, name).read_text())["env"]["PROJECT"] == "."
    apply = Path(directory, ".github/workflows/reconciler-apply.yml").read_text()
    assert yaml.safe_load(apply)[True]["push"]["branches"] == ["main"]
    assert cli("validate", directory).code == ExitCode.OK


@needs_git
def test_a_branch_of_any_name_is_written_as_that_name(cli: Callable[..., Ended]) -> None:
    begin(GITHUB)
    git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/a,b#c")
    assert cli("init").code == ExitCode.OK
    apply = Path(".github/workflows/reconciler-apply.yml").read_text()
    assert yaml.safe_load(apply)[True]["push"]["branches"] == ["a,b#c"]


def test_what_is_no_manifest_is_listed_and_stands_in_nobodys_way(
    cli: Callable[..., Ended],
) -> None:
    Path("docker-compose.yml").write_text("services: {web: {image: nginx}}\n")
    assert cli("init").code == ExitCode.OK
    assert cli("validate").err == ""
    Path("mine.yaml").write_text("services: {}\n")
    assert cli("validate").code == ExitCode.INVALID


def test_a_list_of_what_is_no_manifest_is_not_added_to_manifests_that_are_there(
    cli: Callable[..., Ended],
) -> None:
    assert cli("init").code == ExitCode.OK
    Path(".reconcilerignore").unlink()
    Path("targets.yaml").rename("mkdocs.yml")
    assert cli("init").code == ExitCode.OK
    assert not Path(".reconcilerignore").exists()


@pytest.mark.parametrize(
    ("questions", "count"),
    [(b"Mine?", 1), (b"One?\r\n\r\n Two? \r\n", 2), (b"\xef\xbb\xbfWhy?\n" * 600, 600)],
)
def test_questions_that_are_there_are_used(
    cli: Callable[..., Ended], questions: bytes, count: int
) -> None:
    Path("questions.txt").write_bytes(questions)
    Path("prompts").mkdir()
    Path("prompts/assistant.md").write_text("Be mine.\n")
    assert cli("init").code == ExitCode.OK
    assert cli("validate").err == ""
    plan = cli("plan", "--local", "--format", "json").json
    assert plan["estimate"]["stim_lines"] == count
    desired = yaml.safe_load(Path("targets.yaml").read_text())["desired"]
    assert desired == {"stim": {"min_lines": count}, "rollout": {"min_lines": 2 * count}}
    assert Path("questions.txt").read_bytes() == questions


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("questions.txt", b"", "questions.txt:1:1: this file holds no question"),
        ("questions.txt", b"caf\xe9?\n", "questions.txt:1:4: byte 0xE9 is not UTF-8"),
        ("prompts/assistant.md", b"\xff\xfe", "prompts/assistant.md:1:1: this file is in UTF-16"),
        ("prompts/assistant.md", b"x" * 10_000_001, "prompts/assistant.md is larger than 10 MB"),
        (".reconcilerignore", b"targets.yaml\n", ".reconcilerignore leaves out targets.yaml"),
        (".reconcilerignore", b"*\n", ".reconcilerignore leaves out project.yaml"),
        (".reconcilerignore", b"[\n!", ".reconcilerignore:"),
        ("reconciler.lock", b"other: true\n", "reconciler.lock"),
        ("prompts", b"a file", "prompts is no directory"),
        (".vscode", b"a file", ".vscode is no directory"),
        (".github", b"a file", ".github is no directory"),
        (".github/workflows/reconciler-plan.yml/x", b"", "reconciler-plan.yml is a directory"),
        ("questions.txt/x", b"", "questions.txt is a directory"),
        ("targets.yaml/x", b"", "targets.yaml is a directory"),
        (".gitignore/x", b"", ".gitignore is a directory"),
        (".gitattributes/x", b"", ".gitattributes is a directory"),
        ("reconciler.schema.json/x", b"", "reconciler.schema.json is a directory"),
    ],
)
@needs_git
def test_beside_what_a_project_cannot_be_begun_with_nothing_is_written(
    cli: Callable[..., Ended], file: str, content: bytes, told: str
) -> None:
    begin(GITHUB)
    path = Path("" if file.startswith((".vscode", ".github")) else "models", file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    before, config = tree(), Path(".git/config").read_bytes()
    done = cli("init", "models")
    assert done.code in {ExitCode.ERROR, ExitCode.INVALID}
    assert done.out == ""
    assert told in done.err
    assert "Nothing was written" in done.err
    assert "internal" not in done.err
    assert (tree(), Path(".git/config").read_bytes()) == (before, config)


@pytest.mark.parametrize(
    ("leads_to", "told"),
    [("nowhere", "is a link to nothing"), ("../outside.txt", "is a link that leads out of models")],
)
def test_content_behind_a_link_that_no_manifest_may_follow_is_not_begun_with(
    cli: Callable[..., Ended], leads_to: str, told: str
) -> None:
    Path("models").mkdir()
    Path("outside.txt").write_text("Whose?\n")
    Path("models/questions.txt").symlink_to(leads_to)
    done = cli("init", "models")
    assert (done.code, done.out) == (ExitCode.INVALID, "")
    assert f"models/questions.txt {told}; a project cannot be begun beside that" in done.err
    assert [path.name for path in Path("models").iterdir()] == ["questions.txt"]


def test_where_writing_fails_halfway_nothing_is_left(
    cli: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project that was begun in part would be taken for one that needs nothing more."""

    def full(base: Path, file: str, text: str) -> None:
        if file == "questions.txt":
            raise OSError(28, "No space left on device", str(base / file))
        create(base, file, text)

    Path(".gitignore").write_text("dist/\n")
    with monkeypatch.context() as patch:
        patch.setattr("reconciler.workflow.scaffold.verb.create", full)
        done = cli("init")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert "cannot write questions.txt: No space left on device" in done.err
    assert tree() == {".gitignore": b"dist/\n"}
    assert cli("init").code == ExitCode.OK
    assert tree().keys() == ALWAYS


@needs_git
@pytest.mark.parametrize("pattern", ["*.lock", "*.txt", "models/", "*"])
def test_what_git_would_leave_out_is_told(cli: Callable[..., Ended], pattern: str) -> None:
    begin()
    Path(".gitignore").write_text(f"dist/\n{pattern}\n")
    done = cli("init", "models", "--format", "json")
    left_out = {"*.lock": "reconciler.lock", "*.txt": "questions.txt"}.get(pattern, "")
    (note,) = done.json["notes"]
    assert note.startswith(f"git ignores {Path('models', left_out)}")
    assert f".gitignore:2: {pattern}" in note
    assert f"warning: {note}" in done.err


@needs_git
def test_git_checks_lockfiles_and_prompts_out_as_they_are(cli: Callable[..., Ended]) -> None:
    begin()
    git("config", "core.autocrlf", "true")
    assert cli("init").code == ExitCode.OK
    assert cli("apply", "--local").code == ExitCode.OK
    before = Path("reconciler.lock").read_bytes()
    git("add", ".")
    git("-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "--quiet", "-m", "x")
    Path("reconciler.lock").unlink()
    for name in MANIFESTS:
        Path(name).unlink()
    git("checkout", "--", ".")
    assert b"\r\n" in Path("project.yaml").read_bytes()
    assert Path("reconciler.lock").read_bytes() == before
    assert cli("plan", "--local", "--detailed-exitcode").code == ExitCode.OK
    assert cli("apply", "--local").code == ExitCode.OK
    assert Path("reconciler.lock").read_bytes() == before


def test_a_lockfile_that_is_there_is_told(cli: Callable[..., Ended]) -> None:
    assert cli("init", "first").code == ExitCode.OK
    assert cli("apply", "--local", "first").code == ExitCode.OK
    Path("second").mkdir()
    shutil.copy("first/reconciler.lock", "second")
    done = cli("init", "second", "--format", "json")
    assert done.code == ExitCode.OK
    (note,) = done.json["notes"]
    assert note.startswith("second/reconciler.lock is there already and records 4 resources")
    assert cli("init", "first", "--format", "json").json["notes"] == []


@needs_git
def test_a_project_that_would_read_this_one_is_told(cli: Callable[..., Ended]) -> None:
    begin()
    assert cli("init", "--ci", "none").code == ExitCode.OK
    done = cli("init", "deep/down", "--format", "json")
    (note,) = done.json["notes"]
    assert "list deep/down/ in .reconcilerignore" in note
    Path(".reconcilerignore").write_text("deep/down/\n")
    assert cli("validate").code == ExitCode.OK
    assert cli("validate", "deep/down").code == ExitCode.OK


def test_lines_are_added_with_the_line_ends_of_a_file(cli: Callable[..., Ended]) -> None:
    Path(".gitignore").write_bytes(b"dist/\r\n")
    assert cli("init").code == ExitCode.OK
    assert Path(".gitignore").read_bytes() == b"dist/\r\n.reconciler/\r\noutputs/\r\n"
    assert cli("init").code == ExitCode.OK
    assert Path(".gitignore").read_bytes() == b"dist/\r\n.reconciler/\r\noutputs/\r\n"


def test_what_is_there_is_kept_and_told(cli: Callable[..., Ended]) -> None:
    Path("questions.txt").write_text("Mine?\n")
    Path("reconciler.schema.json").symlink_to("nowhere")
    done = cli("init")
    assert "kept     questions.txt\n" in done.out
    assert "kept     reconciler.schema.json\n" in done.out
    assert Path("questions.txt").read_text() == "Mine?\n"
    assert not Path("nowhere").exists()


def test_beside_manifests_no_others_are_begun(cli: Callable[..., Ended]) -> None:
    Path("own.yaml").write_text("apiVersion: reconciler/v1\nkind: Repo\nmetadata: {name: a}\n")
    assert "kept     own.yaml\n" in cli("init").out
    assert tree().keys() == {"own.yaml", *(ALWAYS - MANIFESTS - {".reconcilerignore"})}


def test_beside_yaml_of_others_nothing_is_begun(cli: Callable[..., Ended]) -> None:
    Path("compose.yml").write_text("services: {}\n")
    done = cli("init")
    assert done.code == ExitCode.INVALID
    assert done.out == ""
    assert "compose.yml:1:" in done.err
    assert "`reconciler init targets`" in done.err
    assert tree().keys() == {"compose.yml"}
    assert cli("init", "targets").code == ExitCode.OK


@pytest.mark.parametrize("before", ["", "dist/", "dist/\n", ".reconciler\ndist/\n"])
def test_lines_are_added_to_what_git_ignores(cli: Callable[..., Ended], before: str) -> None:
    Path(".gitignore").write_text(before)
    mine = "reconciler.lock merge=union\nprompts/** -text\n"
    Path(".gitattributes").write_text(mine)
    assert "extended .gitignore\n" in cli("init").out
    lines = Path(".gitignore").read_text().splitlines()
    assert lines[: len(before.split())] == before.split()
    assert {line.strip("/") for line in lines} >= {".reconciler", "outputs"}
    assert len(lines) == len({line.strip("/") for line in lines})
    assert Path(".gitattributes").read_text() == mine


def test_lines_are_added_whatever_else_a_file_holds_but_not_behind_a_link(
    cli: Callable[..., Ended],
) -> None:
    Path(".gitignore").write_bytes(b"caf\xe9\n")
    Path("elsewhere").write_text("*.png binary\n")
    Path(".gitattributes").symlink_to("elsewhere")
    done = cli("init")
    assert Path(".gitignore").read_bytes() == b"caf\xe9\n.reconciler/\noutputs/\n"
    assert Path("elsewhere").read_text() == "*.png binary\n"
    assert "add to .gitattributes, which is a link: reconciler.lock text eol=lf merge=" in done.err


def test_a_directory_with_a_space_is_quoted_where_a_shell_will_read_it(
    cli: Callable[..., Ended],
) -> None:
    assert "reconciler plan --local 'my targets'\n" in cli("init", "my targets").err


@needs_git
def test_git_learns_to_merge_lockfiles_once(cli: Callable[..., Ended]) -> None:
    begin()
    command = 'git config merge.reconciler.driver "reconciler merge-driver %O %A %B %P"'
    assert f"set      {command}\n" in cli("init", "targets").out
    assert git("config", "merge.reconciler.driver") == "reconciler merge-driver %O %A %B %P"
    attribute = git("check-attr", "merge", "targets/reconciler.lock")
    assert attribute == "targets/reconciler.lock: merge: reconciler"
    git("config", "merge.reconciler.driver", "mine")
    assert "set " not in cli("init", "targets").out
    assert git("config", "merge.reconciler.driver") == "mine"


@needs_git
def test_editors_find_the_schema(cli: Callable[..., Ended]) -> None:
    begin()
    assert cli("init", "targets").code == ExitCode.OK
    (schema,) = json.loads(Path(".vscode/settings.json").read_text())["yaml.schemas"]
    assert Path(schema).read_text() == schema_files.text("manifest")
    for path in Path("targets").glob("*.yaml"):
        first = path.read_text().splitlines()[0]
        assert (path.parent / first.partition("$schema=")[2]).exists()


@pytest.mark.parametrize(
    ("name", "expected"), [("docs", "docs"), ("My models!", "My-models"), ("batch", "my-project")]
)
def test_the_project_is_called_like_its_directory(
    cli: Callable[..., Ended], name: str, expected: str
) -> None:
    assert cli("init", name).code == ExitCode.OK
    text = Path(name, "project.yaml").read_text()
    assert [document["metadata"]["name"] for document in yaml.safe_load_all(text)] == [expected] * 2
    assert cli("validate", name).code == ExitCode.OK


@needs_git
def test_through_a_link_the_repository_is_the_one_it_leads_to(cli: Callable[..., Ended]) -> None:
    Path("there/targets").mkdir(parents=True)
    git("-C", "there", "init", "--quiet")
    git("-C", "there", "remote", "add", "origin", GITHUB)
    Path("here").symlink_to("there/targets")
    assert cli("init", "here").code == ExitCode.OK
    assert not Path(".github").exists()
    assert Path("there/.github/workflows/reconciler-plan.yml").exists()


@needs_git
@pytest.mark.parametrize(
    ("link", "ci"),
    [
        ("targets/prompts", "none"),
        (".vscode", "none"),
        (".github", "github"),
        (".github/workflows", "github"),
        (".gitlab", "gitlab"),
    ],
)
@pytest.mark.parametrize("leads_to", ["elsewhere", "repo/inside", "nowhere"])
def test_nothing_is_written_through_a_link(
    cli: Callable[..., Ended], link: str, ci: str, leads_to: str
) -> None:
    top = Path("repo")
    for directory in (Path("elsewhere"), top / "targets", top / "inside", (top / link).parent):
        directory.mkdir(parents=True, exist_ok=True)
    git("-C", "repo", "init", "--quiet")
    (top / link).symlink_to(Path(leads_to).absolute())
    before = tree()
    done = cli("init", "repo/targets", "--ci", ci)
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert f"error: {top / link} is a link, and nothing is written behind links" in done.err
    assert "Nothing was written. Put a directory in its place" in done.err
    assert ("--ci none" in done.err) is (ci != "none")
    assert tree() == before
    assert not list(Path("elsewhere").iterdir())


def test_a_file_is_no_place_for_a_project(cli: Callable[..., Ended]) -> None:
    Path("file").touch()
    assert cli("init", "file").code == ExitCode.USAGE


def test_a_name_that_no_directory_can_have_is_told(cli: Callable[..., Ended]) -> None:
    done = cli("init", "x" * 300)
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert "File name too long" in done.err
    assert "internal" not in done.err


def test_where_nothing_can_be_written_it_says_so(cli: Callable[..., Ended]) -> None:
    Path("file").touch()
    done = cli("init", "file/below")
    assert done.code == ExitCode.ERROR
    assert "cannot write" in done.err
    assert "internal" not in done.err
