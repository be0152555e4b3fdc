"""Bring a register file to this version's schema, after a backup. Alembic is loaded only when there is work.

(It costs 0.3 s and memory that a running bot would keep; the stored revision is one plain select.)
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from fleet.files import sync_folder
from fleet.register.errors import RegisterError

HEAD = "0001"  # the newest revision in migrations/versions; a test holds them together
KNOWN = ("0001",)  # every revision that this version can start from, oldest first
MIGRATIONS = Path(__file__).with_name("migrations")
WAIT_S = 5.0  # for another process that has the file locked


def prepare(path: Path, now: datetime) -> Path | None:
    """Make or upgrade the file; the backup that was written first, None when none was needed. Blocks.

    Raises RegisterError when the file is damaged, locked, from a newer version, or cannot be written.
    """
    try:
        _make_file(path)
        found, empty = _revision(path)
        if found == HEAD:
            return None
        if found is not None and found not in KNOWN:
            raise RegisterError(
                f"The register {path} has schema {found}, which this version (schema {HEAD}) does not know: "
                "a newer Mosaic Fleet wrote it. Install that version again, or put back a backup from "
                f"{path.parent / 'backups'}."
            )
        if found is None and not empty:
            raise RegisterError(
                f"{path} is a database, but not a register of Mosaic Fleet. Nothing in it was changed. "
                "Move it away, or set MOSAIC_HOME to the right folder."
            )
        saved = None if empty else backup(path, path.parent / "backups", now)
        upgrade(path)
    except sqlite3.OperationalError as problem:
        raise RegisterError(_operational(path, problem)) from problem
    except sqlite3.DatabaseError as problem:
        raise RegisterError(
            f"The register {path} is damaged ({problem}). Move it away and put back the newest backup from "
            f"{path.parent / 'backups'}; without one, a new empty register is made at the next start."
        ) from problem
    except OSError as problem:
        raise RegisterError(
            f"The register {path} cannot be made or read: {problem.strerror or problem}."
        ) from problem
    return saved


def backup(path: Path, folder: Path, now: datetime) -> Path:
    """A consistent copy of the register as ``folder/register-<time>.db`` (0600, on the disk). Blocks.

    Raises sqlite3.Error or OSError; a half-made copy is removed then.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = folder / f"register-{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z.db"
    part = target.with_suffix(".part")
    try:
        _make_file(part)
        with closing(sqlite3.connect(path, timeout=WAIT_S)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
        fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        part.replace(target)
    except (OSError, sqlite3.Error):
        part.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return target


def upgrade(path: Path, revision: str = "head") -> None:
    """Run the migrations up to ``revision`` in one transaction each. Blocks; raises sqlite3.Error."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import URL, create_engine, event
    from sqlalchemy.engine import Connection
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    engine = create_engine(
        URL.create("sqlite", database=str(path)), poolclass=NullPool, connect_args={"timeout": WAIT_S}
    )

    # The sqlite3 module begins no transaction before DDL by itself; a failed migration must leave nothing.
    @event.listens_for(engine, "connect")
    def no_own_begin(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except DBAPIError as problem:
        if isinstance(problem.orig, sqlite3.Error):
            raise problem.orig from problem
        raise
    finally:
        engine.dispose()


def _make_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _revision(path: Path) -> tuple[str | None, bool]:
    """The stored revision (None: none) and whether the file holds no tables at all."""
    with closing(sqlite3.connect(path, timeout=WAIT_S)) as connection:
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        if "alembic_version" not in tables:
            return None, not tables
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return (str(row[0]) if row else None), tables == {"alembic_version"}


def _operational(path: Path, problem: sqlite3.OperationalError) -> str:
    if "locked" in str(problem) or "busy" in str(problem):
        return (
            f"The register {path} is locked by another program (waited {WAIT_S:g} s). "
            f"Find it with `fuser {path}`, end it, and start again."
        )
    return f"The register {path} cannot be opened: {problem}. Look at the rights of the file and at the disk."
