"""Answers to people: what an agent says into a conversation, and what stands for it when it says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from bot.long_text import parts_of
from bot.posts import Posts, plain, spoken
from bot.rooms import Place
from bot.triage import Answer, Bury, Log
from connectors.protocol import Content
from fleet.register import conversations, escalations, messages

if TYPE_CHECKING:
    from bot.config import Config
    from bot.escalations import Escalations
    from fleet.model import Envelope
    from fleet.register.conversations import Conversation
    from fleet.register.engine import Register
    from fleet.register.messages import MessageRow
    from fleet.register.tx import Tx

HANDLE_LIFE = timedelta(days=7)  # an agent may post only to handles delivered to it within this time

Effect: TypeAlias = "Callable[[Tx], None] | Bury | Log"


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who an envelope is from: ``agent`` is the session name, ``known`` whether the roster has it."""

    agent: str
    alias: str
    known: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """Judges and writes; the caller ends the inbox row in the same transaction as the effect."""

    register: Register
    config: Config
    posts: Posts
    escalations: Escalations
    now: Callable[[], datetime]
    attachments: Path

    async def answer(self, envelope: Envelope, speaker: Speaker, to: Answer) -> Effect:
        """An agent's words or emoji for the conversation of a handle that was given to it."""
        conversation = await conversations.by_handle(self.register, to.handle)
        if conversation is None or conversation.agent != speaker.agent:
            return Bury(f"handle {to.handle} was never given to it")
        if self.now() - conversation.last_at > HANDLE_LIFE:
            return Bury(f"handle {to.handle} is older than 7 days")
        if to.interim:
            return Log()
        message = await self._which(to)
        place = self.posts.rooms.place(conversation.connector, conversation.room)
        if place is None:
            return Bury(f"the room of {to.handle} is not configured any more")

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

        return work

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
            self.posts.take_back(tx, place, seen, dedup=f"unseen:{message.number}")

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

    async def turn_ended(self, envelope: Envelope, speaker: Speaker) -> Effect:
        """The rules of *A turn* (05-processes): the tool's answer counts, else the turn's last words."""
        asked = await self._asked(envelope.data)
        open_ones = [m for m in asked if m.state != "answered"]
        talks = {m.handle for m in asked}
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

        return work

    async def _asked(self, data: Mapping[str, Any]) -> list[MessageRow]:
        found = []
        for token in data.get("tokens") or ():
            handle, _, number = str(token).partition(".")
            message = (
                await messages.by_token(self.register, handle, int(number)) if number.isdigit() else None
            )
            if message is not None:
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
