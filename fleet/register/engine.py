"""The register as its users see it: one writer, any readers, one tenant. Opened by the bot process alone."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.sql.expression import Executable

from fleet.register.errors import RegisterError
from fleet.register.migrate import prepare
from fleet.register.readers import Readers
from fleet.register.tx import Params, Result, Tx, sql_of
from fleet.register.writer import Writer

__all__ = ["Register", "RegisterError", "Result", "Tx"]

T = TypeVar("T")


class Register:
    """Make it with :meth:`open`, end it with :meth:`close`. The caller holds the register lock (lock.py)."""

    def __init__(self, path: Path, tenant_id: str, host: str, writer: Writer, readers: Readers) -> None:
        self.path = path
        self.tenant_id = tenant_id
        self.host = host
        self._writer = writer
        self._readers = readers

    @classmethod
    async def open(cls, path: Path, *, tenant_id: str, host: str, now: Callable[[], datetime]) -> Register:
        """Bring the file to this version's schema (after a backup into `backups/` beside it) and open it.

        ``now`` gives aware datetimes. Raises RegisterError when the file is damaged, locked or newer.
        """
        await asyncio.to_thread(prepare, path, now())
        writer = Writer(path, tenant_id=tenant_id, host=host, now=now)
        readers = Readers(path)
        try:
            await writer.start()  # first: it puts the file into WAL mode
            await readers.start()
        except sqlite3.Error as problem:
            await writer.close()
            raise RegisterError(f"The register {path} cannot be opened: {problem}.") from problem
        return cls(path, tenant_id, host, writer, readers)

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run ``work`` in a transaction on the writer's thread; its result, once committed to the disk.

        ``work`` must be short, must not await, and touches nothing but its ``Tx`` and plain values. Raises
        what ``work`` raised (then nothing of it is kept), RegisterError when the commit failed.
        """
        return await self._writer.write(work)

    async def read(self, statement: Executable, params: Params | None = None) -> list[dict[str, Any]]:
        """The rows of a Core select, within the tenant; sees every write that was awaited before.

        Raises RegisterError when the file cannot be read.
        """
        sql, values = sql_of(statement, params, self.tenant_id, self.host)
        return await self._readers.read(sql, values)

    async def close(self) -> None:
        """Commit what is queued and close the file. May be called twice."""
        await self._readers.close()
        await self._writer.close()
