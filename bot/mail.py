"""People's messages on their way into a pane: register → mailbox → receipt. The bot never types.

A message that was accepted is put into the agent's mailbox under an id fixed beforehand, so that doing it
twice after a crash changes nothing; what the deliverer found is read back and shown on the person's message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from bot.posts import Posts, plain
from fleet.home import Home
from fleet.messages import mailbox
from fleet.model import Envelope, MessageClass, Readiness, Receipt, Snapshot
from fleet.register import conversations, messages

if TYPE_CHECKING:
    from fleet.register.conversations import Conversation
    from fleet.register.engine import Register, Tx
    from fleet.register.messages import MessageRow

log = structlog.get_logger("mail")

BUSY_LOOK_S = 0.05  # while something is in a mailbox
IDLE_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a receipt changes the message and what its writer sees."""

    state: str
    emoji: str | None
    text: str | None


def judge_receipt(receipt: Receipt, agent: str) -> Verdict | None:
    """A receipt → what to show; None while it only waits. Pure."""
    match receipt.verdict:
        case "accepted":
            return Verdict("typed", "✅", None)
        case "held":
            return Verdict("queued", "📬", None)
        case "draft":
            return Verdict(
                "failed",
                "⚠️",
                f"⚠️ {agent}: the text stands in the prompt but was not taken ({receipt.evidence}).",
            )
        case _:
            return Verdict(
                "failed",
                "⚠️",
                f"⚠️ {agent}: whether it arrived is unknown ({receipt.evidence}); it is not repeated.",
            )


def absent(snapshot: Snapshot, agent: str) -> str | None:
    """Why an agent cannot take messages now, in words; None when it can or when nothing is known."""
    row = next((r for r in snapshot.agents if r.name == agent and r.managed), None)
    if row is None:
        return None
    if row.readiness is Readiness.DEAD:
        return "its pane is gone"
    if row.readiness is Readiness.STALE:
        return "its heartbeat is stale"
    return None


class Mail:
    """The one task that moves messages along."""

    def __init__(
        self,
        register: Register,
        home: Home,
        posts: Posts,
        *,
        host: str,
        tenant_id: str,
        alias: Callable[[str], str],
        snapshot: Callable[[], Awaitable[Snapshot]],
        now: Callable[[], datetime],
        wake_outbox: Callable[[], None],
    ) -> None:
        self._register = register
        self._home = home
        self._posts = posts
        self._host = host
        self._tenant = tenant_id
        self._alias = alias
        self._snapshot = snapshot
        self._now = now
        self._wake_outbox = wake_outbox
        self._wake = asyncio.Event()
        self._shown: dict[str, str] = {}  # mail id → receipt line already handled

    def wake(self) -> None:
        """A message was accepted."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            under_way = False
            for row in await messages.waiting(self._register):
                if row.state in ("accepted", "held"):
                    under_way |= await self._put(row)
                elif row.state == "queued":
                    under_way |= not await self._look(row)
            try:
                await asyncio.wait_for(self._wake.wait(), BUSY_LOOK_S if under_way else IDLE_LOOK_S)
            except TimeoutError:
                continue

    async def _put(self, row: MessageRow) -> bool:
        conversation = await conversations.by_handle(self._register, row.handle)
        if conversation is None:
            return False
        reason = absent(await self._snapshot(), row.agent)
        if reason is not None:
            if row.state != "held":
                await self._hold(row, conversation, reason)
            return False
        token = f"{row.handle}.{row.number}"
        envelope = Envelope(
            id=row.mail_id,
            ts=self._now(),
            tenant_id=self._tenant,
            host=self._host,
            src=f"{conversation.connector}:{conversation.person}/{token}",
            dst=f"{self._host}:{row.agent}",
            body=row.body,
            message_class=MessageClass.HUMAN,
            token=token,
            verified=True,
        )
        await asyncio.to_thread(mailbox.put, self._home.mailbox(row.agent), envelope)
        await self._register.write(lambda tx: messages.advance(tx, row.number, "queued"))
        return True

    async def _hold(self, row: MessageRow, conversation: Conversation, reason: str) -> None:
        alias = self._alias(row.agent)

        def work(tx: Tx) -> None:
            messages.advance(tx, row.number, "held", note=reason)
            place = self._posts.rooms.place(conversation.connector, conversation.room)
            if place is not None:
                text = f"⚠️ {alias} has not taken M-{row.number} ({reason}). Kept until {alias} is back."
                self._posts.put(
                    tx,
                    place,
                    plain(text, reply_to=row.event_ref),
                    dedup=f"held:{row.number}",
                    lane="answer",
                    thread_ref=conversation.thread or None,
                )

        await self._register.write(work)
        self._wake_outbox()

    async def _look(self, row: MessageRow) -> bool:
        """Read the receipt; True when nothing new can come soon."""
        receipt = await asyncio.to_thread(mailbox.result, self._home.mailbox(row.agent), row.mail_id)
        if receipt is None or self._shown.get(row.mail_id) == receipt.line():
            return False
        verdict = judge_receipt(receipt, self._alias(row.agent))
        self._shown[row.mail_id] = receipt.line()
        if verdict is None:
            return False
        conversation = await conversations.by_handle(self._register, row.handle)
        if conversation is not None:
            await self._register.write(lambda tx: self._show(tx, row, conversation, receipt, verdict))
            self._wake_outbox()
        if verdict.state != "queued":
            self._shown.pop(row.mail_id, None)
            log.info(
                "receipt",
                message=row.number,
                agent=row.agent,
                verdict=receipt.verdict,
                evidence=receipt.evidence,
            )
            return True
        return False

    def _show(
        self, tx: Tx, row: MessageRow, conversation: Conversation, receipt: Receipt, verdict: Verdict
    ) -> None:
        if verdict.state != "queued":
            messages.advance(tx, row.number, verdict.state, evidence=receipt.line())
        place = self._posts.rooms.place(conversation.connector, conversation.room)
        if place is None:
            return
        thread = conversation.thread or None
        if verdict.emoji:
            dedup = f"receipt:{row.number}:{verdict.emoji}"
            self._posts.react(tx, place, verdict.emoji, event=row.event_ref, dedup=dedup, thread=thread)
        if verdict.text:
            self._posts.put(
                tx,
                place,
                plain(verdict.text, reply_to=row.event_ref),
                dedup=f"receipt:{row.number}:text",
                lane="answer",
                thread_ref=thread,
            )
