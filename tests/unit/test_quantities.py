from __future__ import annotations

from typing import Any

import pytest

from reconciler.core import quantities


@pytest.mark.parametrize(
    ("generators", "reach"),
    [
        ([], 0),
        ([{"type": "oneshot_qs", "numq": 100}], 100),
        ([{"type": "oneshot_qs", "numq": 100}, {"type": "persona", "numq": 5}], 105),
        ([{"type": "oneshot_qs"}], None),
        ([{"type": "oneshot_qs", "numq": 100}, {"type": "from_dataset"}], None),
        ([{"type": "hardcoded", "questions": ["a", "b"]}], 2),
        ([{"type": "hardcoded", "questions": ["a", "b"], "numq": 1}], 1),
        ([{"type": "hardcoded", "questions": ["a", "b"], "numq": 9}], 2),
        ([{"type": "hardcoded", "questions": []}], 0),
    ],
)
def test_generators_yield_so_many_questions(generators: Any, reach: int | None) -> None:
    assert quantities.stim_reach({"generators": generators}) == reach


def test_nothing_is_known_of_generators_that_are_not_declared() -> None:
    assert quantities.stim_reach({}) is None


@pytest.mark.parametrize(
    ("config", "reach"),
    [({}, 10), ({"num_traj_per_stimulus": None}, 10), ({"num_traj_per_stimulus": 5}, 50)],
)
def test_every_question_gets_its_trajectories(config: Any, reach: int) -> None:
    assert quantities.rollout_reach(10, config) == reach
    assert quantities.rollout_reach(None, config) is None
