"""Connections that only read: a few, kept open, each a thread of aiosqlite; a read is one hop to it.

Statements are compiled as for the writer and run without SQLAlchemy's asyncio layer: on SQLite that costs
several times the query itself, and needs a further compiled dependency.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiosqlite

from fleet.register.errors import RegisterError

READERS = 3
BUSY_MS = 5000


class Readers:
    """Made by a Register. ``read`` may be called from any number of tasks of the loop it was opened in."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        self._all: list[aiosqlite.Connection] = []
        self._closed = False

    async def start(self) -> None:
        """Open the connections. Raises sqlite3.Error; none is left open then."""
        try:
            for _ in range(READERS):
                connection = await aiosqlite.connect(self._path, isolation_level=None)
                self._all.append(connection)
                connection.row_factory = sqlite3.Row
                await connection.executescript(f"PRAGMA busy_timeout = {BUSY_MS}; PRAGMA query_only = ON;")
                self._free.put_nowait(connection)
        except sqlite3.Error:
            await self.close()
            raise

    async def read(self, sql: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows of one select. Raises RegisterError."""
        if self._closed:
            raise RegisterError("The register is closed: the bot is stopping.")
        connection = await self._free.get()
        try:
            return [dict(row) for row in await connection.execute_fetchall(sql, dict(values))]
        except sqlite3.Error as problem:
            raise RegisterError(f"The register {self._path} cannot be read: {problem}.") from problem
        finally:
            self._free.put_nowait(connection)

    async def close(self) -> None:
        """Wait for reads that are under way and close. Does nothing the second time."""
        self._closed = True
        while self._all:
            await self._all.pop().close()
