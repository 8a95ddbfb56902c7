"""A plan as a comment."""

from __future__ import annotations

import re

from builders import (
    API_URL,
    NO_ANSWER,
    declare,
    planned,
    prompt,
    recorded,
    repo,
    settled,
    target,
    target_id,
)

from reconciler.core.model.desired import Stage
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.plan import Action, FieldDiff, Plan, Reason, Unknown, Verb
from reconciler.render import markdown

EVIL = "<img src=x onerror=alert(1)> [link](http://evil) ![image](http://evil) @everyone `tick` #1"


def test_a_comment_begins_with_the_sum() -> None:
    found = markdown.plan(planned(declare(repo(), prompt(), target()), {}))
    head = found.splitlines()
    assert head[0] == "### Plan"
    assert head[2] == "**3 to create, 2 to run**"
    assert "New: 2 questions, 2 trajectories, no bound on output tokens." in found


def test_nothing_to_do_is_said() -> None:
    desired = declare(repo(), prompt(), target())
    live = settled(desired, {})
    found = markdown.plan(planned(desired, live, recorded(desired, live)))
    assert "Nothing to do" in found
    assert "<details>" not in found


def test_every_resource_is_folded() -> None:
    found = markdown.plan(planned(declare(repo(), prompt(), target()), {}))
    assert found.count("<details>") == found.count("</details>") == 3
    assert "target <code>coding/t</code>: create, run stim, run rollout" in found


def test_what_cannot_be_read_or_is_no_longer_declared_is_named() -> None:
    plan = Plan(API_URL, unknown=(Unknown(target_id(), NO_ANSWER),), orphans=(target_id("gone"),))
    found = markdown.plan(plan)
    assert "Live state could not be read for 1 resource" in found
    assert f"- `coding/t`: `{NO_ANSWER}`" in found
    assert "No longer declared: `coding/gone`" in found
    assert "****" not in found


def test_an_accepted_shortfall_is_told_with_its_counts() -> None:
    reason = Reason.SHORTFALL_ACCEPTED
    short = Action(Verb.UNCHANGED, target_id(), reason, Stage.STIM, lines=7, wanted=1000)
    plan = Plan(API_URL, accepted_shortfalls=(short,) * 25)
    found = markdown.plan(plan)
    assert "Accepted with fewer lines than wanted: 25 stages." in found
    assert found.count("- `coding/t` stim: 7 of 1,000") == 10


def test_what_needs_a_person_comes_first() -> None:
    plan = Plan(
        API_URL,
        (
            Action(Verb.CREATE, target_id("a"), Reason.MISSING),
            Action(Verb.BLOCKED, target_id("b"), Reason.SHORTFALL),
            Action(Verb.DELETE, target_id("c"), Reason.ORPHAN),
        ),
    )
    names = re.findall(r"<code>coding/(.)</code>", markdown.plan(plan))
    assert names == ["b", "c", "a"]


def test_nothing_foreign_becomes_markup() -> None:
    id_ = ResourceId(Kind.TARGET, "coding", EVIL)
    diff = (FieldDiff(EVIL, EVIL, {EVIL: EVIL}),)
    action = Action(Verb.BLOCKED, id_, Reason.CONFIG_CHANGED, diff=diff, message=EVIL)
    found = markdown.plan(Plan(API_URL, (action,), (Unknown(id_, EVIL),), (id_,)))
    outside_code = re.sub(r"(`+) ?.*? ?\1(?!`)", "", found)
    assert not re.search(r"(?<!\\)<img", outside_code)
    assert not re.search(r"(?<!\\)@", outside_code)
    # Inside of HTML, Markdown means nothing.
    prose = re.sub(r"<summary>.*</summary>", "", outside_code)
    assert not re.search(r"(?<!\\)\]\(", prose)


def test_a_comment_is_never_too_long() -> None:
    words = "all the words of a service " * 40
    actions = tuple(
        Action(Verb.BLOCKED, target_id(f"t{number}"), Reason.RETRIES_EXHAUSTED, message=words)
        for number in range(2000)
    )
    found = markdown.plan(Plan(API_URL, actions))
    assert len(found) <= markdown.LONGEST
    left = re.search(r"and ([0-9,]+) more resources", found)
    assert left
    assert int(left[1].replace(",", "")) + found.count("<details>") == 2000
