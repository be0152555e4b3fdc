"""A register on a real file for tests, with a clock that the test moves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fleet.register.engine import Register

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    time: datetime = START

    def __call__(self) -> datetime:
        return self.time

    def pass_s(self, seconds: float) -> datetime:
        self.time += timedelta(seconds=seconds)
        return self.time


@contextlib.asynccontextmanager
async def opened(folder: Path, clock: Clock | None = None, tenant: str = "ana") -> AsyncIterator[Register]:
    reg = await Register.open(folder / "register.db", tenant_id=tenant, host="hosta", now=clock or Clock())
    try:
        yield reg
    finally:
        await reg.close()
