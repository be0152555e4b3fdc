"""What agents say: each envelope to its end; answers are judged in `bot.answers`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from bot.answers import Answers, Effect, Speaker
from bot.long_text import parts_of
from bot.posts import Posts, folded, plain, spoken
from bot.triage import (
    Answer,
    Block,
    Bury,
    Escalate,
    Ignore,
    IntoEscalation,
    Log,
    Mirror,
    PostInto,
    TurnEnded,
    judge_envelope,
)
from fleet.messages.envelope import decode
from fleet.register import escalations, inbox

if TYPE_CHECKING:
    from bot.config import Config
    from bot.escalations import Escalations
    from fleet.model import Envelope, Roster
    from fleet.register.engine import Register, Tx
    from fleet.register.inbox import InboxRow

log = structlog.get_logger("agents")

SCREEN_LINES = 10  # of a blocked pane that go into the thread
LOG_HEAD = 100  # characters of a log's first line that stand in the room


@dataclass(frozen=True, slots=True)
class Agents:
    """Handles inbox rows that came from the spool."""

    register: Register
    config: Config
    posts: Posts
    escalations: Escalations
    answers: Answers
    roster: Callable[[], Awaitable[Roster]]
    woke: Callable[[], None]
    attachments: Path

    async def handle(self, row: InboxRow) -> None:
        """Finish one row: its effects and its end are one transaction."""
        envelope = decode(row.body.encode())
        speaker = await self._speaker(envelope.src)
        decision = judge_envelope(envelope, self.config.rooms.keys())
        match decision:
            case Answer():
                await self._effect(
                    row, envelope, speaker, await self.answers.answer(envelope, speaker, decision)
                )
            case Escalate(room):
                await self._escalate(row, envelope, speaker, room)
            case IntoEscalation(number, resolves):
                await self._into_escalation(row, envelope, speaker, number, resolves)
            case Log():
                await self._log(row, envelope, speaker)
            case Mirror():
                await self._mirror(row, envelope, speaker)
            case PostInto(room):
                await self._post_into(row, envelope, speaker, room)
            case TurnEnded():
                await self._effect(row, envelope, speaker, await self.answers.turn_ended(envelope, speaker))
            case Block(opened):
                await self._block(row, envelope, speaker, opened)
            case Bury(reason):
                await self._bury(row, speaker, reason)
            case Ignore(reason):
                await self._finish(row, lambda _tx: None, reason)
        self.woke()

    async def _speaker(self, label: str) -> Speaker:
        name = label.rsplit(":", 1)[-1]
        agent = (await self.roster()).get(name)
        if agent is None:
            return Speaker(name, f"{label} (unverified)", known=False)
        return Speaker(name, agent.shown_as, known=True)

    async def _finish(self, row: InboxRow, work: Callable[[Tx], None], note: str | None = None) -> None:
        def both(tx: Tx) -> None:
            work(tx)
            inbox.done(tx, row.id, note)

        await self.register.write(both)

    async def _effect(self, row: InboxRow, envelope: Envelope, speaker: Speaker, effect: Effect) -> None:
        match effect:
            case Bury(reason):
                await self._bury(row, speaker, reason)
            case Log():
                await self._log(row, envelope, speaker)
            case _:
                await self._finish(row, effect)

    async def _bury(self, row: InboxRow, speaker: Speaker, reason: str) -> None:
        ops = self.posts.rooms.with_mode("ops")

        def work(tx: Tx) -> None:
            inbox.dead(tx, row.id, reason)
            if ops:
                text = f"⚠️ A message of {speaker.alias} could not be delivered: {reason}."
                self.posts.put_all(tx, ops, lambda _p: plain(text), dedup=f"bury:{row.id}")

        await self.register.write(work)

    # --- calls for people ------------------------------------------------------------------------------

    async def _escalate(self, row: InboxRow, envelope: Envelope, speaker: Speaker, room: str | None) -> None:
        def work(tx: Tx) -> None:
            name = speaker.agent if speaker.known else speaker.alias
            self.escalations.open(
                tx, agent=name, kind="asked", body=envelope.body, cause=envelope.id, room=room
            )

        await self._finish(row, work)

    async def _into_escalation(
        self, row: InboxRow, envelope: Envelope, speaker: Speaker, number: int, resolves: bool
    ) -> None:
        found = await escalations.get(self.register, number)
        if found is None or not speaker.known:
            await self._bury(
                row, speaker, f"there is no escalation E-{number}" if found is None else "unknown sender"
            )
            return

        def work(tx: Tx) -> None:
            self.escalations.into_thread(
                tx, number, lambda _p: spoken(speaker.alias, envelope.body), dedup=f"env:{envelope.id}"
            )
            if resolves and found.agent == speaker.agent:
                reason = envelope.body.lstrip()[len("resolved:") :].strip() or None
                self.escalations.resolve_in(tx, number, speaker.alias, reason)

        await self._finish(row, work)

    async def _block(self, row: InboxRow, envelope: Envelope, speaker: Speaker, opened: bool) -> None:
        data = envelope.data
        key = f"block:{speaker.agent}:{data.get('question') or data.get('reason')}"

        def work(tx: Tx) -> None:
            if opened:
                choices = ", ".join(str(option) for option in data.get("options") or ())
                reason = str(data.get("reason") or "a question on its screen")
                screen = _last_lines(str(data.get("screen") or reason))
                detail = screen + (f"\n\nchoices: {choices}" if choices else "")
                self.escalations.open(
                    tx,
                    agent=speaker.agent,
                    kind="blocked",
                    body=f"blocked: {reason}",
                    cause=envelope.id,
                    key=key,
                    detail=detail,
                )
            else:
                number = escalations.open_by_key(tx, key)
                if number is not None:
                    self.escalations.resolve_in(
                        tx, number, speaker.alias, str(data.get("reason") or "no longer blocked")
                    )

        await self._finish(row, work)

    # --- the log and plain posts -----------------------------------------------------------------------

    async def _log(self, row: InboxRow, envelope: Envelope, speaker: Speaker) -> None:
        """One line in the log room; what is longer lies folded in the thread under it."""
        room = self.posts.rooms.with_mode("log")
        lines = envelope.body.strip().splitlines() or [""]
        more = f" … +{len(lines) - 1} lines" if len(lines) > 1 else ""
        head = f"▸ {speaker.alias}: {lines[0][:LOG_HEAD]}{'…' if len(lines[0]) > LOG_HEAD else ''}{more}"

        def work(tx: Tx) -> None:
            for place in self.posts.rooms.places(room) if room else ():
                root = self.posts.put(tx, place, plain(head), dedup=f"env:{envelope.id}", lane="bulk")
                if more or len(lines[0]) > LOG_HEAD:
                    for index, part in enumerate(
                        parts_of(envelope.body, self.attachments, f"env:{envelope.id}")
                    ):
                        content = (
                            folded("", part.text, file=part.file)
                            if len(lines) > 1
                            else plain(part.text, file=part.file)
                        )
                        dedup = f"env:{envelope.id}:body:{index}"
                        self.posts.put(tx, place, content, dedup=dedup, lane="bulk", thread_of=root)

        await self._finish(row, work, None if room else "no room of mode log is configured")

    async def _mirror(self, row: InboxRow, envelope: Envelope, speaker: Speaker) -> None:
        to = envelope.dst.rsplit(":", 1)[-1]
        first = envelope.body.strip().splitlines()[0] if envelope.body.strip() else ""

        def work(tx: Tx) -> None:
            for room, level in self.posts.rooms.mirror_rooms():
                text = envelope.body if level == "all" else first[:LOG_HEAD]
                for place in self.posts.rooms.places(room):
                    content = plain(f"✉ {speaker.alias} → {to}: {text}")
                    self.posts.put(tx, place, content, dedup=f"env:{envelope.id}:{room}", lane="bulk")

        await self._finish(row, work)

    async def _post_into(self, row: InboxRow, envelope: Envelope, speaker: Speaker, room: str) -> None:
        where = room or self.posts.rooms.with_mode("ops")

        def work(tx: Tx) -> None:
            if where:
                content = spoken(speaker.alias, envelope.body)
                self.posts.put_all(tx, where, lambda _p: content, dedup=f"env:{envelope.id}")

        await self._finish(row, work, None if where else "no room of mode ops is configured")


def _last_lines(screen: str) -> str:
    """The end of a screen, where its question stands; what was there before it is not people's business."""
    lines = [line.rstrip() for line in screen.splitlines() if line.strip(" ─━-_")]
    return "\n".join(lines[-SCREEN_LINES:])
