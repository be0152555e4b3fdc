"""Clauses that the query modules share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, or_


def one_of(column: ColumnElement[Any], values: Iterable[str]) -> ColumnElement[bool]:
    """``column`` is one of fixed values. (The SQL of ``in_`` is only made when it runs, and ours is kept.)"""
    return or_(*(column == value for value in values))
