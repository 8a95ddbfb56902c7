"""How many lines a config yields: the arithmetic of generators and trajectories.

Knows nothing of live state; what that adds is in ``expected``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.equality.normalize import TARGET_DEFAULTS

if TYPE_CHECKING:
    from reconciler.core.model.manifest import JsonObject


def stim_reach(config: JsonObject) -> int | None:
    """Return the number of questions that the generators of a config yield, None if untold."""
    generators = config.get("generators")
    if generators is None:
        return None
    yields = [_generator_reach(item) for item in generators]
    return None if None in yields else sum(n for n in yields if n is not None)


def rollout_reach(stim_lines: int | None, config: JsonObject) -> int | None:
    """Return the number of trajectories for so many stimuli, None if that is unknown."""
    return None if stim_lines is None else stim_lines * trajectories_each(config)


def trajectories_each(config: JsonObject) -> int:
    """Return ``num_traj_per_stimulus``, which the API defaults to 1."""
    each = config.get("num_traj_per_stimulus")
    return int(TARGET_DEFAULTS["num_traj_per_stimulus"] if each is None else each)


def _generator_reach(generator: JsonObject) -> int | None:
    wanted = None if generator.get("numq") is None else int(generator["numq"])
    questions = generator.get("questions")
    if generator.get("type") != "hardcoded" or questions is None:
        return wanted
    return len(questions) if wanted is None else min(wanted, len(questions))
