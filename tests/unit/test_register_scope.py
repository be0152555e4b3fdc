"""Statements are bound to a tenant, and everything that the register says is bound."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from register_support import opened
from sqlalchemy import bindparam, delete, exists, literal, select, text, union_all, update
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.sql.expression import Executable

from fleet.register.schema import inbox, metadata, outbox
from fleet.register.scope import Unscoped, mine, scoped
from fleet.register.times import from_ms, to_ms
from fleet.register.tx import compiled

MODULES = (
    "audit",
    "confirmations",
    "conversations",
    "escalations",
    "inbox",
    "messages",
    "outbox",
    "schedules",
)


def statements() -> list[tuple[str, Executable]]:
    found = []
    for name in MODULES:
        module = importlib.import_module(f"fleet.register.{name}")
        found += [
            (f"{name}.{key}", value) for key, value in vars(module).items() if isinstance(value, Executable)
        ]
    return found


def test_every_table_has_an_owner() -> None:
    for table in metadata.tables.values():
        assert not table.c.tenant_id.nullable, table.name
        assert not table.c.host.nullable, table.name


def test_every_statement_of_the_query_modules_compiles_within_a_tenant() -> None:
    names = [name for name, _ in statements() if name.split(".")[1].isupper()]
    assert len(names) > 50
    for name, statement in statements():
        if name.split(".")[1].isupper():
            assert ":tenant_id" in compiled(statement).string, name


@pytest.mark.parametrize(
    "statement",
    [
        select(inbox.c.id),
        select(inbox.c.id).select_from(inbox.join(outbox, inbox.c.id == outbox.c.seq)),
        update(inbox).values(state="done"),
        delete(inbox),
    ],
)
def test_the_outer_statement_is_bound_for_each_of_its_tables(statement: Executable) -> None:
    sql = str(scoped(statement))
    for table in ("inbox", "outbox"):
        assert (f"{table}.tenant_id = :tenant_id" in sql) == (table in str(statement))


def test_an_inner_select_that_forgot_its_tenant_is_refused() -> None:
    other = outbox.alias("other")
    inner = select(other.c.seq).where(other.c.state == "pending")
    with pytest.raises(Unscoped, match="every tenant"):
        scoped(select(outbox).where(outbox.c.seq.in_(inner)))
    with pytest.raises(Unscoped, match="every tenant"):
        scoped(update(outbox).where(exists().where(other.c.seq > outbox.c.seq)).values(error="x"))
    assert scoped(select(outbox).where(outbox.c.seq.in_(inner.where(mine(other))))) is not None


@pytest.mark.parametrize("statement", [text("select 1"), union_all(select(inbox.c.id), select(inbox.c.id))])
def test_what_cannot_be_bound_is_refused(statement: Executable) -> None:
    with pytest.raises(Unscoped):
        scoped(statement)


def test_a_statement_whose_sql_depends_on_values_is_refused() -> None:
    with pytest.raises(TypeError, match="one_of"):
        compiled(select(inbox).where(inbox.c.state.in_(["done", "dead"])))


async def test_a_missing_value_is_an_error_not_a_null(tmp_path: Path) -> None:
    wanted = select(inbox).where(inbox.c.note == bindparam("note"))
    async with opened(tmp_path) as reg:
        with pytest.raises(InvalidRequestError):
            await reg.read(wanted)
        with pytest.raises(InvalidRequestError):
            await reg.write(lambda tx: tx.execute(wanted))
        assert await reg.read(select(literal(1).label("one"), inbox.c.id)) == []


def test_times_are_exact_to_the_millisecond_and_need_a_zone() -> None:
    cet = timezone(timedelta(hours=1))
    assert to_ms(datetime(1970, 1, 1, 1, 0, 0, 1999, cet)) == 1
    assert from_ms(1_772_366_400_123) == datetime(2026, 3, 1, 12, 0, 0, 123000, UTC)
    assert to_ms(from_ms(-1)) == -1
    with pytest.raises(ValueError, match="zone"):
        to_ms(datetime(2026, 3, 1))  # noqa: DTZ001 - that is the point
