"""The sender: takes what the register says is due and brings it to one network, in order, once.

A line is one (room, lane); only its head is sent, so a row that must wait holds what comes after it and
nothing else. The transaction id is the row's id and kind: a repeat after a crash shows once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import orjson
import structlog

from bot.posts import decode
from connectors.protocol import Connector, Outcome, Rejected, Sent, Target, Unavailable
from fleet.register import outbox

if TYPE_CHECKING:
    from fleet.register.engine import Register
    from fleet.register.outbox import OutboxRow

log = structlog.get_logger("outbox")

PARALLEL = 8  # lines under way at once on one network
SEND_LIMIT_S = 60.0
IDLE_S = 1.0  # look again without being woken: rows become due by time


def backoff_s(attempts: int) -> float:
    """Seconds until the next try after ``attempts`` failures: 0.5 s doubling up to 30 s."""
    return float(min(30.0, 0.5 * 2 ** min(attempts, 8)))


class Sender:
    """One network's sender. ``wake`` is set by whoever wrote a row."""

    def __init__(
        self,
        register: Register,
        connector: Connector,
        *,
        now: Callable[[], datetime],
        on_dead: Callable[[OutboxRow, str], Awaitable[None]],
    ) -> None:
        self._register = register
        self._connector = connector
        self._now = now
        self._on_dead = on_dead
        self.wake = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. A row whose sending was cut off stays pending and is sent again by its id."""
        lines: set[tuple[str, str]] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                self.wake.clear()
                busy = set(lines)  # a line that ends while we read gives rows that are sent already
                rows = await outbox.ready(self._register, self._connector.name, self._now(), PARALLEL * 2)
                for row in rows:
                    line = (row.room, row.lane)
                    if line not in busy and line not in lines and len(lines) < PARALLEL:
                        lines.add(line)
                        task = group.create_task(self._one(row), name=f"send {self._connector.name} {row.id}")
                        task.add_done_callback(partial(self._ended, line, lines))
                await self._sleep()

    def _ended(self, line: tuple[str, str], lines: set[tuple[str, str]], _task: asyncio.Task[None]) -> None:
        lines.discard(line)
        self.wake.set()

    async def _sleep(self) -> None:
        try:
            await asyncio.wait_for(self.wake.wait(), IDLE_S)
        except TimeoutError:
            return

    async def _one(self, row: OutboxRow) -> None:
        try:
            outcome = await asyncio.wait_for(self._send(row), SEND_LIMIT_S)
        except TimeoutError:
            outcome = Unavailable("no answer within 60 s")
        except (ValueError, KeyError, OSError) as problem:
            outcome = Rejected(f"{type(problem).__name__}: {problem}")
        match outcome:
            case Sent(ref):
                await self._register.write(lambda tx: outbox.sent(tx, row.id, ref))
            case Unavailable(reason, after):
                wait = after if after is not None else backoff_s(row.attempts)
                due = self._now() + timedelta(seconds=wait)
                await self._register.write(lambda tx: outbox.retry(tx, row.id, due, reason))
                log.info("send later", connector=self._connector.name, row=row.id, reason=reason, wait_s=wait)
            case Rejected(reason):
                await self._register.write(lambda tx: outbox.dead(tx, row.id, reason))
                log.warning("send refused", connector=self._connector.name, row=row.id, reason=reason)
                await self._on_dead(row, reason)

    async def _send(self, row: OutboxRow) -> Outcome:
        txn = f"{row.id}.{row.kind}"
        thread = row.thread_ref
        if row.thread_of:
            thread = await self._ref_of(row.thread_of)
        target = Target(row.room, thread)
        ref = row.target_ref
        if row.refers_to:
            ref = await self._ref_of(row.refers_to)
            if ref is None:
                return Rejected("what it refers to was never sent")
        if row.kind == "react":
            return await self._connector.react(target, ref or "", orjson.loads(row.content)["emoji"], txn)
        if row.kind == "redact":
            return await self._connector.redact(target, ref or "", txn)
        content = decode(row.content)
        if row.kind == "send" and row.refers_to:
            content = replace(content, reply_to=ref)
        if row.kind == "edit":
            return await self._connector.edit(target, ref or "", content, txn)
        if row.kind == "upload" and content.file is not None:
            if not await asyncio.to_thread(content.file.path.is_file):
                content = replace(content, file=None, text=content.text or content.file.alt)
                return await self._connector.send(target, content, txn)
            return await self._connector.upload(target, content, txn)
        return await self._connector.send(target, content, txn)

    async def _ref_of(self, outbox_id: str) -> str | None:
        row = await outbox.get(self._register, outbox_id)
        return row.ref if row else None
