"""Start again what ended by itself, as the roster's policy says. Used where no systemd watches the agents.

A person's `fleet stop` is recorded as `run/stopped/<agent>` and never undone; a program that said that it
leaves (a person typed /exit) did not fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from fleet.home import Home
from fleet.messages.ids import new_id
from fleet.model import AgentDef, Envelope
from fleet.node.tracks import Tracks

log = structlog.get_logger("restart")

FIRST_DELAY_S = 5.0
LAST_DELAY_S = 300.0
WINDOW_S = 1800.0
LIMIT = 5
START_LIMIT_S = 90.0
LEFT = frozenset({"exit", "logout", "prompt_input_exit"})


def next_delay(starts: list[float], now_s: float) -> float | None:
    """Seconds to wait before the next start, given when earlier ones were (same clock); None: give up,
    it ended five times within 30 minutes."""
    recent = [at for at in starts if now_s - at < WINDOW_S]
    if len(recent) >= LIMIT:
        return None
    return min(FIRST_DELAY_S * (1 << len(recent)), LAST_DELAY_S)


def stopped_mark(home: Home, agent: str) -> bool:
    """Whether a person stopped this agent."""
    return (home.run / "stopped" / agent).exists()


@dataclass(slots=True)
class Care:
    """What is known of one agent that runs or should."""

    wanted: bool = False
    starts: list[float] = field(default_factory=list)
    due: float | None = None
    given_up: str | None = None  # the question under which people were told
    task: asyncio.Task[None] | None = None


class Restarter:
    """``start`` starts one agent and says what went wrong, or None. ``clock`` in seconds."""

    def __init__(
        self,
        home: Home,
        tracks: Tracks,
        *,
        start: Callable[[AgentDef], Awaitable[str | None]],
        clock: Callable[[], float],
        now: Callable[[], datetime],
        delay: Callable[[list[float], float], float | None] = next_delay,
    ) -> None:
        self._home = home
        self._tracks = tracks
        self._start = start
        self._clock = clock
        self._now = now
        self._delay = delay
        self._care: dict[str, Care] = {}

    def expect(self, agent: str) -> None:
        """It ran when the node before us ended: if it is gone now, it failed."""
        self._care.setdefault(agent, Care()).wanted = True

    async def seen(self, agent: AgentDef, alive: bool | None) -> None:
        """Told at every look. Never waits for a start."""
        care = self._care.setdefault(agent.name, Care())
        if alive:
            care.wanted, care.due = True, None
            if care.given_up:
                await self._tell(agent, "unblock", care.given_up, "it runs again")
                care.given_up = None
            return
        if (
            alive is None
            or care.task is not None
            or not (care.wanted or self._ended_unseen(agent.name, care))
        ):
            return
        if await asyncio.to_thread(stopped_mark, self._home, agent.name):
            care.wanted, care.due = False, None
            return
        if self._tracks.get(agent.name).end_reason in LEFT:
            care.wanted = False
            log.info("left by itself", agent=agent.name)
            return
        await self._failed(agent, care)

    def _ended_unseen(self, name: str, care: Care) -> bool:
        """It started and ended between two looks: only its own reports say so."""
        track = self._tracks.get(name)
        state = track.state
        ours = state is not None and state.node_start == self._tracks.place.node_start
        return ours and track.status == "ended" and track.end_reason not in LEFT and care.given_up is None

    async def close(self) -> None:
        """Cancel starts that are under way."""
        tasks = [care.task for care in self._care.values() if care.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _failed(self, agent: AgentDef, care: Care) -> None:
        now_s = self._clock()
        if care.due is None:
            wait_s = self._delay(care.starts, now_s) if agent.restart == "on-failure" else None
            if wait_s is None:
                care.wanted = False
                times = f"{LIMIT} times in 30 minutes" if agent.restart == "on-failure" else "by itself"
                care.given_up = f"restart-{new_id()}"
                why = f"its program ended {times}; not started again (mosaic fleet start {agent.name})"
                await self._tell(agent, "block", care.given_up, why)
                return
            care.due = now_s + wait_s
            log.warning("agent ended", agent=agent.name, again_in_s=wait_s)
        if now_s >= care.due:
            care.due = None
            care.starts = [*care.starts, now_s][-LIMIT:]
            care.task = asyncio.create_task(self._run(agent, care), name=f"start {agent.name}")

    async def _run(self, agent: AgentDef, care: Care) -> None:
        try:
            async with asyncio.timeout(START_LIMIT_S):
                problem = await self._start(agent)
        except TimeoutError:
            problem = f"the start took more than {START_LIMIT_S:g} s"
        except Exception as error:  # noqa: BLE001 - a start that breaks is one more failed start
            problem = repr(error)
        finally:
            care.task = None
        if problem:
            log.error("start failed", agent=agent.name, problem=problem)
        else:
            log.info("started again", agent=agent.name)

    async def _tell(self, agent: AgentDef, kind: str, question: str, reason: str) -> None:
        place = self._tracks.place
        data = {"question": question, "reason": reason, "options": [], "node_start": place.node_start}
        envelope = Envelope(
            id=new_id(),
            ts=self._now().astimezone(UTC),
            tenant_id=place.tenant_id,
            host=place.host,
            src=f"{place.host}:{agent.name}",
            dst="bot",
            body="",
            kind=kind,
            verified=True,
            data=data,
        )
        await self._tracks.tell(envelope)
