"""The fleet as commands and reports see it: from memory while that is young, else read again first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fleet.model import Snapshot

YOUNG_S = 1.0
LOOK_LIMIT_S = 2.0  # a host that does not answer delays nobody longer: then memory answers, with its age


async def fresh(
    latest: Callable[[], Snapshot | None], refresh: Callable[[], Awaitable[Snapshot]]
) -> Snapshot:
    """A picture in which a pane that was just killed is dead. Raises what ``refresh`` raises while there is
    nothing in memory."""
    known = latest()
    if known is not None and _age_s(known) < YOUNG_S:
        return known
    if known is None:
        return await refresh()
    try:
        async with asyncio.timeout(LOOK_LIMIT_S):
            return await refresh()
    except TimeoutError:
        return latest() or known


def _age_s(picture: Snapshot) -> float:
    """Seconds since the oldest evidence in it; without agents nothing is known to be young."""
    return max((row.evidence_age_s or 0.0 for row in picture.agents), default=YOUNG_S)
