"""One agent's mailbox → its pane: a worker that takes the oldest message and does its next step.

Judgement is in `steps`, keystrokes are in `typing_in`. Each message is handled under `run/lock/<agent>`, the
same lock that the send tool takes where no node lives, and is looked at again once the lock is ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from fleet.files import lock_if_free
from fleet.home import Home
from fleet.host.panes import Listing
from fleet.messages import mailbox, spool
from fleet.messages.envelope import EnvelopeError, decode
from fleet.messages.inject import matcher, wire_text
from fleet.model import AgentDef, Envelope, Receipt
from fleet.node.events import Event, EventKind
from fleet.node.panes import Panes
from fleet.node.steps import Control, Finish, Hold, Look, Step, Type, next_step, order, settle_step
from fleet.node.tracks import Tracks
from fleet.node.typing_in import Job, Timing, Typed, Typist
from fleet.runtimes.base import Prompt, Runtime

log = structlog.get_logger("deliver")

HELD_LOOK_S = 1.0
LOCKED_LOOK_S = 0.2
IDLE_LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class Desk:
    """What all deliverers of a node share."""

    home: Home
    panes: Panes
    tracks: Tracks
    now: Callable[[], datetime]
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    timing: Timing


class Deliverer:
    """The worker of one agent. :meth:`wake` says that mail came or the agent's state changed."""

    def __init__(self, agent: AgentDef, runtime: Runtime, desk: Desk) -> None:
        self._agent = agent
        self._runtime = runtime
        self._desk = desk
        self._box = desk.home.mailbox(agent.name)
        self._tmux = desk.panes.tmux(agent.socket)
        self._typist = Typist(
            self._tmux,
            runtime,
            desk.home,
            agent.name,
            timing=desk.timing,
            clock=desk.clock,
            sleep=desk.sleep,
        )
        self._wake = asyncio.Event()
        self._retired = False
        self._seen: dict[str, float] = {}  # message id → when we first saw it
        self._looks: dict[str, int] = {}  # message id → looks since its mark was found
        self._held: dict[str, str] = {}  # message id → evidence written last

    def wake(self) -> None:
        self._wake.set()

    def retire(self) -> None:
        """Finish what is being typed, then end."""
        self._retired = True
        self._wake.set()

    async def run(self) -> None:
        """Until retired. A step that fails is logged and tried again; it never ends the worker."""
        while not self._retired:
            self._wake.clear()
            try:
                pause_s = await self.step()
            except Exception as problem:  # noqa: BLE001 - one bad message must not stop an agent's mail
                log.error("delivery failed", agent=self._agent.name, problem=repr(problem))
                pause_s = HELD_LOOK_S
            try:
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def step(self) -> float:
        """Handle the head of the queue once; after how many seconds to look again if nobody wakes us."""
        waiting = await asyncio.to_thread(self._read)
        if not waiting:
            self._seen.clear()
            return IDLE_LOOK_S
        for envelope in waiting:
            self._seen.setdefault(envelope.id, self._desk.clock())
        queue = order(waiting)
        # What was begun comes before everything: whether it arrived decides about the rest.
        begun = [e for e in queue if await asyncio.to_thread(mailbox.read_mark, self._box, e.id)]
        head = begun[0] if begun else queue[0]
        with lock_if_free(self._desk.home.lock(self._agent.name)) as mine:
            if not mine:
                return LOCKED_LOOK_S
            pause_s = await self._handle(head)
            if pause_s:
                for envelope in queue:
                    if envelope is not head:
                        await self._hold(envelope, "queue")
        return pause_s

    def _read(self) -> list[Envelope]:
        found: list[Envelope] = []
        for path in mailbox.pending(self._box):
            try:
                envelope = decode(path.read_bytes())
                if path.name != spool.file_name(envelope.id):
                    raise EnvelopeError(f"the file's name is not its id {envelope.id}")
                found.append(envelope)
            except FileNotFoundError:
                continue
            except EnvelopeError as problem:
                self._bury(path, str(problem))
        return found

    def _bury(self, path: Path, reason: str) -> None:
        spool.bury(self._box, path, reason)
        log.warning("malformed message", agent=self._agent.name, file=path.name, reason=reason)

    async def _handle(self, envelope: Envelope) -> float:
        """One step for one message, under the lock."""
        before = await asyncio.to_thread(mailbox.result, self._box, envelope.id)
        if await asyncio.to_thread(mailbox.is_settled, self._box, envelope.id):
            return 0
        if before is not None and before.verdict != "held":  # settled, but cut off before the file moved
            await asyncio.to_thread(mailbox.settle, self._box, envelope.id, before)
            return 0
        mark = await asyncio.to_thread(mailbox.read_mark, self._box, envelope.id)
        try:
            wire = wire_text(envelope) if envelope.kind != "control" else ""
        except ValueError as problem:  # a label that cannot stand in a preamble
            await asyncio.to_thread(self._bury, self._box / "new" / f"{envelope.id}.json", str(problem))
            return 0
        look = await self._look(wire, begun=mark is not None)
        step = await self._settle(envelope, mark, look, wire) if mark else next_step(envelope, look)
        match step:
            case Finish(verdict, evidence):
                return await self._finish(envelope, verdict, evidence)
            case Hold(evidence):
                await self._hold(envelope, evidence)
                return HELD_LOOK_S
            case Control(what):
                return await self._control(envelope, what, look)
            case Type(resume):
                tried = mark.attempt if mark else 0
                return await self._type(envelope, wire, look, resume=resume, attempt=tried)

    async def _look(self, wire: str, *, begun: bool) -> Look:
        """See the agent as it is now. A draft is ours only when a mark says that we began to type it."""
        listing = await self._desk.panes.fresh(self._agent.socket)
        pane = listing.of_session(self._agent.name)
        screen = None
        if listing.state is Listing.OK and pane is not None and not pane.dead:
            screen = await self._typist.screen(pane)
        ours = begun and screen is not None and screen.prompt is Prompt.DRAFT
        ours = ours and screen is not None and self._runtime.shows(screen, wire)
        track = self._desk.tracks.get(self._agent.name)
        return Look(listing.state, pane, screen, track, self._runtime.has_events, ours)

    async def _settle(self, envelope: Envelope, mark: mailbox.Mark, look: Look, wire: str) -> Step:
        """The step for a message that an earlier deliverer began to type."""
        if envelope.kind == "control":
            return Finish("unknown", "mark")
        found: bool | None = None
        if self._runtime.has_transcript:
            found = await self._typist.in_transcript(matcher(envelope, wire), mark.offset, mark.ts)
        looks = self._looks.get(envelope.id, 0) + 1
        self._looks[envelope.id] = looks
        return settle_step(mark, look, found=found, looks=looks)

    async def _type(self, envelope: Envelope, wire: str, look: Look, *, resume: bool, attempt: int) -> float:
        pane = look.pane
        if pane is None:
            return HELD_LOOK_S
        offset = await self._typist.transcript_end()
        matches = matcher(envelope, wire)
        if not resume:
            mark = mailbox.Mark(pane.pane_id, pane.pid, self._desk.now(), offset, attempt + 1)
            await asyncio.to_thread(mailbox.mark, self._box, envelope.id, mark)
        self._looks.pop(envelope.id, None)
        job = Job(pane, wire, matches, offset, self._desk.now(), steering=look.track.turn_open, resume=resume)

        def accepts(event: Event) -> bool:
            return event.kind is EventKind.PROMPT_ACCEPTED and matches(event.text or "")

        with self._desk.tracks.expect(self._agent.name, accepts) as expected:
            typed = await self._typist.submit(job, expected)
            if (
                typed.verdict == "accepted"
                and self._runtime.has_events
                and not expected.met
                and not job.steering
            ):
                # No report came: the turn runs all the same, and nothing else may be typed into it.
                said = Event(
                    self._agent.name,
                    EventKind.PROMPT_ACCEPTED,
                    self._desk.now(),
                    text=wire,
                    source=typed.evidence,
                )
                await self._desk.tracks.submitted(self._agent.name, said)
        return await self._typed(envelope, typed, resume=resume)

    async def _typed(self, envelope: Envelope, typed: Typed, *, resume: bool) -> float:
        if typed.verdict is not None:
            return await self._finish(envelope, typed.verdict, typed.evidence)
        if not typed.begun and not resume:
            await asyncio.to_thread(mailbox.lift_mark, self._box, envelope.id)
            if typed.evidence == "unclean":
                return await self._finish(envelope, "unknown", "unclean")
        await self._hold(envelope, typed.evidence)
        return HELD_LOOK_S

    async def _control(self, envelope: Envelope, what: str, look: Look) -> float:
        """An operator's act, at most once: the mark stands before the key."""
        name, pane = self._agent.name, look.pane
        if what == "task":
            task = envelope.data.get("task")
            await self._desk.tracks.set_task(name, str(task) if task else None)
            return await self._finish(envelope, "accepted", "state")
        if pane is None:
            return await self._finish(envelope, "unknown", "nopane")
        mark = mailbox.Mark(pane.pane_id, pane.pid, self._desk.now())
        await asyncio.to_thread(mailbox.mark, self._box, envelope.id, mark)
        if what == "escape":
            with self._desk.tracks.expect(name, lambda event: event.kind is EventKind.TURN_ENDED) as expected:
                pressed = await self._tmux.press(pane.pane_id, pane.pid, *self._runtime.interrupt_keys)
                ended = pressed.sent and await expected.wait(self._desk.timing.leave_s)
            proof = "event" if ended else "key" if pressed.sent else pressed.status.value
            return await self._finish(envelope, "accepted" if pressed.sent else "unknown", proof)
        command = self._runtime.reset_command
        if command is None:
            return await self._finish(envelope, "unknown", "noreset")
        job = Job(pane, command, lambda text: text.strip() == command, None, self._desk.now())
        with self._desk.tracks.expect(
            name, lambda event: event.kind is EventKind.SESSION_STARTED
        ) as expected:
            typed = await self._typist.submit(job, expected)
        return await self._finish(envelope, typed.verdict or "unknown", typed.evidence)

    async def _finish(self, envelope: Envelope, verdict: str, evidence: str) -> float:
        receipt = Receipt(verdict, evidence, self._age_ms(envelope.id))
        await asyncio.to_thread(mailbox.settle, self._box, envelope.id, receipt)
        for known in (self._seen, self._looks, self._held):
            known.pop(envelope.id, None)
        log.info("delivered", agent=self._agent.name, id=envelope.id, receipt=receipt.line())
        return 0

    async def _hold(self, envelope: Envelope, evidence: str) -> None:
        """Say that it waits and why; written again only when the reason changed."""
        if self._held.get(envelope.id) == evidence:
            return
        receipt = Receipt("held", evidence, self._age_ms(envelope.id))
        await asyncio.to_thread(mailbox.write_result, self._box, envelope.id, receipt)
        self._held[envelope.id] = evidence

    def _age_ms(self, envelope_id: str) -> int:
        now_s = self._desk.clock()
        return round(1000 * (now_s - self._seen.get(envelope_id, now_s)))
