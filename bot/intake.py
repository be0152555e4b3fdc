"""Words that people have for agents: accepted, numbered, acknowledged; what they reply to is found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from bot.conversation_ids import new_handle
from bot.escalation_rules import duration
from bot.posts import Posts, plain
from bot.rooms import Place
from connectors.protocol import Content
from fleet.messages.preamble import quote_forgery
from fleet.register import audit, conversations, escalations, inbox, messages, outbox

if TYPE_CHECKING:
    from bot.escalations import Escalations
    from fleet.model import Roster
    from fleet.register.engine import Register
    from fleet.register.inbox import InboxRow
    from fleet.register.tx import Tx

OLD_TEXT_S = 15 * 60.0  # plain words up to this age are delivered with their age


@dataclass(frozen=True, slots=True)
class About:
    """The escalation that a message is about; ``root`` is its root's id on that network."""

    number: int
    root: str


@dataclass(frozen=True, slots=True)
class Intake:
    """Ends the inbox row in the same transaction as its effects. ``new_id`` gives the mailbox ids."""

    register: Register
    posts: Posts
    escalations: Escalations
    roster: Callable[[], Awaitable[Roster]]
    new_id: Callable[[], str]

    async def accept(
        self,
        row: InboxRow,
        place: Place,
        agent: str,
        text: str,
        thread: str | None,
        age: timedelta,
        escalation: int | None = None,
    ) -> None:
        """Words for an agent: they get a number, a handle and the id of their mailbox file, and are seen."""
        if age.total_seconds() > OLD_TEXT_S:
            told = (
                f"⏮ You wrote this {duration(age)} ago while I was away. Not delivered: "
                "send it again if it still holds."
            )
            await self.answer(row, place, told, thread)
            return
        body = quote_forgery(text)
        if age.total_seconds() > 60:
            body = f"(sent {duration(age)} ago) {body}"
        person = str(row.sender)
        who = f"{row.source}:{person}"

        def work(tx: Tx) -> None:
            conversation = conversations.handle_for(
                tx,
                connector=row.source,
                room=place.room_id,
                thread=thread or "",
                person=person,
                agent=agent,
                new_handle=new_handle,
            )
            number = messages.accept(
                tx,
                inbox_id=row.id,
                handle=conversation.handle,
                mail_id=self.new_id(),
                agent=agent,
                event_ref=row.external_id,
                body=body,
            )
            self.posts.react(tx, place, "👀", event=row.external_id, dedup=f"seen:{row.id}", thread=thread)
            audit.append(
                tx, who=who, place=place.name, what=f"message M-{number} to {agent}", outcome="accepted"
            )
            if escalation is not None:
                self.escalations.acknowledge_in(tx, escalation, person)
                self.escalations.into_thread(
                    tx,
                    escalation,
                    lambda _p: plain(f"👤 {person}: {text}"),
                    dedup=f"copy:{row.id}",
                    leave_out=row.source,
                )
            else:
                self._copy(tx, row, place, f"👤 {person}: {text}")
            inbox.done(tx, row.id, f"M-{number}")

        await self.register.write(work)

    def _copy(self, tx: Tx, row: InboxRow, place: Place, text: str) -> None:
        """A linked room is one conversation: the other networks see what was said."""

        def make(_place: Place) -> Content:
            return plain(text)

        self.posts.put_all(
            tx, place.name, make, dedup=f"copy:{row.id}", lane="normal", leave_out=(row.source,)
        )

    async def reply(
        self, row: InboxRow, place: Place, number: int, text: str, thread: str | None, age: timedelta
    ) -> None:
        """Words in an escalation's thread: for the agent that raised it."""
        found = await escalations.get(self.register, number)
        roster = await self.roster()
        if found is None or roster.get(found.agent) is None:
            await self.answer(
                row, place, f"E-{number} belongs to no agent of the roster; nobody reads this.", thread
            )
            return
        if found.kind == "blocked" and found.state != "resolved":
            # Words never answer a dialog: the node holds them until it is gone.
            on_socket = f"-L {roster.socket} " if roster.socket else ""
            told = (
                f"{found.agent} stands at a question on its screen. Your words are kept and delivered after "
                f"it. Answer it at its pane: `tmux {on_socket}attach -t ={found.agent}`"
            )
            await self._tell(row, place, told, thread)
            await self.accept(row, place, found.agent, text, thread, age)
            return
        await self.accept(row, place, found.agent, text, thread, age, number)

    async def _tell(self, row: InboxRow, place: Place, text: str, thread: str | None) -> None:
        content = plain(text, reply_to=row.external_id)
        await self.register.write(
            lambda tx: self.posts.put(
                tx, place, content, dedup=f"tell:{row.id}", lane="answer", thread_ref=thread
            )
        )

    async def escalation_of(self, connector: str, ref: str | None) -> About | None:
        """The escalation that a post of ours is the root of, or stands in the thread of."""
        post = await outbox.by_ref(self.register, connector, ref) if ref else None
        if post is None:
            return None
        candidates = [post]
        if parent := post.thread_of or (post.refers_to if post.kind == "send" else None):
            candidates.append(await outbox.get(self.register, parent) or post)
        elif post.thread_ref:
            candidates.append(await outbox.by_ref(self.register, connector, post.thread_ref) or post)
        for root in candidates:
            number = await escalations.by_post(self.register, root.id)
            if number is not None and root.ref:
                return About(number, root.ref)
        return None

    async def answer(self, row: InboxRow, place: Place, text: str, thread: str | None) -> None:
        """One line to who wrote, and nothing else."""

        def work(tx: Tx) -> None:
            content = plain(text, reply_to=row.external_id)
            self.posts.put(tx, place, content, dedup=f"tell:{row.id}", lane="answer", thread_ref=thread)
            inbox.done(tx, row.id, text)

        await self.register.write(work)
