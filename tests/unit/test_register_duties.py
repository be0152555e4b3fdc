"""Schedules run once per due time, confirmations are taken once, the audit chain shows what was changed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from register_support import START, Clock, opened
from sqlalchemy import bindparam, delete, update

from fleet.register import audit, confirmations, schedules
from fleet.register.engine import Register, Tx
from fleet.register.schema import audit as audit_table

DAILY: dict[str, Any] = {"id": "morning", "report": "readiness", "cron": "0 7 * * *"}
HOURLY: dict[str, Any] = {"id": "hourly", "report": "readiness", "every_s": 3600}


async def test_config_is_followed_and_what_did_not_change_keeps_its_time(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:
        assert await reg.write(lambda tx: schedules.sync_config(tx, [DAILY, HOURLY])) == ["morning", "hourly"]
        await reg.write(
            lambda tx: (schedules.set_next(tx, "morning", START), schedules.set_next(tx, "hourly", START))
        )
        assert await reg.write(lambda tx: schedules.set_paused(tx, "hourly", True))
        assert not await reg.write(lambda tx: schedules.set_paused(tx, "nightly", True))
        assert [row.id for row in await schedules.due(reg, START)] == ["morning"]
        assert await schedules.due(reg, START - timedelta(seconds=1)) == []

        faster = HOURLY | {"every_s": 60}
        assert await reg.write(lambda tx: schedules.sync_config(tx, [DAILY, faster])) == ["hourly"]
        hourly, morning = await schedules.all(reg)
        assert (morning.next_due, morning.definition) == (START, DAILY)
        assert (hourly.next_due, hourly.paused, hourly.definition) == (None, True, faster)
        await reg.write(lambda tx: schedules.sync_config(tx, []))
        assert await schedules.all(reg) == []


async def test_a_due_time_runs_once_and_again_only_after_a_failure(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:

        async def begin() -> bool:
            return await reg.write(lambda tx: schedules.begin_run(tx, "morning", START))

        async def end(state: str, note: str | None = None) -> None:
            await reg.write(lambda tx: schedules.finish_run(tx, "morning", START, state, note))

        assert await begin()
        assert not await begin()
        (cut_off,) = await schedules.unfinished(reg)
        assert (cut_off.schedule_id, cut_off.due_at, cut_off.attempts) == ("morning", START, 1)
        await end("failed", "no snapshot")
        assert await schedules.unfinished(reg) == []
        assert await begin()
        await end("posted")
        assert not await begin()
        (run,) = await schedules.last_runs(reg, "morning")
        assert (run.state, run.attempts) == ("posted", 2)
        with pytest.raises(ValueError, match="no end of a run"):
            await end("started")


def ask(tx: Tx, code: str = "k7mqa") -> bool:
    return confirmations.open(
        tx,
        code=code,
        connector="matrix",
        room="!ops",
        person="@ana",
        argv=["fleet", "stop", "coder0"],
        fingerprint="coder0@1",
        expires_at=START + timedelta(minutes=2),
    )


async def state_of(reg: Register, code: str = "k7mqa") -> str | None:
    row = await reg.write(lambda tx: confirmations.find(tx, code))
    return row.state if row else None


async def test_a_code_is_taken_once_by_its_person(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as reg:
        assert await reg.write(ask)
        assert not await reg.write(ask), "an open code is not given to a second question"

        async def take(person: str) -> confirmations.ConfirmationRow | None:
            return await reg.write(lambda tx: confirmations.take(tx, "k7mqa", person, clock()))

        assert await take("@bob") is None
        row = await take("@ana")
        assert row is not None
        assert (row.argv, row.fingerprint, row.state) == (
            ("fleet", "stop", "coder0"),
            "coder0@1",
            "confirmed",
        )
        assert await take("@ana") is None
        assert not await reg.write(lambda tx: confirmations.close(tx, "k7mqa", "refused"))
        assert await reg.write(lambda tx: confirmations.close(tx, "k7mqa", "overtaken"))
        assert await state_of(reg) == "overtaken"
        assert await reg.write(ask), "a code whose question is over may come again"
        assert await state_of(reg) == "open"


async def test_a_code_runs_out(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as reg:
        await reg.write(ask)
        assert await confirmations.overdue(reg, clock.pass_s(119)) == []
        late = clock.pass_s(1)
        assert [row.code for row in await confirmations.overdue(reg, late)] == ["k7mqa"]
        assert await reg.write(lambda tx: confirmations.take(tx, "k7mqa", "@ana", late)) is None
        assert await reg.write(lambda tx: confirmations.close(tx, "k7mqa", "expired"))
        assert await state_of(reg) == "expired"
        assert await state_of(reg, "zzzzz") is None
        with pytest.raises(ValueError, match="no end"):
            await reg.write(lambda tx: confirmations.close(tx, "k7mqa", "maybe"))


def log(tx: Tx, what: str) -> int:
    return audit.append(tx, who="@ana", place="ops", what=what, outcome="done", duration_ms=12, detail="é ✓")


async def test_the_chain_holds_over_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as reg:
        assert await audit.verify(reg) is None
        await reg.write(lambda tx: [log(tx, f"fleet ps {n}") for n in range(5)])
    async with opened(tmp_path) as reg:
        await reg.write(lambda tx: audit.append(tx, who="a", place="b", what="c", outcome="d", late=True))
        assert await audit.verify(reg) is None
        rows = await audit.tail(reg, 2)
        assert [(row.what, row.late) for row in rows] == [("fleet ps 4", False), ("c", True)]


@pytest.mark.parametrize(
    "column", ["who", "place", "what", "outcome", "detail", "at", "duration_ms", "late", "hash"]
)
async def test_a_changed_row_is_found(tmp_path: Path, column: str) -> None:
    change = (
        update(audit_table).where(audit_table.c.seq == bindparam("which")).values({column: bindparam("new")})
    )
    async with opened(tmp_path) as reg:
        seqs = await reg.write(lambda tx: [log(tx, f"fleet ps {n}") for n in range(5)])
        await reg.write(lambda tx: tx.execute(change, {"which": seqs[2], "new": 1}))
        assert await audit.verify(reg) == seqs[2]


async def test_a_removed_row_is_found_at_the_next(tmp_path: Path) -> None:
    gone = delete(audit_table).where(audit_table.c.seq == bindparam("which"))
    async with opened(tmp_path) as reg:
        seqs = await reg.write(lambda tx: [log(tx, f"fleet ps {n}") for n in range(5)])
        await reg.write(lambda tx: tx.execute(gone, {"which": seqs[2]}))
        assert await audit.verify(reg) == seqs[3]
