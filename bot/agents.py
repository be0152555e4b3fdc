"""What agents say: answers, escalations, logs, traffic among themselves, ends of turns, blocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from bot.long_text import parts_of
from bot.posts import Posts, folded, plain, spoken
from bot.rooms import Place
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
from connectors.protocol import Content
from fleet.messages.envelope import decode
from fleet.register import conversations, escalations, inbox, messages

if TYPE_CHECKING:
    from bot.config import Config
    from bot.escalations import Escalations
    from fleet.model import Envelope, Roster
    from fleet.register.conversations import Conversation
    from fleet.register.engine import Register, Tx
    from fleet.register.inbox import InboxRow
    from fleet.register.messages import MessageRow

log = structlog.get_logger("agents")

HANDLE_LIFE = timedelta(days=7)  # an agent may post only to handles delivered to it within this time
LOG_HEAD = 100  # characters of a log's first line that stand in the room


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who an envelope is from: ``agent`` is the session name, ``known`` whether the roster has it."""

    agent: str
    alias: str
    known: bool


@dataclass(frozen=True, slots=True)
class Agents:
    """Handles inbox rows that came from the spool."""

    register: Register
    config: Config
    posts: Posts
    escalations: Escalations
    roster: Callable[[], Awaitable[Roster]]
    now: Callable[[], datetime]
    woke: Callable[[], None]
    attachments: Path

    async def handle(self, row: InboxRow) -> None:
        """Finish one row: its effects and its end are one transaction."""
        envelope = decode(row.body.encode())
        speaker = await self._speaker(envelope.src)
        decision = judge_envelope(envelope, self.config.rooms.keys())
        match decision:
            case Answer():
                await self._answer(row, envelope, speaker, decision)
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
                await self._turn_ended(row, envelope, speaker)
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

    async def _bury(self, row: InboxRow, speaker: Speaker, reason: str) -> None:
        ops = self.posts.rooms.with_mode("ops")

        def work(tx: Tx) -> None:
            inbox.dead(tx, row.id, reason)
            if ops:
                text = f"⚠️ A message of {speaker.alias} could not be delivered: {reason}."
                self.posts.put_all(tx, ops, lambda _p: plain(text), dedup=f"bury:{row.id}")

        await self.register.write(work)

    # --- answers to people -----------------------------------------------------------------------------

    async def _answer(self, row: InboxRow, envelope: Envelope, speaker: Speaker, to: Answer) -> None:
        conversation = await conversations.by_handle(self.register, to.handle)
        if conversation is None or conversation.agent != speaker.agent:
            await self._bury(row, speaker, f"handle {to.handle} was never given to it")
            return
        if self.now() - conversation.last_at > HANDLE_LIFE:
            await self._bury(row, speaker, f"handle {to.handle} is older than 7 days")
            return
        if to.interim:
            await self._log(row, envelope, speaker)
            return
        message = await self._which(to)
        place = self.posts.rooms.place(conversation.connector, conversation.room)
        if place is None:
            await self._bury(row, speaker, f"the room of {to.handle} is not configured any more")
            return

        def work(tx: Tx) -> None:
            if to.reaction:
                if message is not None:
                    emoji = envelope.body.strip()[:16]
                    thread = conversation.thread or None
                    self.posts.react(
                        tx, place, emoji, event=message.event_ref, dedup=f"env:{envelope.id}", thread=thread
                    )
                return
            self._say(tx, speaker, conversation, place, message, envelope.body, f"env:{envelope.id}")
            conversations.touch(tx, conversation.handle)

        await self._finish(row, work)

    async def _which(self, to: Answer) -> MessageRow | None:
        if to.number is not None:
            return await messages.by_token(self.register, to.handle, to.number)
        return await messages.newest_open(self.register, to.handle) or await messages.newest(
            self.register, to.handle
        )

    def _say(
        self,
        tx: Tx,
        speaker: Speaker,
        conversation: Conversation,
        place: Place,
        message: MessageRow | None,
        body: str,
        dedup: str,
    ) -> None:
        """Post an answer where it was asked, and copies where the same conversation is shown."""
        thread = conversation.thread or None
        first: str | None = None
        for index, part in enumerate(parts_of(body, self.attachments, dedup)):
            content = spoken(
                speaker.alias,
                part.text,
                ping=(conversation.person,) if index == 0 else (),
                silent=False,
                reply_to=message.event_ref if message and index == 0 else None,
                file=part.file,
            )
            key = f"{dedup}:{index}"
            sent = self.posts.put(tx, place, content, dedup=key, lane="answer", thread_ref=thread)
            first = first or sent
            self._copy(
                tx, conversation, place, spoken(speaker.alias, part.text, file=part.file), f"copy:{key}"
            )
        if message is None or first is None:
            return
        if messages.answered(tx, message.number, first):
            seen = self.posts.react(
                tx, place, "👀", event=message.event_ref, dedup=f"seen:{message.inbox_id}", thread=thread
            )
            gone = Content(text="")
            self.posts.put(
                tx,
                place,
                gone,
                kind="redact",
                refers_to=seen,
                dedup=f"unseen:{message.number}",
                lane="answer",
            )

    def _copy(self, tx: Tx, conversation: Conversation, place: Place, content: Content, dedup: str) -> None:
        if not conversation.thread:
            self.posts.put_all(
                tx,
                place.name,
                lambda _p: content,
                dedup=dedup,
                leave_out=(conversation.connector,),
                lane="normal",
            )
            return
        root = escalations.number_by_ref(tx, conversation.connector, conversation.thread)
        if root is not None:
            self.escalations.into_thread(
                tx, root, lambda _p: content, dedup=dedup, leave_out=conversation.connector
            )

    async def _turn_ended(self, row: InboxRow, envelope: Envelope, speaker: Speaker) -> None:
        """The rules of *A turn* (05-processes): the tool's answer counts, else the turn's last words."""
        open_ones = await self._open_of(envelope.data)
        talks = {m.handle for m in open_ones}
        last = str(envelope.data.get("last_message") or "").strip()
        reason = str(envelope.data.get("reason") or "end")
        conversation_by = {h: await conversations.by_handle(self.register, h) for h in talks}

        def work(tx: Tx) -> None:
            for message in open_ones:
                conversation = conversation_by[message.handle]
                if conversation is None:
                    continue
                place = self.posts.rooms.place(conversation.connector, conversation.room)
                if place is None:
                    continue
                said = messages.answer_in_turn(tx, message.handle, since=message.number)
                if said is not None:
                    messages.answered(tx, message.number, said)
                    continue
                answers = self.config.rooms[place.name].answers
                if reason == "end" and last and len(talks) == 1 and answers != "tool":
                    self._say(tx, speaker, conversation, place, message, last, f"fallback:{message.number}")
                else:
                    self._no_answer(tx, speaker, conversation, place, message, _why(reason, last, len(talks)))

        await self._finish(row, work)

    async def _open_of(self, data: Mapping[str, Any]) -> list[MessageRow]:
        found = []
        for token in data.get("tokens") or ():
            handle, _, number = str(token).partition(".")
            message = (
                await messages.by_token(self.register, handle, int(number)) if number.isdigit() else None
            )
            if message is not None and message.state != "answered":
                found.append(message)
        return found

    def _no_answer(
        self,
        tx: Tx,
        speaker: Speaker,
        conversation: Conversation,
        place: Place,
        message: MessageRow,
        why: str,
    ) -> None:
        text = f"⚠️ {speaker.alias} ended the turn of M-{message.number} {why}."
        content = plain(text, ping=(conversation.person,), silent=False, reply_to=message.event_ref)
        dedup = f"noanswer:{message.number}"
        self.posts.put(tx, place, content, dedup=dedup, lane="answer", thread_ref=conversation.thread or None)
        messages.advance(tx, message.number, "failed", note=why)

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
                detail = str(data.get("screen") or reason) + (f"\n\nchoices: {choices}" if choices else "")
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
                        content = folded("", part.text, file=part.file)
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


def _why(reason: str, last: str, talks: int) -> str:
    if reason != "end":
        words = {
            "escape": "because it was stopped",
            "api_error": "with an error of its model service",
            "limit": "at a usage limit",
            "cleared": "because its context was cleared",
            "crash": "because its program ended",
        }
        return words.get(reason, f"early ({reason})")
    if talks > 1:
        return "in which several people asked, without answering this one"
    return "without an answer" if not last else "without sending an answer"
