"""From a row of the database to a frozen dataclass: fields by name, times back to datetimes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from fleet.register.times import from_ms

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    R = TypeVar("R", bound=DataclassInstance)

_TIMES = frozenset({"at", "event_ts", "next_due"})


def record_of(kind: type[R], row: Mapping[str, Any]) -> R:
    """``kind`` filled from ``row``; columns named ``at``, ``…_at``, ``event_ts``, ``next_due`` are times."""
    values: dict[str, Any] = {}
    for field in fields(kind):
        value = row[field.name]
        if value is not None and (field.name in _TIMES or field.name.endswith("_at")):
            value = from_ms(value)
        values[field.name] = value
    return kind(**values)
