"""Hypothesis strategies for whole projects, and for the live states they may meet."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeAlias

from builders import UNREADABLE, Live, Manifest, declare, project, prompt, repo, settled, target
from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from reconciler.core.model.desired import Desired

REPOS = ("coding", "docs")
PROMPTS = ("expert", "plain")
TARGETS = ("a", "b", "c")
TEMPLATE = "Ask ${numq} questions about ${prompt_u}."

Situation: TypeAlias = "tuple[list[Manifest], Live]"

contents = st.sampled_from(["Be exact.", "Be brief.", ""])
changes = st.sampled_from(["revise", "fail"])
policies = st.fixed_dictionaries(
    {
        "on_change": st.sampled_from(["revise", "replace", "fail"]),
        "on_shortfall": st.sampled_from(["replace", "accept", "fail"]),
        "retries": st.integers(0, 2),
        "prevent_destroy": st.booleans(),
    },
)
wishes: SearchStrategy[Manifest] = st.sampled_from(
    [
        {"stim": {"min_lines": 2}},
        {"stim": {"min_lines": 2}, "rollout": "none"},
        {},
        {"stim": "none"},
    ]
)
generators = st.sampled_from(
    [
        {"type": "hardcoded", "questions": ["Why?", "How?"]},
        {"type": "oneshot_qs", "numq": 3, "temperature": 0.5},
        {"type": "custom", "numq": 2, "template_path": "harder.txt", "template_content": TEMPLATE},
        {"type": "from_dataset", "dataset": "faq"},
    ]
)
#: Fields that any target may set, with the defaults of the service among their values.
settings_of_a_target = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0.0, 0.7, 1.0]),
        "num_traj_per_stimulus": st.sampled_from([1, 5]),
        "max_tokens": st.sampled_from([100, 200]),
        "max_concurrency": st.sampled_from([10, 20]),
        "extra_kwargs": st.sampled_from([{"top_p": 0.5}, {"stop": ["a", "b"], "top_p": 1.0}]),
        "student_prompt": st.sampled_from([*PROMPTS, ""]),
    },
)


@st.composite
def manifests(draw: DrawFn) -> list[Manifest]:
    """Return a valid project of one or two repos, whose targets may be templates of each other."""
    defaults = {"policy": draw(policies)} if draw(st.booleans()) else {}
    found = [project(defaults=defaults)]
    for name in draw(st.sampled_from([REPOS[:1], REPOS])):
        found += [repo(name), *draw(_prompts(name)), *draw(_targets(name))]
    return found


def _prompts(repo_name: str) -> SearchStrategy[list[Manifest]]:
    policy: SearchStrategy[dict[str, str]] = st.fixed_dictionaries(
        {}, optional={"on_change": changes}
    )
    one = st.tuples(contents, policy)
    return st.tuples(*(one for _ in PROMPTS)).map(
        lambda drawn: [
            prompt(name, content, repo=repo_name, **policy)
            for name, (content, policy) in zip(PROMPTS, drawn, strict=True)
        ]
    )


@st.composite
def _targets(draw: DrawFn, repo_name: str) -> list[Manifest]:
    names = draw(st.lists(st.sampled_from(TARGETS), unique=True, min_size=1))
    found = []
    for position, name in enumerate(names):
        spec: Manifest = dict(draw(settings_of_a_target))
        template = draw(st.sampled_from(["default", *names[:position]]))
        if template == "default":
            spec["teacher_prompt"] = draw(st.sampled_from(PROMPTS))
            spec["generators"] = draw(st.lists(generators, min_size=1, max_size=2))
        else:
            spec["template"] = template
        wanted, policy = draw(wishes), draw(policies)
        found.append(target(name, repo=repo_name, spec=spec, desired=wanted, policy=policy))
    return found


@st.composite
def situations(draw: DrawFn) -> Situation:
    """Return what is declared now, and live state as it came about.

    That is what this project and others have left behind, and what jobs and people have done since.
    """
    declared = draw(manifests())
    live: Live = {}
    for earlier in draw(st.lists(st.one_of(st.just(declared), manifests()), max_size=2)):
        live = settled(declare(*earlier), live)
    for item in _targets_of(live):
        item["stim"], item["rollout"] = draw(stages), draw(stages)
        if draw(st.sampled_from([False, False, True])):
            item["config"]["teacher_prompt"] = "another"
    for name in sorted(live):
        if draw(st.sampled_from([False, False, False, True])):
            changed = {"messages": [{"role": "user", "content": "Changed."}]}
            live[name]["prompts"]["expert"] = changed
    return declared, live


def opened(situation: Situation) -> tuple[Desired, Live]:
    """Return what is declared in a situation, and what is live."""
    declared, live = situation
    return declare(*declared), live


def complete(lines: int) -> Live:
    return {"status": "complete", "lines": lines, "total_expected": lines}


stages = st.one_of(
    st.sampled_from([{}, complete(1), complete(50)]),
    st.fixed_dictionaries(
        {"status": st.sampled_from(["pending", "running", "failed", "complete", "archived"])},
        optional={
            "lines": st.integers(0, 20),
            "total_expected": st.integers(0, 20),
            "error": st.just("out of memory"),
        },
    ),
)


@st.composite
def with_gaps(draw: DrawFn, live: Live) -> Live:
    """Return live state of which some parts, large or small, cannot be read."""
    gappy = copy.deepcopy(live)
    for holder, key in _parts(gappy):
        if draw(st.sampled_from([False, False, False, True])):
            holder[key] = UNREADABLE
    return gappy


def _parts(live: Live) -> list[tuple[dict[str, Any], str]]:
    """Return where every prompt, target, listing and repo is held, the small before the large."""
    held = [(live[name], part) for name in sorted(live) for part in ("prompts", "targets")]
    items = [(repo[part], item) for repo, part in held for item in sorted(repo[part])]
    return [*items, *held, *((live, name) for name in sorted(live))]


def _targets_of(live: Live) -> list[dict[str, Any]]:
    return [item for name in sorted(live) for _, item in sorted(live[name]["targets"].items())]
