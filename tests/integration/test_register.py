"""The register as a whole on a real file: group commit, crashes, tenants."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import textwrap
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from fleet.register import audit, conversations, escalations, inbox, outbox, schedules
from fleet.register.engine import Register, RegisterError, Tx
from fleet.register.schema import inbox as inbox_table

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


async def open_at(path: Path, tenant: str = "ana") -> Register:
    return await Register.open(path, tenant_id=tenant, host="hosta", now=lambda: NOW)


def came(tx: Tx, external_id: str) -> int | None:
    return inbox.record(
        tx,
        source="spool",
        external_id=external_id,
        kind="envelope",
        room=None,
        sender=None,
        body="{}",
        event_ts=NOW,
    )


async def ids(reg: Register) -> list[str]:
    return [row.external_id for row in await inbox.pending(reg, 10_000)]


# --- group commit --------------------------------------------------------------------------------------


async def test_a_failing_caller_takes_nobody_with_it(tmp_path: Path) -> None:
    reg = await open_at(tmp_path / "register.db")

    def good(n: int) -> Callable[[Tx], int | None]:
        return lambda tx: came(tx, f"good{n:02}")

    def bad(n: int) -> Callable[[Tx], None]:
        def work(tx: Tx) -> None:
            came(tx, f"bad{n}")
            raise LookupError(f"bad {n}")

        return work

    def broken(tx: Tx) -> str:
        came(tx, "broken")
        outbox.put(tx, id="same", connector="c", room="r", kind="send", content="{}")
        return outbox.put(tx, id="same", connector="c", room="r", kind="send", content="{}")

    jobs = [good(n) if n % 3 else bad(n) for n in range(30)] + [broken]
    results = await asyncio.gather(*(reg.write(job) for job in jobs), return_exceptions=True)
    for n, result in enumerate(results[:-1]):
        assert isinstance(result, int) if n % 3 else str(result) == f"bad {n}"
    assert isinstance(results[-1], sqlite3.IntegrityError)
    assert await ids(reg) == [f"good{n:02}" for n in range(30) if n % 3]
    assert await outbox.backlog(reg) == {}
    await reg.close()


async def test_callers_that_wait_together_share_a_commit(tmp_path: Path) -> None:
    reg = await open_at(tmp_path / "register.db")
    seen: list[int] = []

    def work(tx: Tx) -> None:
        # The hook fires once per COMMIT of the writer's connection.
        tx.connection.set_trace_callback(lambda sql: seen.append(1) if sql.strip() == "COMMIT" else None)
        came(tx, str(len(seen)) + os.urandom(4).hex())

    await reg.write(work)
    await asyncio.gather(*(reg.write(work) for _ in range(200)))
    assert len(await ids(reg)) == 201
    assert len(seen) < 100
    await reg.close()


async def test_what_was_awaited_is_seen_by_a_read_at_once(tmp_path: Path) -> None:
    reg = await open_at(tmp_path / "register.db")
    count = select(func.count(inbox_table.c.id).label("n"))

    async def one(n: int) -> int:
        await reg.write(lambda tx: came(tx, f"{n}"))
        found = await inbox.find(reg, "spool", f"{n}")
        assert found is not None
        return int((await reg.read(count))[0]["n"])

    counts = await asyncio.gather(*(one(n) for n in range(20)))
    assert min(counts) >= 1
    assert max(counts) == 20
    await reg.close()


async def test_close_finishes_what_is_queued_and_then_refuses(tmp_path: Path) -> None:
    reg = await open_at(tmp_path / "register.db")
    waiting = [asyncio.create_task(reg.write(lambda tx, n=n: came(tx, f"{n}"))) for n in range(300)]
    await asyncio.sleep(0)
    await reg.close()
    await reg.close()
    assert all([await task for task in waiting])
    with pytest.raises(RegisterError, match="closed"):
        await reg.write(lambda tx: came(tx, "late"))
    with pytest.raises(RegisterError, match="closed"):
        await inbox.pending(reg)
    again = await open_at(tmp_path / "register.db")
    assert len(await ids(again)) == 300
    await again.close()


async def test_a_caller_that_gave_up_before_its_turn_writes_nothing(tmp_path: Path) -> None:
    reg = await open_at(tmp_path / "register.db")
    inside, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(tx: Tx) -> None:
        loop.call_soon_threadsafe(inside.set)
        assert go_on.wait(30)

    first = asyncio.create_task(reg.write(slow))
    await inside.wait()
    second = asyncio.create_task(reg.write(lambda tx: came(tx, "given up")))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    go_on.set()
    await first
    await reg.write(lambda tx: came(tx, "after"))
    assert await ids(reg) == ["after"]
    await reg.close()


async def test_a_full_disk_fails_the_write_in_words_and_the_next_goes_on(tmp_path: Path) -> None:
    reg = await open_at(tmp_path / "register.db")

    def fill(tx: Tx) -> None:
        pages = tx.connection.execute("PRAGMA page_count").fetchone()[0]
        tx.connection.execute(f"PRAGMA max_page_count = {pages}")
        for n in range(1000):
            came(tx, f"{n}" + "x" * 4000)

    with pytest.raises((RegisterError, sqlite3.OperationalError), match="full"):
        await reg.write(fill)

    def free(tx: Tx) -> int | None:
        tx.connection.execute("PRAGMA max_page_count = 1073741823")
        return came(tx, "small")

    await reg.write(free)
    assert await ids(reg) == ["small"]
    await reg.close()


# --- crash ---------------------------------------------------------------------------------------------

CHILD = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from fleet.register import audit, inbox
from fleet.register.engine import Register

async def main():
    reg = await Register.open(Path(sys.argv[1]), tenant_id="ana", host="hosta", now=lambda: datetime.now(UTC))
    async def one(lane):
        for n in range(100_000):
            name = f"{lane}.{n}"
            def work(tx):
                inbox.record(tx, source="spool", external_id=name, kind="envelope", room=None, sender=None,
                             body="{}", event_ts=datetime.now(UTC))
                return audit.append(tx, who="a", place="b", what=name, outcome="d")
            await reg.write(work)
            print(name, flush=True)
    await asyncio.gather(*(one(lane) for lane in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 40, 300])
async def test_nothing_that_was_acknowledged_is_lost_by_a_kill(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "register.db"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(CHILD), str(path), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        told = [await asyncio.wait_for(child.stdout.readline(), 60) for _ in range(acknowledged)]
    finally:
        child.send_signal(signal.SIGKILL)
    told += (await child.stdout.read()).splitlines(keepends=True)
    assert await child.wait() == -signal.SIGKILL
    names = {line.decode().strip() for line in told if line.endswith(b"\n")}
    reg = await open_at(path)
    there = set(await ids(reg))
    assert names
    assert names <= there
    assert {row.what for row in await audit.tail(reg, 100_000)} == there, "both rows of a caller or none"
    assert await audit.verify(reg) is None
    await reg.close()


# --- tenants -------------------------------------------------------------------------------------------


async def test_two_tenants_in_one_file_do_not_see_or_hinder_each_other(tmp_path: Path) -> None:
    regs = [await open_at(tmp_path / "register.db", tenant) for tenant in ("ana", "bob")]

    def everything(tx: Tx) -> tuple[object, ...]:
        handle = tx.tenant_id[0]
        row = came(tx, "1")
        inbox.set_cursor(tx, "matrix", "cursor", tx.tenant_id)
        talk = conversations.handle_for(
            tx, connector="m", room="r", thread="", person="p", agent="a", new_handle=lambda: handle
        )
        put = outbox.put(
            tx, id=f"{handle}1", connector="m", room="r", kind="send", content=tx.tenant_id, dedup="one"
        )
        opened, new = escalations.open_or_join(
            tx, agent="a", kind="asked", key="k", title="t", body="b", next_due=NOW
        )
        schedules.sync_config(tx, [{"id": "daily"}])
        ran = schedules.begin_run(tx, "daily", NOW)
        audit.append(tx, who=tx.tenant_id, place="", what="", outcome="")
        return row, talk.handle, put, opened.number, new, ran

    made = [await reg.write(everything) for reg in regs]
    numbers = [result[3] for result in made]
    for reg, tenant, result in zip(regs, ("ana", "bob"), made, strict=True):
        assert (result[1], result[2], *result[4:]) == (tenant[0], f"{tenant[0]}1", True, True)
        assert [row.id for row in await inbox.pending(reg)] == [result[0]]
        assert await inbox.get_cursor(reg, "matrix", "cursor") == tenant
        assert [row.content for row in await outbox.ready(reg, "m", NOW, 9)] == [tenant]
        assert [row.number for row in await escalations.list_open(reg)] == [result[3]]
        assert [row.who for row in await audit.tail(reg, 9)] == [tenant]
        assert await audit.verify(reg) is None
        assert await outbox.backlog(reg) == {"m": 1}
    ana, bob = regs
    assert await escalations.get(ana, numbers[1]) is None
    assert await conversations.by_handle(ana, "b") is None
    assert await outbox.get(ana, "b1") is None
    await ana.write(lambda tx: outbox.sent(tx, "b1", "$stolen"))
    assert not await ana.write(lambda tx: escalations.resolve(tx, numbers[1], "ana", None))
    theirs = await outbox.get(bob, "b1")
    assert theirs is not None
    assert theirs.state == "pending"
    await ana.close()
    await bob.close()


async def test_a_commit_that_fails_is_told_to_everybody_in_it_and_the_writer_lives(tmp_path: Path) -> None:
    reg = await open_at(tmp_path / "register.db")
    inside, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(tx: Tx) -> None:
        loop.call_soon_threadsafe(inside.set)
        assert go_on.wait(30)

    def lose(tx: Tx) -> None:
        tx.connection.execute("ROLLBACK")  # as SQLite does by itself on some I/O errors
        raise sqlite3.OperationalError("disk I/O error")

    def own(tx: Tx) -> None:
        raise LookupError("mine")

    first = asyncio.create_task(reg.write(slow))
    await inside.wait()
    together = [asyncio.create_task(reg.write(work)) for work in (lambda tx: came(tx, "a"), own, lose)]
    await asyncio.sleep(0)
    go_on.set()
    await first
    good, failed, lost = await asyncio.gather(*together, return_exceptions=True)
    assert isinstance(good, RegisterError)
    assert "disk I/O error" in str(good)
    assert isinstance(failed, LookupError)
    assert isinstance(lost, RegisterError)
    await reg.write(lambda tx: came(tx, "b"))
    assert await ids(reg) == ["b"]
    await reg.close()
