"""The register's file: migrations and backups, what can be wrong with it, and the one process that has it."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet.home import Home
from fleet.register import inbox
from fleet.register import migrate as migrate_module
from fleet.register.engine import Register, RegisterError, Tx
from fleet.register.lock import AlreadyRunning, take_register_lock
from fleet.register.migrate import HEAD, KNOWN, MIGRATIONS, prepare, upgrade
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
