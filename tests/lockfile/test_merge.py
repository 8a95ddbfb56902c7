"""Two lockfiles made one: by resource, by stage, and never with fewer attempts than were made."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler import lockfile
from reconciler.core.merge import UnmergeableError, merge
from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import Lock, LockedPrompt, LockedRepo, LockedStage, LockedTarget
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.lockfile.merge import Merged, merge_texts, salvage

from .locks import DIGEST, EXAMPLE, EXAMPLE_TEXT, LOCKS, OTHER

REPO = ResourceId(Kind.REPO, "coding")
PROMPT = ResourceId(Kind.PROMPT, "coding", "expert")
TARGET = ResourceId(Kind.TARGET, "coding", "coding_target")
#: Locks of one API that speak of the same few things, as those of two branches do.
SEEN = st.builds(
    LockedStage,
    status=st.sampled_from(["not_started", "running", "failed", "complete", "archived"]),
    lines=st.integers(0, 3),
    attempts=st.integers(0, 3),
    output=st.sampled_from([None, DIGEST, OTHER]),
)
KIN = st.builds(
    Lock,
    api_url=st.just("local"),
    repos=st.dictionaries(st.just(REPO), st.just(LockedRepo("m"))),
    prompts=st.dictionaries(
        st.just(PROMPT), st.builds(LockedPrompt, st.sampled_from([DIGEST, OTHER]), st.just("p"))
    ),
    targets=st.dictionaries(
        st.sampled_from([TARGET, TARGET.called("second")]),
        st.builds(
            LockedTarget,
            digest=st.sampled_from([DIGEST, DIGEST, OTHER]),
            live_name=st.just("t"),
            prevent_destroy=st.booleans(),
            stages=st.dictionaries(st.sampled_from(Stage), SEEN),
        ),
    ),
)
RUNNING = LockedStage("running", 40, 100)
COMPLETE = LockedStage("complete", 100, 100)
FAILED = LockedStage("failed", 3, 100, attempts=1, error="disk full")
AGAIN = LockedStage("running", 5, 100, attempts=2)
PULLED = replace(COMPLETE, output=DIGEST)


def with_stim(stage: LockedStage | None, digest: str = DIGEST, **more: bool) -> Lock:
    """Return a lockfile of one target with so much of its stim stage."""
    stages = {} if stage is None else {Stage.STIM: stage}
    return Lock("local", targets={TARGET: LockedTarget(digest, "t", stages=stages, **more)})


def stim(lock: Lock) -> LockedStage | None:
    return lock.targets[TARGET].stages.get(Stage.STIM)


@given(KIN, KIN)
def test_what_only_one_side_changed_is_what_comes_out(base: Lock, changed: Lock) -> None:
    assert merge(base, changed, base) == changed
    assert merge(base, base, changed) == changed
    assert merge(base, changed, changed) == changed


@given(st.none() | KIN, KIN, KIN)
def test_every_entry_comes_from_a_side_and_none_that_is_in_both_is_lost(
    base: Lock | None, ours: Lock, theirs: Lock
) -> None:
    merged = merge(base, ours, theirs)
    for section in ("repos", "prompts", "targets"):
        mine, others = getattr(ours, section), getattr(theirs, section)
        assert mine.keys() & others.keys() <= getattr(merged, section).keys()
        for id_, entry in getattr(merged, section).items():
            sides = [side[id_] for side in (mine, others) if id_ in side]
            assert (
                (entry.digest, entry.live_name) in [(side.digest, side.live_name) for side in sides]
                if section != "repos"
                else entry in sides
            )


@given(st.none() | KIN, KIN, KIN)
def test_no_value_of_a_stage_is_invented_and_attempts_never_fall(
    base: Lock | None, ours: Lock, theirs: Lock
) -> None:
    for id_, target in merge(base, ours, theirs).targets.items():
        sides = [side.targets[id_] for side in (ours, theirs) if id_ in side.targets]
        same = [side for side in sides if side.digest == target.digest]
        for stage, seen in target.stages.items():
            known = [side.stages[stage] for side in same if stage in side.stages]
            for field in LockedStage.__dataclass_fields__:
                assert getattr(seen, field) in {getattr(one, field) for one in known}
            if base is None and seen.status != "complete" and len(same) == len(sides):
                assert seen.attempts == max(one.attempts for one in known)


@given(LOCKS, LOCKS)
def test_different_targets_never_meet(ours: Lock, other: Lock) -> None:
    theirs = replace(other, api_url=ours.api_url)
    assume(not ours.ids() & theirs.ids())
    merged = merge(None, ours, theirs)
    assert merged == merge(None, theirs, ours)
    assert merged.ids() == ours.ids() | theirs.ids()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (RUNNING, COMPLETE, COMPLETE),
        (RUNNING, replace(RUNNING, lines=60), replace(RUNNING, lines=60)),
        (LockedStage("not_started", 0), RUNNING, RUNNING),
        (RUNNING, FAILED, FAILED),
        (FAILED, AGAIN, AGAIN),
        (AGAIN, replace(FAILED, attempts=2), replace(FAILED, attempts=2)),
        (FAILED, COMPLETE, COMPLETE),
        (COMPLETE, PULLED, PULLED),
        (replace(COMPLETE, lines=120), PULLED, replace(COMPLETE, lines=120)),
        (LockedStage("archived", 7), LockedStage("not_started", 0), LockedStage("archived", 7)),
    ],
)
def test_of_two_states_of_a_stage_the_later_counts(
    one: LockedStage, other: LockedStage, expected: LockedStage
) -> None:
    base = with_stim(LockedStage("pending", 0))
    assert stim(merge(base, with_stim(one), with_stim(other))) == expected
    assert stim(merge(base, with_stim(other), with_stim(one))) == expected


def test_what_one_side_removed_and_the_other_changed_stays() -> None:
    base, changed = with_stim(RUNNING), with_stim(COMPLETE)
    assert merge(base, Lock("local"), changed) == changed
    assert merge(base, changed, Lock("local")) == changed
    assert merge(base, with_stim(None), changed) == changed
    assert merge(base, Lock("local"), base) == Lock("local")


def test_of_two_digests_ours_counts_unless_theirs_is_the_declared_one() -> None:
    base, ours, theirs = (with_stim(RUNNING, digest) for digest in (DIGEST, OTHER, "sha256:ef"))
    assert merge(base, ours, theirs) == ours
    assert merge(base, ours, theirs, {TARGET: "sha256:ef"}) == theirs
    assert merge(base, ours, theirs, {TARGET: OTHER}) == ours
    mine, others = (Lock("local", prompts={PROMPT: LockedPrompt(d, "p")}) for d in (DIGEST, OTHER))
    assert merge(None, mine, others) == mine
    assert merge(None, mine, others, {PROMPT: OTHER}) == others


def test_protection_that_one_side_lifted_stays_lifted_but_is_not_lifted_by_chance() -> None:
    base, lifted = with_stim(RUNNING), with_stim(RUNNING, prevent_destroy=False)
    elsewhere = with_stim(COMPLETE)
    assert merge(base, lifted, elsewhere).targets[TARGET].prevent_destroy is False
    assert merge(None, lifted, elsewhere).targets[TARGET].prevent_destroy is True


@pytest.mark.parametrize("was_known", [False, True])
def test_a_base_model_that_one_side_does_not_know_is_taken_from_the_other(
    was_known: bool,
) -> None:
    untold, told = (Lock("local", repos={REPO: LockedRepo(model)}) for model in (None, "m"))
    base = Lock("local", repos={REPO: LockedRepo("old")}) if was_known else None
    assert merge(base, untold, told) == told
    assert merge(base, told, untold) == told


@pytest.mark.parametrize(
    "theirs", [Lock("https://b"), Lock("https://a", repos={REPO: LockedRepo("another")})]
)
def test_what_cannot_be_the_same_thing_is_not_merged(theirs: Lock) -> None:
    ours = Lock("https://a", repos={REPO: LockedRepo("m")})
    with pytest.raises(UnmergeableError):
        merge(None, ours, theirs)
    merged = merge_texts("", lockfile.render(ours), lockfile.render(theirs))
    assert merged.conflict
    assert salvage(merged.text, "https://c") == ours


def test_texts_without_a_common_past_are_merged() -> None:
    assert merge_texts("", EXAMPLE_TEXT, lockfile.render(EXAMPLE)) == Merged(EXAMPLE_TEXT)


@pytest.mark.parametrize("broken", ["", "version: 2\n", "no lockfile", "version: 99\n<<<<<<< x\n"])
def test_a_side_that_cannot_be_read_leaves_both_between_markers(broken: str) -> None:
    merged = merge_texts(EXAMPLE_TEXT, EXAMPLE_TEXT, broken)
    assert merged.conflict
    with pytest.raises(lockfile.ConflictMarkersError) as caught:
        lockfile.parse(merged.text, "x")
    assert salvage(caught.value.text, EXAMPLE.api_url) == EXAMPLE


def test_two_base_models_cost_no_attempts() -> None:
    ours = replace(with_stim(FAILED), repos={REPO: LockedRepo("m")})
    theirs = replace(with_stim(AGAIN), repos={REPO: LockedRepo("another")})
    saved = salvage(merge_texts("", lockfile.render(ours), lockfile.render(theirs)).text, "local")
    assert saved
    assert stim(saved) == AGAIN


BLOCK = """\
  coding/coding_target:
    digest: {digest}
    live_name: t
    stim:
      attempts: {attempts}
      lines: 1
      status: failed
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("attempts", [(1, 3), (3, 1)])
def test_a_block_that_a_merge_of_git_has_doubled_costs_no_attempts(
    attempts: tuple[int, int], end: str
) -> None:
    """Without the driver git may take one target from both sides and see no conflict."""
    head = lockfile.render(with_stim(None)).partition("  coding/")[0]
    blocks = [BLOCK.format(digest=DIGEST, attempts=number) for number in attempts]
    doubled = (head + "".join(blocks)).replace("\n", end)
    with pytest.raises(
        lockfile.ConflictMarkersError, match=r"coding/coding_target.* twice"
    ) as told:
        lockfile.parse(doubled, "x")
    assert "refresh" in told.value.hint
    saved = salvage(told.value.text, "local")
    assert saved
    assert stim(saved) == LockedStage("failed", 1, attempts=3)
    merged = merge_texts("", doubled, lockfile.render(with_stim(COMPLETE)))
    assert merged.conflict


def test_a_target_and_a_prompt_of_one_name_are_not_the_same_twice() -> None:
    lock = replace(
        with_stim(RUNNING), prompts={TARGET._replace(kind=Kind.PROMPT): LockedPrompt(DIGEST, "p")}
    )
    assert lockfile.parse(lockfile.render(lock), "x") == lock


ADDRESSES = ["https://API.Example/v", "HTTPS://api.example/v", "https://api.example/v/"]


@pytest.mark.parametrize("written", ADDRESSES)
def test_one_api_whose_address_is_written_in_two_ways_is_one(written: str) -> None:
    url = "https://api.example/v"
    ours = replace(with_stim(AGAIN), api_url=url)
    theirs = lockfile.render(replace(with_stim(FAILED), api_url=written))
    base = lockfile.render(replace(with_stim(FAILED), api_url=written))
    assert merge_texts(base, lockfile.render(ours), theirs) == Merged(lockfile.render(ours))
    assert merge_texts(base, theirs, lockfile.render(ours)) == Merged(lockfile.render(ours))
    for sides in ((lockfile.render(ours), theirs), (theirs, "version: 7\n")):
        torn = "<<<<<<< HEAD\n{}=======\n{}>>>>>>> theirs\n".format(*sides)
        saved = salvage(torn, url)
        assert saved
        assert saved.api_url == url
        assert stim(saved) == (AGAIN if sides[0] != theirs else FAILED)


@given(KIN, KIN, st.sampled_from(["merge", "diff3"]))
def test_from_between_markers_comes_what_the_merge_would_have_been(
    ours: Lock, theirs: Lock, style: str
) -> None:
    base = f"||||||| 1234567\n{lockfile.render(Lock('local'))}" if style == "diff3" else ""
    torn = (
        f"<<<<<<< HEAD\n{lockfile.render(ours)}{base}=======\n"
        f"{lockfile.render(theirs)}>>>>>>> theirs\n"
    )
    assert salvage(torn, "local") == merge(None, ours, theirs)
