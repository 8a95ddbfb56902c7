"""Documents → what is declared: defaults, inheritance, stages, policies."""

from __future__ import annotations

from typing import Any

import pytest
from builders import (
    SPEC,
    Manifest,
    declare,
    messages,
    project,
    prompt,
    prompt_id,
    read,
    repo,
    repo_id,
    target,
    target_id,
)

from reconciler.core.model.desired import (
    DesiredTarget,
    OnChange,
    OnShortfall,
    Policy,
    Stage,
)
from reconciler.core.model.manifest import Severity


def only(*manifests: Manifest) -> DesiredTarget:
    """Return the target ``t`` of a project."""
    return declare(*manifests).targets[target_id()]


class TestProject:
    def test_a_project_is_optional(self) -> None:
        desired = declare(repo())
        assert (desired.project, desired.api_url, desired.max_new_trajectories) == (None,) * 3

    def test_a_project_says_where_and_how_much(self) -> None:
        url, budget = "https://api.example", {"max_new_trajectories": 0}
        desired = declare(project(api_url=url, budget=budget))
        assert (desired.project, desired.api_url) == ("docs", url)
        assert desired.max_new_trajectories == 0

    def test_a_project_may_have_no_spec(self) -> None:
        assert declare(project(), repo()).project == "docs"

    def test_a_second_project_is_a_problem(self) -> None:
        text = "there may be one Project at most; the first is in 0.yaml"
        assert messages([project(api_url="https://a"), project(api_url="https://b")]) == [text]


class TestDefaults:
    def test_defaults_are_laid_under_every_target(self) -> None:
        defaults = project(defaults={"spec": {"temperature": 0.5, "max_tokens": 10}})
        config = only(defaults, target(max_tokens=20)).config
        assert (config["temperature"], config["max_tokens"]) == (0.5, 20)

    def test_a_null_takes_a_default_away(self) -> None:
        defaults = project(defaults={"spec": {"max_tokens": 10}})
        assert "max_tokens" not in only(defaults, target(max_tokens=None)).config

    def test_mappings_are_merged_key_by_key_and_lists_as_a_whole(self) -> None:
        below = {
            "extra_kwargs": {"a": 1, "b": {"c": 1, "d": 1}},
            "generators": [{"type": "persona"}],
        }
        own = {**SPEC, "extra_kwargs": {"b": {"d": 2}}}
        config = only(project(defaults={"spec": below}), target(spec=own)).config
        assert config["extra_kwargs"] == {"a": 1, "b": {"c": 1, "d": 2}}
        assert config["generators"] == own["generators"]

    def test_an_old_name_overrides_a_default_under_the_new_one(self) -> None:
        defaults = project(defaults={"spec": {"student_prompt": "plain"}})
        desired, _ = read([defaults, target(v="expert")])
        assert desired.targets[target_id()].config["student_prompt"] == "expert"

    def test_the_template_may_be_a_default(self) -> None:
        defaults = project(defaults={"spec": {"template": "made-by-hand"}})
        assert only(defaults, target()).template == "made-by-hand"
        assert only(defaults, target(template="default")).template == "default"


class TestTemplates:
    def test_a_target_inherits_from_its_declared_templates(self) -> None:
        root = target("root", temperature=0.5, max_tokens=10)
        middle = target("middle", spec={"template": "root", "max_tokens": 20})
        leaf = only(target(spec={"template": "middle", "num_traj_per_stimulus": 3}), middle, root)
        assert leaf.config == {
            **SPEC,
            "temperature": 0.5,
            "max_tokens": 20,
            "num_traj_per_stimulus": 3,
        }
        assert leaf.overrides == {"num_traj_per_stimulus": 3}
        assert (leaf.stim.reach, leaf.rollout.reach) == (2, 6)

    def test_templates_come_before_what_uses_them(self) -> None:
        leaf, root = target("a", spec={"template": "z"}), target("z")
        assert list(declare(leaf, root).targets) == [target_id("z"), target_id("a")]

    def test_a_template_of_another_repo_is_another_template(self) -> None:
        desired = declare(target(spec={"template": "base"}), target("base", repo="docs"))
        assert desired.targets[target_id()].config == {}

    def test_templates_in_a_circle_are_a_problem(self) -> None:
        found = messages([target("a", template="b"), target("b", template="a")])
        assert found == ["templates in a circle: a → b → a"]

    def test_a_target_may_not_be_its_own_template(self) -> None:
        assert messages([target(template="t")]) == ["templates in a circle: t → t"]

    def test_what_a_live_template_brings_is_not_known(self) -> None:
        unknown = only(target(spec={"template": "made-by-hand"}))
        assert (unknown.stim.reach, unknown.rollout.reach) == (None, None)


class TestStages:
    def test_by_default_both_shall_be_complete(self) -> None:
        found = only(target())
        assert (found.stim.wanted, found.stim.min_lines, found.stim.timeout) == (True, 1, 3600)
        assert (found.rollout.wanted, found.rollout.timeout) == (True, 7200)

    @pytest.mark.parametrize(
        ("desired", "wanted"),
        [
            ({"stim": "complete"}, (True, True)),
            ({"rollout": "none"}, (True, False)),
            ({"stim": "none"}, (False, False)),
            ({"stim": "none", "rollout": "none"}, (False, False)),
            ({"stim": {"state": "none"}}, (False, False)),
            ({"stim": {"min_lines": 2}, "rollout": {"state": "none"}}, (True, False)),
        ],
    )
    def test_which_stages_are_wanted(self, desired: Any, wanted: tuple[bool, bool]) -> None:
        found = only(target(desired=desired))
        assert (found.stim.wanted, found.rollout.wanted) == wanted

    def test_a_rollout_needs_a_stim(self) -> None:
        found = messages([target(desired={"stim": "none", "rollout": "complete"})])
        assert found == ["a complete rollout needs desired.stim: complete"]

    def test_defaults_of_stages_are_merged_with_short_forms(self) -> None:
        below = {"stim": {"min_lines": 2, "timeout": "90s"}, "rollout": "none"}
        found = only(project(defaults={"desired": below}), target(desired={"stim": "complete"}))
        assert (found.stim.wanted, found.stim.min_lines, found.stim.timeout) == (True, 2, 90)
        assert not found.rollout.wanted

    def test_a_default_timeout_wants_no_rollout_by_itself(self) -> None:
        below = {"rollout": {"timeout": "2h"}}
        found = only(project(defaults={"desired": below}), target(desired={"stim": "none"}))
        assert not found.rollout.wanted

    def test_more_questions_than_the_generators_yield_are_a_problem(self) -> None:
        [text] = messages([target(desired={"stim": {"min_lines": 3}})])
        assert text == "3 lines cannot be reached: the generators yield 2 questions"

    def test_a_default_that_many_cannot_reach_is_told_once(self) -> None:
        below = project(defaults={"desired": {"rollout": {"min_lines": 11}}})
        many = [target(name, num_traj_per_stimulus=1) for name in ("a", "b", "c")]
        [text] = messages([below, *many])
        assert text == (
            "11 lines cannot be reached by coding/a and 2 more targets: "
            "the generators yield 2 questions and 1 trajectory each, 2 in all"
        )

    def test_more_trajectories_than_the_questions_get_are_a_problem(self) -> None:
        wanted = {"rollout": {"min_lines": 11}}
        [text] = messages([target(desired=wanted, num_traj_per_stimulus=5)])
        assert text == (
            "11 lines cannot be reached: "
            "the generators yield 2 questions and 5 trajectories each, 10 in all"
        )

    @pytest.mark.parametrize(
        "desired",
        [{"stim": {"min_lines": 2}}, {"rollout": {"min_lines": 10}}, {"stim": {"min_lines": 0}}],
    )
    def test_lines_within_reach_are_fine(self, desired: Any) -> None:
        assert messages([target(desired=desired, num_traj_per_stimulus=5)]) == []

    def test_lines_of_a_stage_that_is_not_wanted_do_not_matter(self) -> None:
        unwanted = {"state": "none", "min_lines": 99}
        assert messages([target(desired={"rollout": unwanted})]) == []

    def test_lines_out_of_reach_are_seen_through_templates(self) -> None:
        leaf = target("leaf", spec={"template": "t"}, desired={"stim": {"min_lines": 3}})
        assert len(messages([target(), leaf])) == 1

    def test_lines_out_of_reach_are_seen_though_the_template_is_live_only(self) -> None:
        own = target(
            template="made-by-hand", num_traj_per_stimulus=5, desired={"rollout": {"min_lines": 11}}
        )
        assert len(messages([own])) == 1

    def test_a_yield_that_is_not_told_bounds_nothing(self) -> None:
        endless = [{"type": "from_dataset", "dataset": "faq"}]
        assert messages([target(generators=endless, desired={"stim": {"min_lines": 9999}})]) == []

    @pytest.mark.parametrize("key", ["generators", "teacher_prompt"])
    def test_a_stim_needs_something_to_go_by(self, key: str) -> None:
        incomplete = target(spec={**SPEC, key: None})
        [text] = messages([incomplete])
        assert key in text
        assert messages([{**incomplete, "desired": {"stim": "none"}}]) == []

    def test_what_a_stim_needs_may_come_from_a_live_template(self) -> None:
        assert messages([target(spec={"template": "made-by-hand"})]) == []


class TestPolicies:
    def test_by_default_nothing_is_risked(self) -> None:
        assert only(target()).policy == Policy(OnChange.FAIL, OnShortfall.FAIL, 1, True)

    def test_policies_are_merged_field_by_field(self) -> None:
        below = {"on_change": "revise", "retries": 3, "prevent_destroy": False}
        own = {"retries": 0, "on_shortfall": "accept"}
        found = only(project(defaults={"policy": below}), target(policy=own))
        assert found.policy == Policy(OnChange.REVISE, OnShortfall.ACCEPT, 0, False)

    @pytest.mark.parametrize(
        ("default", "own", "policy"),
        [
            (None, None, OnChange.FAIL),
            ("revise", None, OnChange.REVISE),
            ("replace", None, OnChange.FAIL),
            ("revise", "fail", OnChange.FAIL),
            ("replace", "revise", OnChange.REVISE),
        ],
    )
    def test_a_prompt_is_never_replaced(
        self, default: str | None, own: str | None, policy: OnChange
    ) -> None:
        defaults = project(
            defaults={"policy": {"on_change": default}} if default else {}, api_url="x"
        )
        desired = declare(defaults, prompt(**({"on_change": own} if own else {})))
        assert desired.prompts[prompt_id()].on_change is policy


class TestOldNames:
    def test_old_names_are_accepted_with_a_warning(self) -> None:
        spec = {"u": "expert", "v": "plain", "generators": SPEC["generators"]}
        desired, problems = read([target(spec=spec)])
        assert desired.targets[target_id()].config["teacher_prompt"] == "expert"
        assert desired.targets[target_id()].config["student_prompt"] == "plain"
        assert [(p.severity, p.message, p.path) for p in problems] == [
            (Severity.WARNING, "u is a deprecated name; write teacher_prompt", ("spec", "u")),
            (Severity.WARNING, "v is a deprecated name; write student_prompt", ("spec", "v")),
        ]

    def test_old_names_in_defaults_are_warned_of_too(self) -> None:
        defaults = project(defaults={"spec": {"u": "expert"}})
        _, problems = read([defaults, target(spec={"generators": SPEC["generators"]})])
        assert [problem.severity for problem in problems] == [Severity.WARNING]

    def test_both_names_that_agree_are_only_warned_of(self) -> None:
        _, problems = read([target(u="expert")])
        assert [problem.severity for problem in problems] == [Severity.WARNING]

    def test_both_names_that_contradict_are_a_problem(self) -> None:
        _, [problem] = read([target(u="plain")])
        assert problem.severity is Severity.ERROR
        assert problem.message == "u is an old name of teacher_prompt, which says otherwise"


class TestDuplicates:
    @pytest.mark.parametrize(
        ("manifest", "text"),
        [
            (repo(), "Repo coding is declared twice; the first one is in 0.yaml"),
            (prompt(), "Prompt coding/expert is declared twice; the first one is in 0.yaml"),
            (target(), "Target coding/t is declared twice; the first one is in 0.yaml"),
        ],
    )
    def test_a_resource_is_declared_once(self, manifest: Manifest, text: str) -> None:
        assert messages([manifest, manifest]) == [text]

    def test_the_same_name_in_another_repo_is_another_resource(self) -> None:
        assert len(declare(prompt(repo="a"), prompt(repo="b")).prompts) == 2

    def test_a_prompt_and_a_target_may_share_a_name(self) -> None:
        assert messages([prompt("x"), target("x", teacher_prompt="x")]) == []


class TestDigests:
    def test_a_prompt_changes_the_digest_of_the_targets_that_name_it(self) -> None:
        one = declare(prompt(content="a"), target(), target("other", teacher_prompt="plain"))
        two = declare(prompt(content="b"), target(), target("other", teacher_prompt="plain"))
        assert one.targets[target_id()].digest != two.targets[target_id()].digest
        assert one.targets[target_id("other")].digest == two.targets[target_id("other")].digest

    def test_a_template_changes_the_digest_of_the_targets_made_from_it(self) -> None:
        leaf = target(spec={"template": "base"})
        found = {only(target("base", temperature=value), leaf).digest for value in (0.1, 0.2)}
        assert len(found) == 2

    def test_what_is_wanted_and_allowed_is_no_part_of_the_digest(self) -> None:
        free = target(desired={"stim": {"min_lines": 2}}, policy={"retries": 5})
        assert only(free).digest == only(target()).digest

    def test_under_a_live_template_a_default_spelled_out_may_change_something(self) -> None:
        silent = only(target(template="by-hand"))
        assert silent.digest != only(target(template="by-hand", temperature=1.0)).digest

    def test_digests_never_change_between_versions(self) -> None:
        desired = declare(prompt(), target(temperature=0.7))
        found = desired.prompts[prompt_id()].digest, desired.targets[target_id()].digest
        assert found == (
            "sha256:eb7727fd13c7bc46561b26361efac2ae06bb0556cc2b75e108d047fef6e83c56",
            "sha256:b598caa8cd5398f954c6fb1190d8a69a43354acfc05d7e5999fbc2283adf06d9",
        )


def test_addresses() -> None:
    desired = declare(repo(), prompt(), target())
    assert [str(id_) for id_ in sorted(desired.ids())] == ["coding/expert", "coding", "coding/t"]
    assert desired.repos[repo_id()].id == repo_id()
    assert [desired.targets[target_id()].stage(stage) for stage in Stage] == [
        desired.targets[target_id()].stim,
        desired.targets[target_id()].rollout,
    ]
