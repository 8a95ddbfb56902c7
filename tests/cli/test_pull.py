"""Pulling outputs: what is in the files, what is recorded, and what is left alone."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.core.errors import ExitCode
from reconciler.core.jsonl import KEYS
from reconciler.core.model.desired import Stage
from reconciler.lockfile import hold

from .project import Project, target
from .test_processes import on_terminal

if TYPE_CHECKING:
    from pathlib import Path

STAGES = ("stim", "rollout")
#: What the two targets of the project yield.
RECORDS = {"one/stim": 4, "one/rollout": 12, "two/stim": 2, "two/rollout": 6}


@pytest.fixture
def applied(project: Project) -> Project:
    assert project.run("apply").code == ExitCode.OK
    return project


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def outputs(project: Project) -> dict[str, bytes]:
    return files(project.root / "outputs")


def digests(project: Project) -> dict[str, str]:
    """Return the digests in the lockfile, by ``target/stage``."""
    return {
        f"{name.partition('/')[2]}/{stage}": entry[stage]["output"].removeprefix("sha256:")
        for name, entry in project.lock["targets"].items()
        for stage in STAGES
        if "output" in entry.get(stage, {})
    }


def results(found: Any) -> dict[str, str]:
    return {
        f"{it['resource'].partition('/')[2]}/{it['stage']}": it["result"] for it in found["outputs"]
    }


class TestFiles:
    def test_every_record_is_a_line(self, applied: Project) -> None:
        pulled = applied.run("pull")
        assert pulled.code == ExitCode.OK
        counts = {name: content.count(b"\n") for name, content in outputs(applied).items()}
        assert counts == {f"coding/{name}.jsonl": count for name, count in RECORDS.items()}
        assert "Outputs: 4 pulled (24 records, " in pulled.out
        assert "pulled      coding/one rollout  12 records, " in pulled.err

    def test_stimuli_and_trajectories_have_their_documented_form(self, applied: Project) -> None:
        applied.run("pull")
        found = outputs(applied)
        stim = found["coding/one/stim.jsonl"]
        assert stim.startswith(b'{"stimulus_id":0,"question":"Question 0?"}\n')
        rollout = [json.loads(line) for line in found["coding/one/rollout.jsonl"].splitlines()]
        assert {tuple(each) for each in rollout} == {KEYS[Stage.ROLLOUT]}
        assert [each["stimulus_id"] for each in rollout] == [n // 3 for n in range(12)]

    def test_digests_are_those_of_the_files(self, applied: Project) -> None:
        applied.run("pull")
        made = {
            name.removeprefix("coding/").removesuffix(".jsonl"): hashlib.sha256(content).hexdigest()
            for name, content in outputs(applied).items()
        }
        assert digests(applied) == made

    def test_another_directory_can_be_named(self, applied: Project, tmp_path: Path) -> None:
        where = tmp_path / "far" / "away"
        pulled = applied.run("pull", "--out", str(where), "--stage", "stim", "--target", "*/one")
        assert pulled.code == ExitCode.OK
        assert list(files(where)) == ["coding/one/stim.jsonl"]
        assert not (applied.root / "outputs").exists()
        assert f"Files: {where}." in pulled.out
        assert list(digests(applied)) == ["one/stim"]

    @pytest.mark.parametrize("option", [("--as", "parquet"), ("--format", "parquet")])
    def test_parquet_files_come_beside(self, applied: Project, option: tuple[str, str]) -> None:
        from arro3.io import read_parquet

        pulled = applied.run("pull", *option)
        assert pulled.code == ExitCode.OK
        assert "Outputs: 4 pulled" in pulled.out
        path = applied.root / "outputs/coding/one/rollout.parquet"
        table = read_parquet(path).read_all()
        rows = [json.loads(it) for it in path.with_suffix(".jsonl").read_text().splitlines()]
        assert table.column("response").to_pylist() == [row["response"] for row in rows]


class TestAgain:
    def test_nothing_changes(self, applied: Project) -> None:
        applied.run("pull")
        before = files(applied.root)
        again = applied.run("pull")
        assert again.code == ExitCode.OK
        assert again.out == f"Outputs: 4 unchanged. Files: {applied.root / 'outputs'}.\n"
        assert again.err == ""
        assert files(applied.root) == before

    @pytest.mark.parametrize("command", ["refresh", "apply"])
    def test_other_commands_keep_what_was_recorded(self, applied: Project, command: str) -> None:
        applied.run("pull")
        before = applied.lockfile.read_bytes()
        assert applied.run(command).code == ExitCode.OK
        assert applied.lockfile.read_bytes() == before

    def test_a_file_that_was_lost_comes_back(self, applied: Project) -> None:
        applied.run("pull")
        before = files(applied.root)
        (applied.root / "outputs/coding/one/stim.jsonl").unlink()
        assert results(applied.run("pull", "--format", "json").json)["one/stim"] == "pulled"
        assert files(applied.root) == before

    def test_a_lockfile_that_was_lost_comes_back(self, applied: Project) -> None:
        applied.run("pull")
        before = files(applied.root)
        applied.lockfile.unlink()
        again = applied.run("pull", "--format", "json")
        assert set(results(again.json).values()) == {"unchanged"}
        assert files(applied.root) == before

    def test_what_a_killed_pull_left_is_gone_on_from(self, applied: Project) -> None:
        applied.run("pull")
        before = files(applied.root)
        whole = applied.root / "outputs/coding/one/rollout.jsonl"
        part = whole.with_name("rollout.jsonl.part")
        part.write_bytes(whole.read_bytes()[:1000])
        whole.unlink()
        assert applied.run("pull").code == ExitCode.OK
        assert files(applied.root) == before

    def test_what_is_left_of_other_records_is_not(self, applied: Project) -> None:
        part = applied.root / "outputs/coding/one/rollout.jsonl.part"
        part.parent.mkdir(parents=True)
        part.write_bytes(b'{"stimulus_id":0}\n{"stimulus_id":0}\n')
        assert applied.run("pull").code == ExitCode.OK
        assert len(outputs(applied)["coding/one/rollout.jsonl"].splitlines()) == 12


class TestForeignFiles:
    @pytest.fixture
    def occupied(self, applied: Project) -> Path:
        path = applied.root / "outputs/coding/one/stim.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("mine\n")
        return path

    def test_a_file_that_holds_something_else_stays(self, applied: Project, occupied: Path) -> None:
        pulled = applied.run("pull")
        assert pulled.code == ExitCode.BLOCKED
        assert f"{occupied} holds something else than what was pulled; --force" in pulled.err
        assert occupied.read_text() == "mine\n"
        assert sorted(digests(applied)) == ["one/rollout", "two/rollout", "two/stim"]

    def test_a_pulled_file_that_was_edited_stays(self, applied: Project) -> None:
        applied.run("pull")
        path = applied.root / "outputs/coding/one/rollout.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        lines[5] = b'{"edited":true}\n'
        path.write_bytes(b"".join(lines))
        assert applied.run("pull").code == ExitCode.BLOCKED
        assert path.read_bytes() == b"".join(lines)

    def test_force_replaces_it(self, applied: Project, occupied: Path) -> None:
        pulled = applied.run("pull", "--force", "--format", "json")
        assert pulled.code == ExitCode.OK
        assert results(pulled.json)["one/stim"] == "replaced"
        assert len(occupied.read_text().splitlines()) == 4
        assert not list(applied.root.rglob("*.part"))

    def test_links_out_of_the_project_are_not_followed(
        self, applied: Project, tmp_path: Path
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        (applied.root / "outputs").symlink_to(tmp_path / "elsewhere")
        pulled = applied.run("pull")
        assert pulled.code == ExitCode.ERROR
        assert "a file or a link is in the way of a directory" in pulled.err
        assert list((tmp_path / "elsewhere").iterdir()) == []


class TestMadeAnew:
    """Targets that are revised or replaced: what was pulled of the old one is known as that."""

    def change(self, project: Project, policy: str, tokens: int) -> None:
        spec, how = {"max_tokens": tokens}, {"on_change": policy, "prevent_destroy": False}
        project.targets(target("one", spec=spec, policy=how), target("two", questions=2))
        assert project.run("apply", "--allow-destroy").code == ExitCode.OK

    @pytest.mark.parametrize("policy", ["revise", "replace"])
    @pytest.mark.parametrize("place", [(), ("--out",)])
    def test_its_outputs_take_the_place_of_the_old_ones(
        self, applied: Project, tmp_path: Path, policy: str, place: tuple[str, ...]
    ) -> None:
        out = (*place, str(tmp_path / "far")) if place else ()
        where = tmp_path / "far" if place else applied.root / "outputs"
        for tokens in (41, 42):  # the second time from what took the place of others
            assert applied.run("pull", *out).code == ExitCode.OK
            before = files(where)
            self.change(applied, policy, tokens)
            pulled = applied.run("pull", *out, "--format", "json")
            assert pulled.code == ExitCode.OK
            changed = {name for name, content in files(where).items() if content != before[name]}
            assert changed == {"coding/one/rollout.jsonl"}
            assert results(pulled.json)["one/rollout"] == "replaced"
            assert digests(applied).keys() == RECORDS.keys()

    @pytest.mark.parametrize("policy", ["revise", "replace"])
    def test_what_was_edited_stays(self, applied: Project, policy: str) -> None:
        applied.run("pull")
        path = applied.root / "outputs/coding/one/rollout.jsonl"
        path.write_bytes(path.read_bytes() + b"{}\n")
        mine = path.read_bytes()
        self.change(applied, policy, 41)
        assert applied.run("pull").code == ExitCode.BLOCKED
        assert path.read_bytes() == mine

    def test_what_was_pulled_to_another_place_is_not_known_there(
        self, applied: Project, tmp_path: Path
    ) -> None:
        applied.run("pull")
        copy = tmp_path / "copy/coding/one/rollout.jsonl"
        copy.parent.mkdir(parents=True)
        copy.write_bytes(outputs(applied)["coding/one/rollout.jsonl"])
        self.change(applied, "revise", 41)
        assert applied.run("pull", "--out", str(tmp_path / "copy")).code == ExitCode.BLOCKED

    @pytest.mark.parametrize("damage", ["lost", "nonsense", "link", "directory"])
    def test_without_that_knowledge_the_file_stays(
        self, applied: Project, tmp_path: Path, damage: str
    ) -> None:
        applied.run("pull")
        before = outputs(applied)
        known, elsewhere = applied.root / ".reconciler/pulled", tmp_path / "elsewhere"
        elsewhere.write_bytes(known.read_bytes())
        known.unlink()
        if damage == "nonsense":
            known.write_bytes(b"\xff" * 300 + b"\n\n")
        elif damage == "link":
            known.symlink_to(elsewhere)
        elif damage == "directory":
            known.mkdir()
        kept = elsewhere.read_bytes()
        self.change(applied, "revise", 41)
        pulled = applied.run("pull")
        assert pulled.code == ExitCode.BLOCKED
        assert "holds something else than what was pulled" in pulled.err
        assert outputs(applied) == before
        assert elsewhere.read_bytes() == kept

    def test_its_parquet_files_come_anew(self, applied: Project) -> None:
        from arro3.io import read_parquet

        applied.run("pull", "--as", "parquet")
        self.change(applied, "revise", 41)
        assert applied.run("pull", "--as", "parquet").code == ExitCode.OK
        path = applied.root / "outputs/coding/one/rollout.parquet"
        rows = [json.loads(it) for it in path.with_suffix(".jsonl").read_text().splitlines()]
        column = read_parquet(path).read_all().column("response")
        assert column.to_pylist() == [row["response"] for row in rows]

    def test_until_it_is_made_anew_nothing_is_pulled(self, applied: Project) -> None:
        applied.run("pull")
        how = {"on_change": "replace", "prevent_destroy": False}
        applied.targets(target("one", spec={"max_tokens": 41}, policy=how))
        pulled = applied.run("pull")
        assert pulled.code == ExitCode.BLOCKED
        assert "blocked     coding/one stim  the live target is not as declared" in pulled.err


class TestIncomplete:
    def test_before_anything_ran_there_is_nothing(self, project: Project) -> None:
        pulled = project.run("pull")
        assert pulled.code == ExitCode.PENDING
        assert "pending     coding/one stim  the target has yet to be created" in pulled.err
        assert pulled.out == "Outputs: 4 pending.\n"
        assert not (project.root / "outputs").exists()

    def test_what_is_complete_is_pulled_all_the_same(self, applied: Project) -> None:
        applied.targets(target("one"), target("two", questions=2), target("three"))
        pulled = applied.run("pull", "--format", "json")
        assert pulled.code == ExitCode.PENDING
        assert pulled.json["summary"]["pulled"] == 4
        assert pulled.json["summary"]["pending"] == 2
        assert pulled.json["exit_code"] == 2

    def test_drift_is_blocked(self, applied: Project) -> None:
        applied.targets(target("one", spec={"max_tokens": 41}), target("two", questions=2))
        pulled = applied.run("pull")
        assert pulled.code == ExitCode.BLOCKED
        assert "blocked     coding/one stim  the live target is not as declared" in pulled.err
        assert sorted(digests(applied)) == ["two/rollout", "two/stim"]

    def test_stages_that_nobody_wants_are_not_missed(self, project: Project) -> None:
        project.targets(target("one", desired={"rollout": "none"}))
        project.run("apply")
        assert project.run("pull").code == ExitCode.OK
        nothing = project.run("pull", "--stage", "rollout")
        assert nothing.code == ExitCode.OK
        assert nothing.out == "Nothing to pull: no target in scope wants such a stage.\n"


class TestChecking:
    def test_what_is_as_recorded_is_told_so(self, applied: Project) -> None:
        applied.run("pull")
        before = files(applied.root)
        checked = applied.run("pull", "--check")
        assert checked.code == ExitCode.OK
        assert checked.out.startswith("Checked: 4 unchanged (24 records, ")
        assert files(applied.root) == before

    def test_what_was_never_pulled_is_told(self, applied: Project) -> None:
        before = files(applied.root)
        checked = applied.run("pull", "--check")
        assert checked.code == ExitCode.PENDING
        assert "unrecorded  coding/one stim" in checked.err
        assert files(applied.root) == before

    def test_what_is_not_as_recorded_is_told(self, applied: Project) -> None:
        applied.run("pull")
        text = applied.lockfile.read_text()
        applied.lockfile.write_text(text.replace(digests(applied)["one/stim"], 64 * "0"))
        before = files(applied.root)
        checked = applied.run("pull", "--check")
        assert checked.code == ExitCode.BLOCKED
        words = "its records are not those that were pulled before"
        assert [words in line for line in checked.err.splitlines()] == [True]
        assert files(applied.root) == before

    @pytest.mark.parametrize("option", ["--force", "--out=x", "--as=parquet"])
    def test_options_that_write_are_refused(self, project: Project, option: str) -> None:
        assert project.run("pull", "--check", option).code == ExitCode.USAGE


def as_if_changed(project: Project, name: str) -> None:
    """Let a file, and the digest recorded of it, hold another last record than the live one."""
    path = project.root / f"outputs/coding/{name}.jsonl"
    before = path.read_bytes()
    *kept, _ = before.splitlines(keepends=True)
    after = b"".join([*kept, b'{"stimulus_id":1,"question":"Once?"}\n'])
    path.write_bytes(after)
    old, new = (hashlib.sha256(content).hexdigest() for content in (before, after))
    project.lockfile.write_text(project.lockfile.read_text().replace(old, new))


class TestPlanning:
    """A plan tells which outputs changed of those that it is about."""

    def changed(self, project: Project, *options: str) -> list[str]:
        planned = project.run("plan", *options)
        assert planned.code == ExitCode.OK
        assert planned.err.count("the data changed since it was pulled") == planned.err.count("\n")
        return [" ".join(line.split()[1:3]) for line in planned.err.splitlines()]

    def test_every_output_that_changed_is_named(self, applied: Project) -> None:
        applied.run("pull")
        assert self.changed(applied) == []
        as_if_changed(applied, "two/rollout")
        as_if_changed(applied, "one/stim")
        assert self.changed(applied) == ["coding/one stim:", "coding/two rollout:"]
        assert self.changed(applied, "--target", "*/one") == ["coding/one stim:"]
        first, second = (self.changed(applied, "--shard", f"{part}/2") for part in (1, 2))
        assert sorted(first + second) == ["coding/one stim:", "coding/two rollout:"]

    def test_files_elsewhere_are_not_compared(self, applied: Project, tmp_path: Path) -> None:
        applied.run("pull", "--out", str(tmp_path / "elsewhere"))
        assert applied.run("plan").err == ""
        assert not (applied.root / "outputs").exists()

    def test_the_local_service_is_asked_like_any_other(self, project: Project) -> None:
        local = ("--local",)
        for command in ("apply", "pull", "apply"):
            assert project.run(command, access=local).code == ExitCode.OK
        assert project.run("plan", access=local).err == ""
        as_if_changed(project, "one/stim")
        assert "record 4 of 4 is another one" in project.run("plan", access=local).err

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_apply_tells_it_as_well(self, applied: Project, form: str) -> None:
        applied.run("pull")
        as_if_changed(applied, "one/stim")
        done = applied.run("apply", "--format", form)
        assert done.code == ExitCode.OK
        assert done.err.startswith("warning: coding/one stim: the data changed since it was pulled")
        assert applied.run("apply", "--format", form, "-q").err == ""


class TestTelling:
    def test_quiet_leaves_the_last_word(self, applied: Project) -> None:
        pulled = applied.run("pull", "-q")
        assert pulled.err == ""
        assert len(pulled.out.splitlines()) == 1

    def test_verbose_tells_of_what_is_unchanged(self, applied: Project) -> None:
        applied.run("pull")
        assert "unchanged   coding/two stim  2 records, " in applied.run("pull", "-v").err

    def test_json_is_the_whole_story(self, applied: Project) -> None:
        pulled = applied.run("pull", "--format", "json")
        assert pulled.err == ""
        assert pulled.json["format"] == "reconciler/pull/v1"
        path = applied.root / "outputs/coding/one/stim.jsonl"
        assert pulled.json["outputs"][0] == {
            "resource": "coding/one",
            "stage": "stim",
            "result": "pulled",
            "records": 4,
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "file": str(path),
        }

    def test_a_terminal_sees_every_output(self, applied: Project) -> None:
        shown = on_terminal(applied, "pull")
        assert shown.code == ExitCode.OK
        assert "coding/one rollout" in shown.out
        assert "Outputs: " in shown.out.splitlines()[-1]

    def test_another_run_is_not_disturbed(self, applied: Project) -> None:
        with hold(applied.root):
            assert applied.run("pull").code == ExitCode.LOCKED
            assert applied.run("pull", "--check").code == ExitCode.PENDING
