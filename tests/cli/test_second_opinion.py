"""What ``apply`` made, seen through the official client: it finds what the lockfile says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aibread
import pytest

from .conftest import KEY
from .project import Project, target

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bread(project: Project) -> Iterator[aibread.Bread]:
    _, url, _, user = project.access
    with aibread.Bread(api_key=KEY, base_url=url, default_query={"user_id": user}) as client:
        yield client


def test_the_official_client_sees_what_the_lockfile_records(
    project: Project, bread: aibread.Bread
) -> None:
    project.targets(
        target("base"), target("derived", spec={"template": "base", "temperature": 0.5})
    )
    assert project.run("apply").code == 0
    lock = project.lock
    assert bread.repo.get("coding").base_model == lock["repos"]["coding"]["base_model"]
    prompts = bread.prompts.list("coding").prompts
    assert {f"coding/{name}" for name in prompts or []} == set(lock["prompts"])
    targets = bread.targets.list("coding").targets
    assert {f"coding/{name}" for name in targets or []} == set(lock["targets"])
    for name in ("base", "derived"):
        recorded = lock["targets"][f"coding/{name}"]
        stim = bread.targets.stim.get(name, repo_name="coding")
        rollout = bread.targets.rollout.get(name, repo_name="coding")
        assert (stim.status, stim.lines) == (recorded["stim"]["status"], recorded["stim"]["lines"])
        assert rollout.lines == recorded["rollout"]["lines"] == 12
        output = bread.targets.rollout.get_output(name, repo_name="coding", limit=100)
        assert len(output.output) == recorded["rollout"]["lines"]


def test_what_the_official_client_made_is_adopted_and_not_made_again(
    project: Project, bread: aibread.Bread
) -> None:
    project.targets(target("base"))
    assert project.run("apply").code == 0
    before = project.lockfile.read_text()
    bread.targets.stim.run("base", repo_name="coding")
    bread.prompts.create("coding", prompt_name="another", messages=[])
    project.lockfile.unlink()
    assert project.run("plan", "--detailed-exitcode").code == 0
    assert project.run("refresh").code == 0
    assert project.lockfile.read_text() == before
