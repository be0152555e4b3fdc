"""The fleet at one moment: one cold look, or the kept picture of a running bot or node."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from fleet.home import Home
from fleet.host.name import this_host
from fleet.model import Roster, Snapshot
from fleet.observe.gather import READ_LIMIT_S, gather
from fleet.observe.memory import remember
from fleet.observe.readiness import idle_threshold_s
from fleet.observe.rows import join
from fleet.observe.sources import Sources
from fleet.observe.who import Placement, place_call

WATCHED_S = 1.0
UNWATCHED_S = 5.0
TOO_OLD_S = 15.0

RosterSource = Callable[[], Roster | Awaitable[Roster]]


def utc_now() -> datetime:
    return datetime.now(UTC)


async def observe(
    home: Home,
    roster: Roster,
    *,
    now: datetime | None = None,
    host: str | None = None,
    threshold_s: float | None = None,
    timeout_s: float = READ_LIMIT_S,
) -> Snapshot:
    """One look from nothing, for a single call. What did not answer within ``timeout_s`` seconds is
    unknown in the rows; one failed look is never a death. ``threshold_s`` as in the readiness rules."""
    here = host or this_host()
    at = now or utc_now()
    sources = await gather(home, roster, now=at, host=here, timeout_s=timeout_s)
    return join(roster, sources, host=here, now=at, threshold_s=idle_threshold_s(os.environ, threshold_s))


class Observer:
    """Polls and keeps the last good reading of each source, so that a question costs no process.

    ``roster`` gives the roster of now (it may change while we run). ``now`` gives aware UTC time. Run
    :meth:`run` as a task of the owner's group; cancelling it is the way to stop it. While
    :meth:`watch` is open somewhere the poll is every second, else every five.
    """

    def __init__(
        self,
        home: Home,
        roster: RosterSource,
        *,
        host: str | None = None,
        timeout_s: float = READ_LIMIT_S,
        now: Callable[[], datetime] = utc_now,
        on_problem: Callable[[str], None] = lambda _text: None,
        on_snapshot: Callable[[Snapshot], None] = lambda _snapshot: None,
    ) -> None:
        self.home = home
        self._roster = roster
        self.host = host or this_host()
        self._timeout_s = timeout_s
        self._clock = now
        self._on_problem = on_problem
        self._on_snapshot = on_snapshot
        self._sources: Sources | None = None
        self._known: Roster | None = None
        self._fails: dict[str, tuple[int, datetime]] = {}
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._watchers = 0

    def latest(self) -> Snapshot | None:
        """The picture from memory with the ages of now; None before the first reading."""
        if self._sources is None or self._known is None:
            return None
        threshold_s = idle_threshold_s(os.environ)
        now = self._clock()
        return join(self._known, self._sources, host=self.host, now=now, threshold_s=threshold_s)

    async def snapshot(self) -> Snapshot:
        """From memory while the poll is alive, else a reading now. Raises as :meth:`refresh`."""
        picture, sources = self.latest(), self._sources
        if picture is None or sources is None or (picture.ts - sources.at).total_seconds() > TOO_OLD_S:
            return await self.refresh()
        return picture

    async def place_of(self, pid: int) -> Placement:
        """Where that process of this host stands: in an agent's pane, outside, or not to be told."""
        return await place_call(self.home, await self._current_roster(), pid=pid, host=self.host)

    async def agent_of(self, pid: int) -> str | None:
        """The agent in whose pane that process runs. None also where it cannot be told: what needs the
        difference asks :meth:`place_of`."""
        return (await self.place_of(pid)).agent

    async def refresh(self) -> Snapshot:
        """Read everything now. Calls at the same time share one reading. Raises what the roster source
        raises when there is no picture yet; later a broken roster leaves the last good one in use."""
        before = self._sources
        async with self._lock:
            if self._sources is before:  # else another call read while we waited
                await self._read()
        picture = self.latest()
        assert picture is not None
        return picture

    async def run(self) -> None:
        """Poll until cancelled. A failed poll is told to ``on_problem`` and tried again."""
        while True:
            try:
                self._on_snapshot(await self.refresh())
            except Exception as problem:  # noqa: BLE001 - the poll must outlive any one reading
                self._on_problem(f"observing failed: {problem}")
            self._wake.clear()
            try:
                async with asyncio.timeout(WATCHED_S if self._watchers else UNWATCHED_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def poke(self) -> None:
        """Something happened: poll now. Events cut the latency, they never decide."""
        self._wake.set()

    def watch(self) -> Watch:
        """``with observer.watch():`` polls every second until left."""
        return Watch(self)

    def _watching(self, change: int) -> None:
        self._watchers += change
        self.poke()

    async def _read(self) -> None:
        roster = await self._current_roster()
        now = self._clock()
        fresh = await gather(self.home, roster, now=now, host=self.host, timeout_s=self._timeout_s)
        self._sources, self._fails = remember(self._sources, fresh, self._fails)
        self._known = roster

    async def _current_roster(self) -> Roster:
        try:
            given = self._roster()
            return given if isinstance(given, Roster) else await given
        except Exception as problem:
            if self._known is None:
                raise
            self._on_problem(f"the roster cannot be read, the last good one stays: {problem}")
            return self._known


class Watch:
    """Somebody looks at the fleet: a context manager that makes the poll quicker."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def __enter__(self) -> None:
        self._observer._watching(1)

    def __exit__(self, *_: object) -> None:
        self._observer._watching(-1)
