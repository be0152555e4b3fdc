"""All agents' tracks of this node run: events go in, state files and spool envelopes come out.

Envelopes are put before the state is written, and their ids are made from what they tell, so a crash
between the two is told again under the same id and shows once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from fleet.home import Home
from fleet.messages import spool
from fleet.messages.envelope import EnvelopeError, decode
from fleet.model import Envelope
from fleet.node import state_file, turns
from fleet.node.events import Event, EventKind
from fleet.node.turns import Applied, Place, Seen, Track

RECENT_MAIL = 64  # delivered messages that are looked through for a token


class Expectation:
    """Somebody waits for an event of one agent that ``matches``."""

    def __init__(self, matches: Callable[[Event], bool]) -> None:
        self._matches = matches
        self._met = asyncio.Event()

    @property
    def met(self) -> bool:
        return self._met.is_set()

    def offer(self, event: Event) -> None:
        if self._matches(event):
            self._met.set()

    async def wait(self, limit_s: float) -> bool:
        """True as soon as it came, False after ``limit_s`` seconds without."""
        try:
            async with asyncio.timeout(limit_s):
                await self._met.wait()
        except TimeoutError:
            return self.met
        return True


class Tracks:
    """``on_change`` is called with the agent's name after every event that changed something."""

    def __init__(
        self, home: Home, place: Place, *, now: Callable[[], datetime], on_change: Callable[[str], None]
    ) -> None:
        self._home = home
        self.place = place
        self._now = now
        self._on_change = on_change
        self._tracks: dict[str, Track] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._expected: dict[str, list[Expectation]] = defaultdict(list)

    def get(self, agent: str) -> Track:
        return self._tracks.get(agent, Track())

    async def load(self, agent: str) -> None:
        """Take over what an earlier node run wrote; its open question is closed, because the programs'
        answers to it are bound to that run."""
        async with self._locks[agent]:
            track = await asyncio.to_thread(state_file.load, self._home, agent)
            self._tracks[agent] = track
            asked = track.state and track.state.question
            if asked and track.state and track.state.node_start != self.place.node_start:
                await self._keep(agent, turns.expire_question(track, agent, self.place, self._now()))

    def forget(self, agent: str) -> None:
        """The agent left the roster."""
        self._tracks.pop(agent, None)

    async def take(self, event: Event, *, screen: str | None = None, tokens: tuple[str, ...] = ()) -> bool:
        """Apply one event; whether it said anything new. Raises OSError when the disk does not take it
        (then nothing changed, and the sender may try again)."""
        async with self._locks[event.agent]:
            real = await asyncio.to_thread(self._real_tokens, event, tokens)
            seen = Seen(tokens=real, screen=screen)
            applied = turns.apply(self.get(event.agent), event, self.place, self._now(), seen)
            await self._keep(event.agent, applied)
        for expectation in tuple(self._expected[event.agent]):
            expectation.offer(event)
        return applied.news

    async def close(self, event: Event, reason: str) -> None:
        """Close the agent's running turn for want of an end of its own."""
        async with self._locks[event.agent]:
            track = self.get(event.agent)
            await self._keep(event.agent, turns.close_turn(track, event, self.place, self._now(), reason))

    async def submitted(self, agent: str, event: Event) -> None:
        """A prompt was proven to be taken though no event said so: the turn runs from here on."""
        async with self._locks[agent]:
            track = self.get(agent)
            if not track.turn_open:
                tokens = await asyncio.to_thread(self._real_tokens, event, ())
                applied = turns.apply(track, event, self.place, self._now(), Seen(tokens=tokens))
                await self._keep(agent, applied)

    async def set_task(self, agent: str, task: str | None) -> None:
        """Mark or clear the task in flight."""
        async with self._locks[agent]:
            track = self.get(agent)
            if track.state is not None:
                since = self._now() if task else None
                state = replace(track.state, task=task, task_since=since)
                await self._keep(agent, Applied(replace(track, state=state)))

    async def tell(self, envelope: Envelope) -> None:
        """Put an envelope of the node's own into the spool."""
        await asyncio.to_thread(spool.put, self._home.spool, envelope)

    @contextmanager
    def expect(self, agent: str, matches: Callable[[Event], bool]) -> Iterator[Expectation]:
        """While the block runs, the agent's events are offered to the expectation."""
        expectation = Expectation(matches)
        self._expected[agent].append(expectation)
        try:
            yield expectation
        finally:
            self._expected[agent].remove(expectation)

    async def _keep(self, agent: str, applied: Applied) -> None:
        for envelope in applied.envelopes:
            await asyncio.to_thread(spool.put, self._home.spool, envelope)
        if applied.news:
            await asyncio.to_thread(state_file.save, self._home, agent, applied.track)
            self._tracks[agent] = applied.track
            self._on_change(agent)

    def _real_tokens(self, event: Event, given: tuple[str, ...]) -> tuple[str, ...]:
        """Only tokens of messages that were put into this agent's mailbox: a person can write the look of
        another's preamble into a text, and would then be handed the other's answer."""
        wanted = given
        if event.kind is EventKind.PROMPT_ACCEPTED:
            wanted = (*given, *turns.tokens_in(event.text or ""))
        if not wanted:
            return ()
        known = _mail_tokens(self._home, event.agent)
        return tuple(token for token in dict.fromkeys(wanted) if token in known)


def _mail_tokens(home: Home, agent: str) -> set[str]:
    folder = home.mailbox(agent)
    waiting = spool.take_new(folder)
    try:
        cur = sorted(path for path in (folder / "cur").iterdir() if path.suffix == ".json")
    except FileNotFoundError:
        cur = []
    found: set[str] = set()
    for path in (*waiting, *cur[-RECENT_MAIL:]):
        try:
            token = decode(path.read_bytes()).token
        except (OSError, EnvelopeError):
            continue
        if token:
            found.add(token)
    return found
