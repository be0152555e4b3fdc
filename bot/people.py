"""What people write and do in rooms: commands, words for agents, replies in threads, reactions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import orjson
import structlog

from bot.access import may_talk, role_of
from bot.commands.context import Caller
from bot.commands.failures import CommandFailed
from bot.commands.registry import Effect
from bot.commands.words import WordsError, is_command, split
from bot.document import Document
from bot.escalation_rules import duration
from bot.posts import Posts
from bot.roles import Role
from bot.rooms import Place
from bot.triage import (
    ROOT_REACTIONS,
    ChatFacts,
    Ignore,
    RunCommand,
    Talk,
    Tell,
    ThreadReply,
    judge_chat,
)
from fleet.messages.preamble import quote_forgery
from fleet.register import audit, inbox, messages

if TYPE_CHECKING:
    from bot.commands.dispatch import Dispatcher
    from bot.config import Config
    from bot.escalations import Escalations
    from bot.intake import Intake
    from fleet.model import Roster
    from fleet.register.engine import Register, Tx
    from fleet.register.inbox import InboxRow

log = structlog.get_logger("people")

OLD_COMMAND_S = 60.0  # reading commands up to this age run after a downtime, others are named and not run
SLOW_S = 0.3  # a command that takes longer shows that it was seen


@dataclass(frozen=True, slots=True)
class People:
    """Handles inbox rows that came from a chat network. ``woke`` tells the outbox and the mail."""

    register: Register
    config: Config
    posts: Posts
    dispatcher: Dispatcher
    escalations: Escalations
    intake: Intake
    roster: Callable[[], Awaitable[Roster]]
    now: Callable[[], datetime]
    woke: Callable[[], None]
    started_at: datetime

    async def handle(self, row: InboxRow) -> None:
        """Finish one row: its effects and its end are one transaction."""
        facts = orjson.loads(row.body)
        place = self.posts.rooms.place(row.source, facts["room"])
        if place is None:
            await self._done(row, "room is not on the list")
        elif row.kind == "message":
            await self._message(row, facts, place)
        elif row.kind == "react":
            await self._reaction(row, facts, place)
        elif row.kind == "edit":
            await self._edit(row, facts)
        elif row.kind == "undecryptable":
            await self._unreadable(row, facts, place)
        else:
            await self._done(row, None)
        self.woke()

    async def _done(self, row: InboxRow, note: str | None) -> None:
        await self.register.write(lambda tx: inbox.done(tx, row.id, note))

    # --- messages --------------------------------------------------------------------------------------

    async def _message(self, row: InboxRow, facts: Mapping[str, object], place: Place) -> None:
        roster = await self.roster()
        text = str(facts["text"])
        sender = str(facts["sender"])
        role = role_of(self.config, row.source, sender)
        thread = str(facts["thread"]) if facts.get("thread") else None
        reply_to = str(facts["reply_to"]) if facts.get("reply_to") else None
        about = await self.intake.escalation_of(row.source, thread or reply_to)
        if about is not None:
            thread = about.root  # a plain reply to it belongs into its thread, as does the answer
        decision = judge_chat(
            ChatFacts(
                text=text,
                role=role,
                talk=may_talk(role),
                mode=self.posts.rooms.room(place.name).mode,
                mentions_me=bool(facts.get("mentions_me")),
                thread_escalation=about.number if about else None,
                capable=bool(facts.get("is_command_capable", True)),
                command_words=is_command(text, self.config.prefix),
                agents=tuple(a.name for a in roster.agents),
                orchestrator=roster.orchestrator.name if roster.orchestrator else None,
            )
        )
        age = self.now() - row.event_ts if row.event_ts < self.started_at else timedelta()
        match decision:
            case Ignore(reason, audited):
                await self._ignored(row, place, reason, audited)
            case Tell(words):
                await self.intake.answer(row, place, words, thread)
            case RunCommand(given):
                caller = Caller(row.source, sender, role, place.name, place.room_id, thread, row.external_id)
                await self._command(row, place, caller, text, given, age)
            case Talk(agent, words):
                await self.intake.accept(row, place, agent, words, thread, age)
            case ThreadReply(number, words):
                await self.intake.reply(row, place, number, words, thread, age)

    async def _ignored(self, row: InboxRow, place: Place, reason: str, audited: bool) -> None:
        def work(tx: Tx) -> None:
            if audited:
                audit.append(
                    tx,
                    who=f"{row.source}:{row.sender}",
                    place=f"{place.name} ({row.source})",
                    what="message",
                    outcome="ignored: not on any list",
                )
            inbox.done(tx, row.id, reason)

        await self.register.write(work)

    # --- commands --------------------------------------------------------------------------------------

    async def _command(
        self, row: InboxRow, place: Place, caller: Caller, text: str, given: tuple[str, ...], age: timedelta
    ) -> None:
        try:
            words = list(given) if given else split(text, self.config.prefix)
        except WordsError as problem:
            await self.intake.answer(row, place, str(problem), caller.thread)
            return
        effect = self.dispatcher.effect_of(words)
        reads = effect is Effect.READ
        begun = row.started_at is not None  # then it is told as interrupted, not as missed
        too_old = age.total_seconds() > (OLD_COMMAND_S if reads else 0)
        if too_old and not begun:
            told = f"⏮ `{' '.join(words)}` arrived {duration(age)} ago while I was away. Not run."
            await self.intake.answer(row, place, told, caller.thread)
            return
        if not reads and not await self.register.write(lambda tx: inbox.start(tx, row.id)):
            interrupted = Document.failure(
                f"`{' '.join(words)}` was interrupted by a restart of mine; whether it took effect is "
                "unknown. It was not run again: look with `fleet ps`."
            )
            await self._show(row, place, caller, interrupted)
            return
        running = asyncio.create_task(self.dispatcher.run(words, caller), name=f"command {row.id}")
        done, _ = await asyncio.wait({running}, timeout=SLOW_S)
        seen: str | None = None
        if not done:
            dedup = f"seen:{row.id}"
            seen = await self.register.write(
                lambda tx: self.posts.react(tx, place, "👀", event=row.external_id, dedup=dedup)
            )
            self.woke()
        await self._show(row, place, caller, await running, seen)

    async def _show(
        self, row: InboxRow, place: Place, caller: Caller, document: Document, seen: str | None = None
    ) -> None:
        def work(tx: Tx) -> None:
            self.posts.document(
                tx,
                place,
                document,
                dedup=f"command:{row.id}",
                thread_ref=caller.thread,
                reply_to=row.external_id,
            )
            if seen is not None:
                self.posts.take_back(tx, place, seen, dedup=f"unseen:{row.id}")
            inbox.done(tx, row.id, None)

        await self.register.write(work)

    # --- the rest --------------------------------------------------------------------------------------

    async def _reaction(self, row: InboxRow, facts: Mapping[str, object], place: Place) -> None:
        role = role_of(self.config, row.source, str(row.sender))
        about = await self.intake.escalation_of(row.source, str(facts["target"]))
        number = about.number if about else None
        act = ROOT_REACTIONS.get(str(facts["emoji"]).rstrip("\ufe0f"))
        if role < Role.OPERATOR or number is None or act is None:
            await self._done(row, "no meaning here")
            return
        who = str(row.sender)
        try:
            if act == "ack":
                await self.escalations.acknowledge(number, who)
            elif act == "resolve":
                await self.escalations.resolve(number, who)
            elif act == "snooze":
                await self.escalations.snooze(number, who)
            else:
                await self.escalations.raise_now(number, who)
        except CommandFailed as problem:
            log.info("reaction without effect", reason=str(problem))
        await self._done(row, act)

    async def _edit(self, row: InboxRow, facts: Mapping[str, object]) -> None:
        """An edit never runs anything; words that still wait here are replaced."""
        original = await inbox.find(self.register, row.source, str(facts["target"]))
        if original is None or original.sender != row.sender:
            await self._done(row, "edit of something else")
            return
        text = quote_forgery(str(facts["text"]))

        def work(tx: Tx) -> None:
            changed = messages.revise(tx, original.id, text)
            inbox.done(tx, row.id, "text replaced" if changed else "edit came too late or of a command")

        await self.register.write(work)

    async def _unreadable(self, row: InboxRow, facts: Mapping[str, object], place: Place) -> None:
        if role_of(self.config, row.source, str(row.sender)) is Role.NOBODY:
            await self._done(row, "nobody")
            return
        await self.intake.answer(
            row, place, f"🔐 I cannot read this ({facts['reason']}). Use a room without encryption.", None
        )
