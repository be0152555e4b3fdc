"""Escalations: opened by agents, shown as threads, raised again until somebody takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from bot.commands.failures import CommandFailed
from bot.escalation_rules import (
    ASK_AFTER_S,
    ASKED_LEVEL,
    RAISE_AFTER_MIN,
    SNOOZE_S,
    AskAfter,
    RaiseAgain,
    Reopen,
    duration,
    key_of,
    next_step,
    root_text,
    title_of,
)
from bot.posts import Posts, folded, plain
from bot.rooms import Place
from connectors.protocol import Content
from fleet.register import audit, escalations
from fleet.register.times import to_ms

if TYPE_CHECKING:
    from bot.config import Config
    from fleet.register.engine import Register, Tx
    from fleet.register.escalations import EscalationRow

log = structlog.get_logger("escalations")

TICK_S = 5.0
SEEDED = ("✅", "🏁", "💤")


class Escalations:
    """``alias`` gives an agent's friendly name, ``on_call`` the ids to ping on a network."""

    def __init__(
        self,
        register: Register,
        posts: Posts,
        config: Config,
        *,
        alias: Callable[[str], str],
        on_call: Callable[[str], tuple[str, ...]],
        now: Callable[[], datetime],
        wake: Callable[[], None],
    ) -> None:
        self._register = register
        self._posts = posts
        self._config = config
        self._alias = alias
        self._on_call = on_call
        self._now = now
        self._wake = wake

    # --- opening ---------------------------------------------------------------------------------------

    def open(
        self,
        tx: Tx,
        *,
        agent: str,
        kind: str,
        body: str,
        cause: str,
        room: str | None = None,
        key: str | None = None,
        detail: str | None = None,
    ) -> int:
        """Open or join one in the caller's transaction; its number. ``cause`` makes it happen once."""
        row, new = escalations.open_or_join(
            tx,
            agent=agent,
            kind=kind,
            key=key or key_of(agent, kind, body),
            title=title_of(body),
            body=body,
            next_due=self._now() + timedelta(minutes=RAISE_AFTER_MIN[0]),
        )
        where = room or self._posts.rooms.with_mode("ops") or self._posts.rooms.with_mode("conversation")
        if where is None:
            log.error("no room for escalations", number=row.number)
            return row.number
        if new and not escalations.posts_of(tx, row.number):
            self._post_root(tx, row, where, detail if detail is not None else body)
        else:
            self.show(tx, row, f"count:{row.count}:{cause}")
            self.into_thread(
                tx, row.number, lambda _p: plain(f"🔁 again (×{row.count}): {body}"), dedup=f"again:{cause}"
            )
            if not new and to_ms(row.opened_at) == tx.now_ms:  # it was over: nobody looks at its thread now
                text = f"🔁 E-{row.number} {self._alias(agent)}: {row.title}\nreopened, ×{row.count}"
                self._ping(tx, row, text, f"back:{tx.now_ms}")
        return row.number

    def _post_root(self, tx: Tx, row: EscalationRow, room: str, detail: str) -> None:
        text = root_text(row, self._alias(row.agent), self._now())
        for place in self._posts.rooms.places(room):
            ping = self._on_call(place.connector)
            root = self._posts.put(
                tx, place, plain(text, ping=ping, silent=False), dedup=f"esc:{row.number}", lane="answer"
            )
            escalations.add_post(tx, row.number, place.connector, place.room_id, root)
            if detail.strip() != row.title:
                body = folded(f"{self._alias(row.agent)} says:", detail)
                self._posts.put(tx, place, body, dedup=f"esc:{row.number}:detail", thread_of=root)
            for emoji in SEEDED:
                seed = f"esc:{row.number}:seed:{emoji}"
                self._posts.react(tx, place, emoji, refers_to=root, dedup=seed, lane="normal")

    def into_thread(
        self,
        tx: Tx,
        number: int,
        make: Callable[[Place], Content],
        *,
        dedup: str,
        leave_out: str | None = None,
    ) -> None:
        """A post in the thread on every network that shows the escalation."""
        for connector, room_id, root in escalations.posts_of(tx, number):
            place = self._posts.rooms.place(connector, room_id)
            if place is not None and connector != leave_out:
                self._posts.put(tx, place, make(place), dedup=dedup, thread_of=root)

    def show(self, tx: Tx, row: EscalationRow, cause: str) -> None:
        """Edit the roots so that they show the state."""
        text = root_text(row, self._alias(row.agent), self._now())
        for connector, room_id, root in escalations.posts_of(tx, row.number):
            place = self._posts.rooms.place(connector, room_id)
            if place is not None:
                self._posts.put(
                    tx,
                    place,
                    plain(text),
                    kind="edit",
                    refers_to=root,
                    dedup=f"esc:{row.number}:{cause}",
                    lane="answer",
                )

    # --- what people do --------------------------------------------------------------------------------

    def acknowledge_in(self, tx: Tx, number: int, who: str) -> bool:
        """Acknowledge in the caller's transaction; False when it was not open."""
        changed = escalations.acknowledge(tx, number, who, self._now() + timedelta(seconds=ASK_AFTER_S))
        if changed:
            row = escalations.in_tx(tx, number)
            self.show(tx, row, f"ack:{row.acked_at}")
        return changed

    async def acknowledge(self, number: int, who: str) -> str:
        """`E-12 acknowledged.` Raises CommandFailed for an unknown or resolved one."""
        return await self._change(
            number, who, "acknowledged", lambda tx: self.acknowledge_in(tx, number, who)
        )

    def resolve_in(self, tx: Tx, number: int, who: str, reason: str | None) -> bool:
        changed = escalations.resolve(tx, number, who, reason)
        if changed:
            row = escalations.in_tx(tx, number)
            self.show(tx, row, f"resolved:{row.resolved_at}")
            told = f"✅ resolved by {who}" + (f": {reason}" if reason else "")
            self.into_thread(
                tx, number, lambda _p: plain(told), dedup=f"esc:{number}:told-resolved:{row.resolved_at}"
            )
        return changed

    async def resolve(self, number: int, who: str, reason: str | None = None) -> str:
        return await self._change(
            number, who, "resolved", lambda tx: self.resolve_in(tx, number, who, reason)
        )

    async def snooze(self, number: int, who: str, seconds: float = SNOOZE_S) -> str:
        until = self._now() + timedelta(seconds=seconds)

        def work(tx: Tx) -> bool:
            changed = escalations.snooze(tx, number, who, until)
            if changed:
                self.show(tx, escalations.in_tx(tx, number), f"snooze:{int(until.timestamp())}")
            return changed

        return await self._change(number, who, f"snoozed for {duration(timedelta(seconds=seconds))}", work)

    async def raise_now(self, number: int, who: str) -> str:
        row = await self._known(number)
        if row.state not in ("open", "snoozed", "stale"):
            raise CommandFailed(
                f"E-{number} is {row.state}; only what waits for somebody is raised again.", 1
            )
        step = RaiseAgain(row.level + 1, self._now() + timedelta(minutes=RAISE_AFTER_MIN[0]))
        await self._register.write(lambda tx: self._raise(tx, row, step))
        self._wake()
        return f"E-{number} raised again."

    async def _change(self, number: int, who: str, word: str, work: Callable[[Tx], bool]) -> str:
        row = await self._known(number)

        def both(tx: Tx) -> bool:
            changed = work(tx)
            outcome = word if changed else f"already {row.state}"
            audit.append(tx, who=who, place=f"E-{number}", what="escalation", outcome=outcome)
            return changed

        changed = await self._register.write(both)
        self._wake()
        return f"E-{number} {word}." if changed else f"E-{number} is {row.state} already."

    async def _known(self, number: int) -> EscalationRow:
        row = await escalations.get(self._register, number)
        if row is None:
            raise CommandFailed(
                f"There is no escalation E-{number}. `escalation list` shows the open ones.", 1
            )
        return row

    async def list_open(self) -> list[EscalationRow]:
        return await escalations.list_open(self._register)

    async def show_one(self, number: int) -> tuple[EscalationRow, list[escalations.EscalationEvent]]:
        """The row and what became of it."""
        return await self._known(number), await escalations.events(self._register, number)

    # --- time ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled: raise again what is due, also what was missed while the bot was down."""
        while True:
            for row in await escalations.due(self._register, self._now()):
                step = next_step(row, self._now())
                if step is not None:
                    await self._register.write(lambda tx, r=row, s=step: self._raise(tx, r, s))  # type: ignore[misc]
                    self._wake()
            await asyncio.sleep(TICK_S)

    def _raise(self, tx: Tx, row: EscalationRow, step: RaiseAgain | AskAfter | Reopen) -> None:
        alias = self._alias(row.agent)
        match step:
            case RaiseAgain(level, next_due):
                if not escalations.raise_again(tx, row.number, level, next_due):
                    return
                age = duration(self._now() - row.opened_at)
                text = f"🔴 E-{row.number} {alias}: {row.title}\nstill open after {age}, nobody acknowledged"
                self._ping(tx, row, text, f"raise:{_ms(row.opened_at)}:{level}")
                self.show(tx, escalations.in_tx(tx, row.number), f"raised:{_ms(row.opened_at)}:{level}")
            case AskAfter(next_due):
                if escalations.raise_again(tx, row.number, ASKED_LEVEL, next_due):
                    self._ping(
                        tx, row, f"🟡 E-{row.number}: still yours, {row.acked_by}?", f"ask:{row.acked_at}"
                    )
            case Reopen(next_due):
                if escalations.reopen(tx, row.number, next_due):
                    text = (
                        f"🔴 E-{row.number} {alias}: {row.title}\nopen again: {row.acked_by} did not answer"
                    )
                    self._ping(tx, row, text, f"reopen:{row.acked_at}")
                    self.show(tx, escalations.in_tx(tx, row.number), f"reopened:{row.acked_at}")

    def _ping(self, tx: Tx, row: EscalationRow, text: str, cause: str) -> None:
        for connector, room_id, root in escalations.posts_of(tx, row.number):
            place = self._posts.rooms.place(connector, room_id)
            if place is not None:
                content = plain(text, ping=self._on_call(connector), silent=False)
                self._posts.put(
                    tx, place, content, dedup=f"esc:{row.number}:{cause}", lane="answer", refers_to=root
                )


def _ms(moment: datetime) -> int:
    """A time as part of a key."""
    return int(moment.timestamp() * 1000)
