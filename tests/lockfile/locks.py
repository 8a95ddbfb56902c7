"""Lockfiles to test with: an example and its bytes, and hypothesis strategies for any lock."""

from __future__ import annotations

from hypothesis import strategies as st

from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import Lock, LockedPrompt, LockedRepo, LockedStage, LockedTarget
from reconciler.core.model.manifest import Kind, ResourceId

DIGEST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32

EXAMPLE = Lock(
    "https://bapi.bread.com.ai",
    repos={ResourceId(Kind.REPO, "coding"): LockedRepo("Qwen/Qwen3-32B")},
    prompts={ResourceId(Kind.PROMPT, "coding", "expert"): LockedPrompt(DIGEST, "expert")},
    targets={
        ResourceId(Kind.TARGET, "coding", "coding_target"): LockedTarget(
            OTHER,
            "coding_target",
            stages={
                Stage.STIM: LockedStage("complete", 100, 100),
                Stage.ROLLOUT: LockedStage("complete", 500, 500),
            },
        )
    },
)
EXAMPLE_TEXT = f"""\
# Written by reconciler; commit it, don't edit it. `reconciler refresh` rebuilds it.
version: 1
api_url: https://bapi.bread.com.ai
prompts:
  coding/expert:
    digest: {DIGEST}
    live_name: expert
repos:
  coding:
    base_model: Qwen/Qwen3-32B
targets:
  coding/coding_target:
    digest: {OTHER}
    live_name: coding_target
    rollout:
      expected: 500
      lines: 500
      status: complete
    stim:
      expected: 100
      lines: 100
      status: complete
"""

ODD = ["no", "y", "null", "true", "123", "1e3", "0x1f", "1_000", "12:30", "0.5", "2001-01-01", "~"]
PLAIN_NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True)
NAMES = st.sampled_from(ODD) | PLAIN_NAME
TEXTS = st.sampled_from(
    [*ODD, "a: b", "- x", "#", " lead", "é", "\u2028", "\x1b[31m", "a:"]
) | st.text(min_size=1, max_size=30)
DIGESTS = st.sampled_from([DIGEST, OTHER])
COUNTS = st.integers(0, 10**9)
STAGES = st.builds(
    LockedStage,
    status=TEXTS,
    lines=COUNTS,
    expected=st.none() | COUNTS,
    attempts=st.integers(0, 9),
    error=st.none() | TEXTS,
    output=st.none() | DIGESTS,
)
TARGETS = st.builds(
    LockedTarget,
    digest=DIGESTS,
    live_name=TEXTS,
    prevent_destroy=st.booleans(),
    stages=st.dictionaries(st.sampled_from(Stage), STAGES),
)


def ids(kind: Kind) -> st.SearchStrategy[ResourceId]:
    return st.builds(ResourceId, st.just(kind), NAMES, st.just("") if kind is Kind.REPO else NAMES)


LOCKS = st.builds(
    Lock,
    api_url=st.sampled_from(["local", "https://bapi.bread.com.ai", "http://[::1]:8080/a"]),
    repos=st.dictionaries(
        ids(Kind.REPO), st.builds(LockedRepo, base_model=st.none() | TEXTS), max_size=3
    ),
    prompts=st.dictionaries(
        ids(Kind.PROMPT), st.builds(LockedPrompt, digest=DIGESTS, live_name=TEXTS), max_size=3
    ),
    targets=st.dictionaries(ids(Kind.TARGET), TARGETS, max_size=3),
)
