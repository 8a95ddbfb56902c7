"""Settings that all tests share."""

from __future__ import annotations

from hypothesis import Phase, settings

# The same examples every time, so that a red run is red again; `--hypothesis-profile=thorough`
# goes looking for others.
settings.register_profile(
    "quick",
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("quick")
