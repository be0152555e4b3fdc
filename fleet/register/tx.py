"""A write transaction as its caller sees it: Core statements in, rows out, always within one tenant."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import Compiled
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement, Executable

from fleet.register.scope import HOST, TENANT, scoped

Params = Mapping[str, Any]


@lru_cache(maxsize=1)
def _dialect() -> Any:
    return sqlite.dialect(paramstyle="named")  # type: ignore[no-untyped-call, unused-ignore]


@lru_cache(maxsize=1024)
def compiled(statement: Executable) -> SQLCompiler:
    """The SQL of a statement, made once: keep statements as constants and give values by name."""
    bound = scoped(statement)
    if not isinstance(bound, ClauseElement):
        raise TypeError(f"not a statement: {statement!r}")
    made: Compiled = bound.compile(dialect=_dialect())
    if not isinstance(made, SQLCompiler):
        raise TypeError(f"not a query: {statement!r}")
    if made.post_compile_params or made.literal_execute_params:
        raise TypeError("its SQL depends on its values (in_ with a list?): use one_of from clauses.py")
    return made


def sql_of(
    statement: Executable, params: Params | None, tenant_id: str, host: str
) -> tuple[str, dict[str, Any]]:
    """SQL and values of a statement for one tenant. A missing value raises InvalidRequestError."""
    made = compiled(statement)
    given = {**(params or {}), TENANT: tenant_id, HOST: host}
    return made.string, dict(made.construct_params(given))


@dataclass(frozen=True, slots=True)
class Result:
    """What one statement did. ``rowcount`` is -1 for a select; ``lastrowid`` is of use after an insert."""

    rowcount: int
    lastrowid: int | None
    rows: list[dict[str, Any]]

    def all(self) -> list[dict[str, Any]]:
        return self.rows

    def first(self) -> dict[str, Any] | None:
        return self.rows[0] if self.rows else None

    def one(self) -> dict[str, Any]:
        """The only row. Raises LookupError when there is none or more than one."""
        if len(self.rows) != 1:
            raise LookupError(f"one row expected, {len(self.rows)} found")
        return self.rows[0]


@dataclass(frozen=True, slots=True)
class Tx:
    """One caller's part of a batch. Use it inside the function given to ``Register.write`` only.

    ``now_ms`` is the time of the call in epoch milliseconds; the same for all its statements.
    """

    connection: sqlite3.Connection
    tenant_id: str
    host: str
    now_ms: int

    def execute(self, statement: Executable, params: Params | None = None) -> Result:
        """Run a Core statement with values by name. Raises sqlite3.Error (a broken constraint, mostly)."""
        sql, values = sql_of(statement, params, self.tenant_id, self.host)
        cursor = self.connection.execute(sql, values)
        rows: list[dict[str, Any]] = []
        if cursor.description is not None:
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        return Result(cursor.rowcount, cursor.lastrowid, rows)
