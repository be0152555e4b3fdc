"""The tmux servers of this node: one listing per socket serves all who ask at about the same time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable

from fleet.host.panes import PaneListing
from fleet.host.tmux import Tmux

FRESH_S = 0.15


class Panes:
    """``clock`` in seconds. A listing is at most ``FRESH_S`` older than the question."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._servers: dict[str, Tmux] = {}
        self._listings: dict[str, tuple[float, PaneListing]] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def tmux(self, socket: str) -> Tmux:
        """The edge to one server; the empty name is the default socket."""
        if socket not in self._servers:
            self._servers[socket] = Tmux(socket)
        return self._servers[socket]

    async def fresh(self, socket: str) -> PaneListing:
        """All panes of that server now."""
        async with self._locks[socket]:
            known = self._listings.get(socket)
            began = self._clock()
            if known is not None and began - known[0] < FRESH_S:
                return known[1]
            listing = await self.tmux(socket).list_panes()
            self._listings[socket] = (began, listing)
            return listing
