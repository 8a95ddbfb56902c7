"""Whatever is live: what ``import`` writes of it, a plan leaves alone."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builders import planned, settled
from hypothesis import given
from hypothesis import strategies as st
from strategies import Situation, opened, situations

from reconciler import manifests
from reconciler.client import parse
from reconciler.core.equality import normalize
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.observed import Absent, LivePrompt, LiveRepo, LiveStage, LiveTarget
from reconciler.workflow.importing.live import drafts
from reconciler.workflow.importing.repos import Wanted, observe
from reconciler.workflow.importing.verbs import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import DrawFn, SearchStrategy

    from reconciler.core.model.desired import Stage

Live = dict[str, Any]

#: Names that YAML would read as something else, and some that no manifest can declare.
good_names = st.sampled_from(["no", "1e3", "12", "0x1f", "2001-01-01", "null", "a.b-c_d", "X", "x"])
names = st.integers(0, 9).flatmap(
    lambda tenth: good_names if tenth else st.sampled_from(["with space", "ü", "batch", "-"])
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
texts = st.sampled_from(
    [
        "",
        "no",
        "12:30",
        "a: b",
        "- x",
        "two\nlines",
        "ends\n",
        "\n",
        " indented\n  more\n",
        "\ufeffmark\n",
        "carriage\r\nreturn\r\n",
        "tab\there\n\tthere",
        "x" * 300,
        "nul \x00 and \x85 and \u2028",
        "half \ud800 a character",
        "${numq} ${prompt_u}\n",
    ]
) | st.text(max_size=300)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "no"])},
    optional={
        "content": st.none()
        | texts
        | st.lists(st.dictionaries(texts, json_values, max_size=2), max_size=2),
        "tool_calls": st.lists(json_values, max_size=2),
        "name": texts,
    },
)
odd_messages = messages.map(lambda message: {**message, "content_file": "../../etc/passwd"})
prompts = st.fixed_dictionaries(
    {"messages": st.lists(st.one_of(*[messages] * 9, odd_messages), max_size=3)},
    optional={
        "tools": st.none() | st.lists(st.dictionaries(texts, json_values, max_size=2), max_size=2)
    },
)
hardcoded = st.fixed_dictionaries(
    {"type": st.just("hardcoded"), "questions": st.lists(texts, min_size=1, max_size=8)},
    optional={"numq": st.none() | st.integers(1, 9), "rollout_with_conditioned": st.booleans()},
)
generators = hardcoded | st.fixed_dictionaries(
    {"type": st.sampled_from(["oneshot_qs", "persona", "from_dataset", "custom", "custom", "new"])},
    optional={
        "model": st.none() | st.sampled_from(["m", "no", "12"]),
        "numq": st.none() | st.integers(1, 9),
        "temperature": st.none() | st.sampled_from([0, 0.5, 1, 1.0, 2.0]),
        "questions_file": st.just("/etc/passwd"),
        "dataset": st.sampled_from(["squad", "12:30"]),
        "seed": st.none() | st.integers(),
        "template_path": st.none() | st.sampled_from(["templates/x.txt", "x.txt"]),
        "template_content": st.sampled_from(
            ["${numq} ${prompt_u}", "${numq}\n${prompt_u}\r\n", "Ask $numq:\n\n${prompt_u}\n"]
        ),
        "surprise": json_values,
    },
)
configs = st.fixed_dictionaries(
    {},
    optional={
        "teacher_prompt": st.none() | names,
        "student_prompt": st.none() | st.just("") | names,
        "u": names,
        "v": st.none() | names,
        "generators": st.none() | st.lists(generators, max_size=3),
        "model_name": st.none() | st.sampled_from(["Qwen/Qwen3-32B", "user/model", "no"]),
        "num_traj_per_stimulus": st.none() | st.integers(1, 5),
        "temperature": st.none() | st.sampled_from([0.0, 1, 1.0, 0.7]),
        "max_tokens": st.none() | st.integers(1, 10**6),
        "max_concurrency": st.none() | st.sampled_from([1, 10]),
        "extra_kwargs": st.none() | st.dictionaries(texts, json_values, max_size=3),
        "surprise": json_values,
        "sur\x00prise\u2028\ud800\n# \x1b[31m": json_values,
    },
)
stages = st.sampled_from(
    [{}, {"status": "running", "lines": 3}, {"status": "archived"}, {"status": "failed"}]
) | st.builds(lambda lines: {"status": "complete", "lines": lines}, st.none() | st.integers(0, 40))
targets: SearchStrategy[Live] = st.fixed_dictionaries(
    {"config": configs, "stim": stages, "rollout": stages}
)


@st.composite
def repos(draw: DrawFn) -> Live:
    """Return a repo whose targets, for the most part, name prompts that are there."""
    held = draw(st.dictionaries(names, prompts, max_size=4))
    found = draw(st.dictionaries(names, targets, max_size=4))
    for item in found.values():
        if held and draw(st.sampled_from([True, True, True, False])):
            item["config"].pop("u", None)
            item["config"] |= {
                "teacher_prompt": draw(st.sampled_from(sorted(held))),
                "student_prompt": draw(st.sampled_from(["", *sorted(held)])),
                "generators": draw(st.lists(generators, min_size=1, max_size=2)),
            }
    model = draw(st.sampled_from([None, "Qwen/Qwen3-32B", "no"]))
    return {"base_model": model, "prompts": held, "targets": found}


class Told:
    """An API that answers from plain data, through the same parsing as the real one."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def repo(self, name: str) -> LiveRepo | Absent:
        return parse.repo(self._live[name]) if name in self._live else Absent()

    async def repo_names(self) -> frozenset[str]:
        return frozenset(self._live)

    async def prompt_names(self, repo: str) -> frozenset[str]:
        return frozenset(self._live[repo]["prompts"])

    async def target_names(self, repo: str) -> frozenset[str]:
        return frozenset(self._live[repo]["targets"])

    async def prompt(self, repo: str, name: str) -> LivePrompt:
        return parse.prompt(self._live[repo]["prompts"][name])

    async def target(self, repo: str, name: str) -> LiveTarget:
        return parse.target(self._live[repo]["targets"][name])

    async def stage(self, repo: str, target: str, stage: Stage) -> LiveStage:
        told = self._live[repo]["targets"][target].get(stage.value) or {"status": "not_started"}
        return parse.stage(told)


def imported(live: Live, directory: Path) -> tuple[str, ...]:
    """Import everything that is live; return the sentences about what was left out."""
    observed = asyncio.run(observe(Wanted(tuple(sorted(live))), Told(live))).observed
    return write(directory, drafts(observed), observed=observed).notes


@given(st.dictionaries(good_names, repos(), min_size=1, max_size=2))
def test_a_plan_leaves_alone_what_was_imported(live: Live) -> None:
    with tempfile.TemporaryDirectory() as directory:
        notes = imported(live, Path(directory))
        if not any(Path(directory).iterdir()):
            assert notes
            return
        found = manifests.load(Path(directory))
    assert found.warnings == ()
    assert planned(found.desired, live).converged
    missing = [id_ for id_ in everything(live) if id_ not in found.desired.ids()]
    assert len(notes) == len(missing)
    assert all(any(str(id_) in note for note in notes) for id_ in missing)


def everything(live: Live) -> Iterator[ResourceId]:
    for repo, held in live.items():
        yield ResourceId(Kind.REPO, repo)
        yield from (ResourceId(Kind.PROMPT, repo, name) for name in held["prompts"])
        yield from (ResourceId(Kind.TARGET, repo, name) for name in held["targets"])


@given(situations())
def test_of_what_a_project_made_everything_is_imported(situation: Situation) -> None:
    live = settled(opened(situation)[0], {})
    with tempfile.TemporaryDirectory() as directory:
        assert imported(live, Path(directory)) == ()
        found = manifests.load(Path(directory))
    assert found.desired.ids() == set(everything(live))
    assert planned(found.desired, live).converged


@given(prompts)
def test_the_content_of_a_prompt_is_what_it_is_live(prompt: Live) -> None:
    live = {"r": {"base_model": "m", "prompts": {"p": prompt}, "targets": {}}}
    with tempfile.TemporaryDirectory() as directory:
        notes = imported(live, Path(directory))
        (declared,) = manifests.load(Path(directory)).desired.prompts.values() or (None,)
    if declared is None:
        assert notes
    else:
        assert declared.content == normalize.prompt_content(prompt)
