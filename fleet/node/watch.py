"""What the node sees for itself: panes that are gone, turns that never said "ended", dialogs on a screen.

Events come first; this only fills in what no event tells, and marks it as seen by the node.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import structlog

from fleet.host.panes import Listing, PaneListing
from fleet.messages.redact import redact
from fleet.model import AgentDef, Pane
from fleet.node.events import Event, EventKind
from fleet.node.panes import Panes
from fleet.node.tracks import Tracks
from fleet.node.turns import Track
from fleet.runtimes.base import Prompt, Screen
from fleet.runtimes.registry import adapter_for

log = structlog.get_logger("watch")

LOOK_S = 1.0
NO_END_S = 5.0  # an idle program inside an open turn: the turn is over (05-processes)
SURE_LOOKS = 2  # a dialog must stand, or be gone, for as many looks
FAR_LOOK = 5  # agents about which nothing is open are looked at every so many looks


@dataclass(slots=True)
class Seen:
    """What the looks at one agent have added up to."""

    idle_from: float | None = None
    dialog: int = 0
    no_dialog: int = 0


def alive(listing: PaneListing, pane: Pane | None) -> bool | None:
    """Whether the agent's program has a pane: False only on positive evidence, None when tmux did not say."""
    if listing.state is Listing.FAILED:
        return None
    return pane is not None and not pane.dead


class Watch:
    """``on_seen`` is told of every agent at every look: its definition and whether it is alive."""

    def __init__(
        self,
        tracks: Tracks,
        panes: Panes,
        *,
        agents: Callable[[], Iterable[AgentDef]],
        now: Callable[[], datetime],
        clock: Callable[[], float],
        on_seen: Callable[[AgentDef, bool | None], Awaitable[None]],
    ) -> None:
        self._tracks = tracks
        self._panes = panes
        self._agents = agents
        self._now = now
        self._clock = clock
        self._on_seen = on_seen
        self._seen: dict[str, Seen] = {}
        self._count = 0

    async def run(self) -> None:
        """Until cancelled; a look that fails is logged and the next one comes."""
        while True:
            for agent in tuple(self._agents()):
                try:
                    await self.look(agent)
                except Exception as problem:  # noqa: BLE001 - watching must go on whatever one look met
                    log.error("look failed", agent=agent.name, problem=repr(problem))
            self._count += 1
            await asyncio.sleep(LOOK_S)

    async def look(self, agent: AgentDef) -> None:
        """One look at one agent."""
        listing = await self._panes.fresh(agent.socket)
        pane = listing.of_session(agent.name)
        here = alive(listing, pane)
        track = self._tracks.get(agent.name)
        if here is False:
            self._seen.pop(agent.name, None)
            if track.state is not None and track.status != "ended":
                await self._tracks.take(self._event(agent, EventKind.SESSION_ENDED, "pane", "gone"))
        elif here and pane is not None and self._is_open(track):
            text = await self._panes.tmux(agent.socket).capture(pane.pane_id, join=True)
            if text is not None:
                await self._judge(agent, track, adapter_for(agent).read_screen(text), text)
        await self._on_seen(agent, here)

    def _is_open(self, track: Track) -> bool:
        near = track.turn_open or track.status in {None, "blocked"} or track.idle_since is not None
        return near or self._count % FAR_LOOK == 0

    async def _judge(self, agent: AgentDef, track: Track, screen: Screen, text: str) -> None:
        seen = self._seen.setdefault(agent.name, Seen())
        dialog = screen.prompt is Prompt.DIALOG
        seen.dialog = seen.dialog + 1 if dialog else 0
        seen.no_dialog = 0 if dialog or screen.prompt is Prompt.UNKNOWN else seen.no_dialog + 1
        if seen.dialog >= SURE_LOOKS and track.status != "blocked":
            question = hashlib.sha256(repr((screen.reason, screen.options)).encode()).hexdigest()[:12]
            event = self._event(
                agent,
                EventKind.BLOCKED,
                "screen",
                screen.reason or "a question on its screen",
                question=f"screen-{question}",
                options=screen.options,
            )
            await self._tracks.take(event, screen=redact(text).strip("\n"))
        elif seen.no_dialog >= SURE_LOOKS and _asked_on_screen(track):
            await self._tracks.take(self._event(agent, EventKind.UNBLOCKED, "screen", "answered at the pane"))
        await self._end_silent_turn(agent, track, screen, seen)

    async def _end_silent_turn(self, agent: AgentDef, track: Track, screen: Screen, seen: Seen) -> None:
        idle = screen.prompt is Prompt.IDLE or (screen.prompt is Prompt.DRAFT and screen.busy is False)
        if not (track.turn_open and idle):
            seen.idle_from = None
            return
        now_s = self._clock()
        seen.idle_from = now_s if seen.idle_from is None else seen.idle_from
        if now_s - seen.idle_from >= NO_END_S:
            seen.idle_from = None
            log.warning("turn without an end", agent=agent.name)
            await self._tracks.close(self._event(agent, EventKind.TURN_ENDED, "screen", "idle"), "idle")

    def _event(
        self,
        agent: AgentDef,
        kind: EventKind,
        source: str,
        reason: str,
        *,
        question: str | None = None,
        options: tuple[str, ...] = (),
    ) -> Event:
        return Event(
            agent.name,
            kind,
            self._now(),
            runtime=agent.runtime,
            reason=reason,
            question=question,
            options=options,
            source=source,
        )


def _asked_on_screen(track: Track) -> bool:
    asked = track.state.question if track.state else None
    return bool(asked) and asked is not None and asked.get("source") == "screen"
