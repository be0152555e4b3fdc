"""The worker of the inbox: rows are handled one after another within a line, lines side by side.

A line is one room of a network, or one agent of the spool: what an agent said before its turn ended is
handled before the end. What was not finished before a crash is pending again at the next start.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import structlog

from fleet.register import inbox

if TYPE_CHECKING:
    from fleet.register.engine import Register
    from fleet.register.inbox import InboxRow

log = structlog.get_logger("inbox")

LOOK = 500  # rows looked at in one pass
HANDLE_LIMIT_S = 120.0
IDLE_S = 1.0

Handle = Callable[["InboxRow"], Awaitable[None]]


def line_of(row: InboxRow) -> tuple[str, str]:
    """Rows of one line keep their order."""
    return (row.source, (row.sender if row.source == "spool" else row.room) or "")


class InboxWorker:
    """``handle`` must finish the row in the same transaction as its effects."""

    def __init__(self, register: Register, handle: Handle) -> None:
        self._register = register
        self._handle = handle
        self._wake = asyncio.Event()
        self._lines: dict[tuple[str, str], asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Something was recorded."""
        self._wake.set()

    @property
    def busy(self) -> bool:
        return bool(self._lines)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                busy = set(self._lines)  # a line that ends while we read gives rows that are handled already
                rows = await inbox.pending(self._register, LOOK)
                waiting: dict[tuple[str, str], list[InboxRow]] = {}
                for row in rows:
                    waiting.setdefault(line_of(row), []).append(row)
                for line, its_rows in waiting.items():
                    if line not in busy and line not in self._lines:
                        task = group.create_task(self._work(its_rows), name=f"inbox {line[0]} {line[1]}")
                        self._lines[line] = task
                        task.add_done_callback(partial(self._free, line))
                try:
                    await asyncio.wait_for(self._wake.wait(), IDLE_S)
                except TimeoutError:
                    continue

    def _free(self, line: tuple[str, str], _task: asyncio.Task[None]) -> None:
        self._lines.pop(line, None)
        self._wake.set()

    async def _work(self, rows: list[InboxRow]) -> None:
        for row in rows:
            try:
                await asyncio.wait_for(self._handle(row), HANDLE_LIMIT_S)
            except Exception as problem:
                ref = secrets.token_hex(2)
                log.error(
                    "row failed", ref=ref, row=row.id, source=row.source, kind=row.kind, exc_info=problem
                )
                note = f"ref {ref}: {type(problem).__name__}: {problem}"
                await self._register.write(lambda tx, r=row, n=note: inbox.dead(tx, r.id, n))  # type: ignore[misc]
