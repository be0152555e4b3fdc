"""Type one text into one pane and find out whether the program took it.

The caller holds the agent's lock and has written the mark. Text that is not ours is never submitted: Enter
is pressed only while the whole prompt is our own text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleet.home import Home
from fleet.host.tmux import Paste, Tmux
from fleet.model import Pane
from fleet.node.tracks import Expectation
from fleet.runtimes.base import Prompt, Runtime, Screen


@dataclass(frozen=True, slots=True)
class Timing:
    """Limits in seconds. ``stand_s``: until the pasted text shows; ``leave_s``: after each Enter;
    ``proof_s``: until a text that left the prompt must have been seen as taken."""

    look_s: float = 0.1
    stand_s: float = 3.0
    leave_s: float = 2.0
    proof_s: float = 20.0
    enters: int = 3


@dataclass(frozen=True, slots=True)
class Typed:
    """``verdict`` is None when it cannot be said yet (tmux did not answer, the text does not show): the
    mark stays and the settlement decides. ``begun`` is False when nothing reached the pane."""

    verdict: str | None
    evidence: str
    begun: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """What is typed where. ``matches`` recognises it in the program's transcript after ``offset`` (bytes)
    and ``since``; ``steering``: a turn ran already, so the program may keep it for later."""

    pane: Pane
    text: str
    matches: Callable[[str], bool]
    offset: int | None
    since: datetime
    steering: bool = False
    resume: bool = False


_REFUSED = {Paste.GONE: "nopane", Paste.DEAD: "dead", Paste.MODE: "mode", Paste.UNCLEAN: "unclean"}


class Typist:
    """Types for one agent. ``sleep`` and ``clock`` (seconds) are given, so that nobody waits in a test."""

    def __init__(
        self,
        tmux: Tmux,
        runtime: Runtime,
        home: Home,
        agent: str,
        *,
        timing: Timing,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._tmux = tmux
        self._runtime = runtime
        self._home = home
        self._agent = agent
        self._timing = timing
        self._clock = clock
        self._sleep = sleep

    async def screen(self, pane: Pane) -> Screen | None:
        """The agent's screen now, or None when tmux did not answer."""
        text = await self._tmux.capture(pane.pane_id, join=True)
        return None if text is None else self._runtime.read_screen(text)

    async def transcript_end(self) -> int | None:
        return await asyncio.to_thread(self._runtime.transcript_end, self._home, self._agent)

    async def in_transcript(
        self, matches: Callable[[str], bool], offset: int | None, since: datetime
    ) -> bool:
        """Whether the program's transcript has the text behind ``offset`` bytes. A mark without an offset
        (the send tool cannot know one) goes by the time."""
        taken = await asyncio.to_thread(self._runtime.submitted_since, self._home, self._agent, offset or 0)
        earliest = since - timedelta(seconds=1) if offset is None else None
        return any(
            matches(one.text) for one in taken if earliest is None or one.ts is None or one.ts >= earliest
        )

    async def submit(self, job: Job, event: Expectation) -> Typed:
        """Paste, see it stand, Enter, see it taken (20-messaging, *Delivery* 3 and 4)."""
        if not job.resume:
            pasted = await self._tmux.paste(job.pane.pane_id, job.pane.pid, job.text)
            if pasted.status is Paste.FAILED:
                return Typed(None, "tmux")
            if not pasted.sent:
                return Typed(None, _REFUSED[pasted.status], begun=False)
            stopped = await self._stand(job)
            if stopped is not None:
                return stopped
        before = await self._tmux.capture(job.pane.pane_id)
        for _ in range(self._timing.enters):
            if not (await self._tmux.enter(job.pane.pane_id, job.pane.pid)).sent:
                return await self._late(job, event)
            proof = await self._taken(job, event, before)
            if proof is not None:
                return Typed("accepted", proof)
            if not await self._ours_stands(job, before):
                return await self._late(job, event)
        return Typed("draft", "screen")

    async def _stand(self, job: Job) -> Typed | None:
        """Wait until the text shows in the prompt; something else there is a reason not to press Enter."""
        if not self._runtime.has_transcript:
            await self._sleep(2 * self._timing.look_s)
            return None
        screen: Screen | None = None
        end = self._clock() + self._timing.stand_s
        while self._clock() < end:
            screen = await self.screen(job.pane)
            if screen is not None:
                if screen.prompt is Prompt.DIALOG:
                    return Typed("unknown", "dialog")
                if screen.prompt is Prompt.DRAFT and self._runtime.shows(screen, job.text):
                    return None
            await self._sleep(self._timing.look_s)
        if screen is not None and screen.prompt is Prompt.DRAFT:
            return Typed("draft", "mixed")  # somebody types there at the same time
        return Typed(None, "mark")

    async def _taken(self, job: Job, event: Expectation, before: str | None) -> str | None:
        """How we know that the text was taken, within ``leave_s`` seconds; None when we do not."""
        end = self._clock() + self._timing.leave_s
        while True:
            if event.met or await event.wait(self._timing.look_s):
                return "event"
            if self._runtime.has_transcript and await self.in_transcript(job.matches, job.offset, job.since):
                return "event" if event.met else "transcript"
            if not self._runtime.has_transcript:
                after = await self._tmux.capture(job.pane.pane_id)
                if after is not None and after != before:
                    return "screen"
            if self._clock() >= end:
                break
        if job.steering and not await self._ours_stands(job, before):
            return "screen"  # the running program keeps it for after the turn
        return None

    async def _ours_stands(self, job: Job, before: str | None) -> bool:
        if not self._runtime.has_transcript:
            return await self._tmux.capture(job.pane.pane_id) == before
        screen = await self.screen(job.pane)
        return screen is not None and screen.prompt is Prompt.DRAFT and self._runtime.shows(screen, job.text)

    async def _late(self, job: Job, event: Expectation) -> Typed:
        """It left the prompt but nothing says that it was taken: give a slow program its time."""
        end = self._clock() + self._timing.proof_s
        screen: Screen | None = None
        while self._clock() < end:
            if event.met or await event.wait(5 * self._timing.look_s):
                return Typed("accepted", "event")
            if await self.in_transcript(job.matches, job.offset, job.since):
                return Typed("accepted", "transcript")
            screen = await self.screen(job.pane)
            if screen is None or (screen.prompt is Prompt.DRAFT and self._runtime.shows(screen, job.text)):
                return Typed(None, "mark")
        if screen is not None and screen.busy:
            return Typed("accepted", "screen")
        return Typed("unknown", "screen")
