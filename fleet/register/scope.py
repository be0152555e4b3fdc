"""The one place where rows are bound to a tenant: every statement passes here before it is compiled.

The outermost statement gets its tenant clause (or, for an insert, its owner columns) from here. A select
inside it must carry :func:`mine` itself; one that does not is refused, so that it cannot be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Delete, FromClause, Insert, Join, Select, Update, bindparam
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BinaryExpression, BindParameter
from sqlalchemy.sql.expression import Executable

TENANT = "tenant_id"
HOST = "host"


class Unscoped(TypeError):
    """A statement would have seen rows of other tenants: a mistake in the program, not of its user."""


def mine(table: FromClause) -> ColumnElement[bool]:
    """The clause that keeps ``table`` (or an alias of it) to the tenant of the caller."""
    clause: ColumnElement[bool] = table.c[TENANT] == bindparam(TENANT)
    return clause


@lru_cache(maxsize=1024)
def scoped(statement: Executable) -> Executable:
    """``statement`` bound to a tenant. Raises :class:`Unscoped` for an inner select without :func:`mine`."""
    result: Executable
    if isinstance(statement, Insert):
        if statement.table.c.keys().count(TENANT) == 0:
            raise Unscoped(f"{statement.table} has no {TENANT}")
        result = statement.values({TENANT: bindparam(TENANT), HOST: bindparam(HOST)})
        outer: set[FromClause] = {statement.table}
    elif isinstance(statement, Update | Delete):
        result = statement.where(mine(statement.table))
        outer = {statement.table}
    elif isinstance(statement, Select):
        outer = set(_tables(statement))
        result = statement.where(*(mine(table) for table in _tables(statement)))
    else:
        raise Unscoped(f"a {type(statement).__name__} cannot be bound to a tenant")
    _check_inner(statement, outer)
    return result


def _tables(select: Select[Any]) -> Iterator[FromClause]:
    waiting = list(select.get_final_froms())
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, Join):
            waiting[:0] = [found.left, found.right]
        elif TENANT in found.c:
            yield found
        else:
            raise Unscoped(f"{found} has no {TENANT}")


def _check_inner(statement: Insert | Update | Delete | Select[Any], outer: set[FromClause]) -> None:
    for element in visitors.iterate(statement):
        if not isinstance(element, Select) or element is statement:
            continue
        bound = {id(table) for table in _bound_tables(element)}
        for table in _tables(element):
            # A table of the outer statement shows up here when the inner one is correlated to it.
            if table not in outer and id(table) not in bound:
                raise Unscoped(f"an inner select reads {table} of every tenant")


def _bound_tables(select: Select[Any]) -> Iterator[FromClause]:
    if select.whereclause is None:
        return
    for element in visitors.iterate(select.whereclause):
        if (
            isinstance(element, BinaryExpression)
            and isinstance(element.right, BindParameter)
            and element.right.key == TENANT
            and getattr(element.left, "name", None) == TENANT
        ):
            yield element.left.table
