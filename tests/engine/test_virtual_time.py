"""Time that jumps: in the right order, and never for ever."""

from __future__ import annotations

import asyncio
import time

import pytest
import virtual_time


def test_sleepers_wake_in_the_order_of_their_alarms() -> None:
    async def woken() -> list[str]:
        clock, order = virtual_time.clock(), list[str]()

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            order.append(f"{name} at {clock.now():.0f}")

        await asyncio.gather(sleeper("late", 7200), sleeper("soon", 5), sleeper("middle", 60))
        return order

    begun = time.monotonic()
    assert virtual_time.run(woken()) == ["soon at 5", "middle at 60", "late at 7200"]
    assert time.monotonic() - begun < 60


def test_what_can_never_end_is_an_error_and_no_hang() -> None:
    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="nothing will ever wake"):
        virtual_time.run(wait_for_ever())
