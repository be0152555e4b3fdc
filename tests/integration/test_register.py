"""The register as a whole on a real file: group commit, crashes, tenants, migrations, locks, damage."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from fleet.home import Home
from fleet.register import audit, conversations, escalations, inbox, outbox, schedules
from fleet.register import migrate as migrate_module
from fleet.register.engine import Register, RegisterError, Tx
from fleet.register.lock import AlreadyRunning, take_register_lock
from fleet.register.migrate import HEAD, KNOWN, MIGRATIONS, prepare, upgrade
from fleet.register.schema import inbox as inbox_table
from fleet.register.schema import metadata

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
    inside, go_on = asyncio.Event(), __import__("threading").Event()
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


# --- migrations ----------------------------------------------------------------------------------------


def test_the_migrations_lead_to_the_schema_that_the_code_uses(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine

    path = tmp_path / "migrated.db"
    upgrade(path)
    migrated, made = create_engine(f"sqlite:///{path}"), create_engine("sqlite://")
    try:
        with migrated.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
            created = _objects(connection.connection.driver_connection)
        with made.connect() as connection:
            metadata.create_all(connection)
            assert _objects(connection.connection.driver_connection) == created
    finally:
        migrated.dispose()
        made.dispose()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert script.get_current_head() == HEAD
    assert sorted(r.revision for r in script.walk_revisions()) == sorted(KNOWN)


def _objects(connection: sqlite3.Connection) -> set[str]:
    """Tables, indexes and constraints as SQLite wrote them down, space aside."""
    rows = connection.execute(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name != 'alembic_version'"
    )
    found = set()
    for (sql,) in rows:
        head, _, rest = " ".join(sql.split()).partition("(")
        parts = sorted(part.strip(" ,)") for part in rest.split(", CONSTRAINT"))
        found.add(head.strip() + "|" + "|".join(parts))
    return found


async def test_a_new_register_is_private_and_needs_no_backup(tmp_path: Path) -> None:
    path = tmp_path / "home" / "bot" / "register.db"
    reg = await open_at(path)
    await reg.write(lambda tx: came(tx, "1"))
    for name in ("register.db", "register.db-wal"):
        assert stat.S_IMODE((path.parent / name).stat().st_mode) == 0o600
    await reg.close()
    assert prepare(path, NOW) is None
    assert not (path.parent / "backups").exists()


async def test_a_register_that_is_behind_is_copied_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "register.db"
    reg = await open_at(path)
    await reg.write(lambda tx: came(tx, "kept"))
    await reg.close()
    with closing(sqlite3.connect(path)) as old:
        old.execute("UPDATE alembic_version SET version_num = '0000'")
        old.commit()
    monkeypatch.setattr(migrate_module, "KNOWN", ("0000", HEAD))

    def climb(file: Path, revision: str = "head") -> None:
        assert [p.name for p in (file.parent / "backups").iterdir()] == ["register-20260301T120000.000Z.db"]
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (HEAD,))
            connection.commit()

    monkeypatch.setattr(migrate_module, "upgrade", climb)
    reg = await open_at(path)
    assert await ids(reg) == ["kept"]
    await reg.close()
    (saved,) = (tmp_path / "backups").iterdir()
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    with closing(sqlite3.connect(saved)) as copy:
        assert copy.execute("SELECT external_id FROM inbox").fetchall() == [("kept",)]
        assert copy.execute("SELECT version_num FROM alembic_version").fetchone() == ("0000",)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "register.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE messages (a)"
        )  # in the way of the last table that the first one makes
    before = path.read_bytes()
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        upgrade(path)
    assert path.read_bytes() == before


def test_a_register_that_is_up_to_date_is_opened_without_alembic(tmp_path: Path) -> None:
    prepare(tmp_path / "register.db", NOW)
    code = (
        "import sys, datetime, pathlib; from fleet.register.migrate import prepare; "
        "prepare(pathlib.Path(sys.argv[1]), datetime.datetime.now(datetime.UTC)); "
        "print(sorted(m for m in ('alembic', 'mako') if m in sys.modules))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "register.db")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (shown.returncode, shown.stdout.strip()) == (0, "[]")


# --- what can be wrong with the file -------------------------------------------------------------------


async def refusal(path: Path) -> str:
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(RegisterError) as caught:
        await open_at(path)
    assert (path.read_bytes() if path.is_file() else None) == before
    text = str(caught.value)
    assert str(path) in text
    return text


async def test_a_newer_register_is_not_touched(tmp_path: Path) -> None:
    prepare(tmp_path / "register.db", NOW)
    with closing(sqlite3.connect(tmp_path / "register.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
        connection.commit()
    text = await refusal(tmp_path / "register.db")
    assert "0999" in text
    assert "newer" in text
    assert "backups" in text


async def test_a_damaged_register_names_the_mend(tmp_path: Path) -> None:
    (tmp_path / "register.db").write_bytes(b"this is no database " * 500)
    text = await refusal(tmp_path / "register.db")
    assert "damaged" in text
    assert "backups" in text


async def test_somebody_elses_database_is_not_touched(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "register.db")) as connection:
        connection.execute("CREATE TABLE songs (title)")
    assert "not a register" in await refusal(tmp_path / "register.db")


async def test_a_locked_register_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate_module, "WAIT_S", 0.1)
    prepare(tmp_path / "register.db", NOW)
    with closing(sqlite3.connect(tmp_path / "register.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "locked by another program" in await refusal(tmp_path / "register.db")


async def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "register.db").mkdir()
    assert "directory" in await refusal(tmp_path / "register.db")


# --- one process ---------------------------------------------------------------------------------------


def test_a_second_process_is_told_who_holds_the_register(tmp_path: Path) -> None:
    code = (
        "import sys; from fleet.home import Home; from fleet.register.lock import take_register_lock; "
        "fd = take_register_lock(Home.resolve(sys.argv[1])); print('mine', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mine\n"
        with pytest.raises(AlreadyRunning) as caught:
            take_register_lock(Home.resolve(tmp_path))
        assert caught.value.pid == holder.pid
        assert str(holder.pid) in str(caught.value)
    finally:
        holder.kill()
        holder.communicate(timeout=30)
    fd = take_register_lock(Home.resolve(tmp_path))
    assert Home.resolve(tmp_path).register_lock.read_text() == f"{os.getpid()}\n"
    os.close(fd)
