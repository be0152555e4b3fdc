"""What is due and what ran. (schedule, due time) is unique, so that a report appears once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from fleet.register.records import record_of
from fleet.register.schema import schedule_runs, schedules
from fleet.register.times import from_ms, ms_or_none, to_ms

if TYPE_CHECKING:
    from fleet.register.engine import Register
    from fleet.register.tx import Tx


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """``definition`` as it was given; ``source``: config | chat; ``next_due`` None: not computed yet."""

    id: str
    definition: Mapping[str, Any]
    source: str
    paused: bool
    next_due: datetime | None


@dataclass(frozen=True, slots=True)
class ScheduleRun:
    """``state``: started → posted | failed."""

    schedule_id: str
    due_at: datetime
    state: str
    started_at: datetime
    attempts: int
    note: str | None


_this = schedules.c.id == bindparam("which")
_ALL = select(schedules).order_by(schedules.c.id)
_OF_CONFIG = select(schedules).where(schedules.c.source == "config")
_DUE = (
    select(schedules)
    .where(schedules.c.paused == 0, schedules.c.next_due <= bindparam("time"))
    .order_by(schedules.c.next_due, schedules.c.id)
)
_ADD = insert(schedules).values({name: bindparam(name) for name in ("id", "definition", "source")})
_PUT = _ADD.on_conflict_do_update(
    index_elements=["tenant_id", "id"],
    set_={"definition": _ADD.excluded.definition, "source": _ADD.excluded.source, "next_due": None},
)
_REMOVE = delete(schedules).where(_this)
_SET_NEXT = update(schedules).where(_this).values(next_due=bindparam("new_due"))
_SET_PAUSED = update(schedules).where(_this).values(paused=bindparam("new_paused"))

_run = (schedule_runs.c.schedule_id == bindparam("which"), schedule_runs.c.due_at == bindparam("due"))
_BEGIN = (
    insert(schedule_runs)
    .values({name: bindparam(name) for name in ("schedule_id", "due_at", "state", "started_at")})
    .on_conflict_do_nothing()
)
_BEGIN_AGAIN = (
    update(schedule_runs)
    .where(*_run, schedule_runs.c.state == "failed")
    .values(state="started", started_at=bindparam("time"), attempts=schedule_runs.c.attempts + 1)
)
_FINISH = update(schedule_runs).where(*_run).values(state=bindparam("new_state"), note=bindparam("new_note"))
_UNFINISHED = (
    select(schedule_runs)
    .where(schedule_runs.c.state == "started")
    .order_by(schedule_runs.c.due_at, schedule_runs.c.schedule_id)
)
_LAST_RUNS = (
    select(schedule_runs)
    .where(schedule_runs.c.schedule_id == bindparam("which"))
    .order_by(schedule_runs.c.due_at.desc())
    .limit(bindparam("most"))
)


def sync_config(tx: Tx, definitions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Make the schedules of source ``config`` those given (each a JSON mapping with its ``id``).

    The ids that are new or changed: their ``next_due`` is unset until :func:`set_next`. What did not change
    keeps when it is due, and a pause survives both. Schedules added from chat are left alone unless the
    config now names them.
    """
    known = {row["id"]: row for row in tx.execute(_OF_CONFIG).rows}
    changed = []
    for definition in definitions:
        name = str(definition["id"])
        written = json.dumps(dict(definition), sort_keys=True, ensure_ascii=False)
        before = known.pop(name, None)
        if before is None or before["definition"] != written:
            tx.execute(_PUT, {"id": name, "definition": written, "source": "config"})
            changed.append(name)
    for gone in known:
        tx.execute(_REMOVE, {"which": gone})
    return changed


async def all(reg: Register) -> list[ScheduleRow]:
    """Every schedule, by id."""
    return [_schedule(row) for row in await reg.read(_ALL)]


async def due(reg: Register, now: datetime) -> list[ScheduleRow]:
    """Those that are due and not paused, longest overdue first."""
    return [_schedule(row) for row in await reg.read(_DUE, {"time": to_ms(now)})]


def begin_run(tx: Tx, schedule_id: str, due_at: datetime) -> bool:
    """Begin the run of one due time: True once, and once more after each failure of it."""
    given = {"schedule_id": schedule_id, "due_at": to_ms(due_at), "state": "started", "started_at": tx.now_ms}
    if tx.execute(_BEGIN, given).rowcount == 1:
        return True
    again = {"which": schedule_id, "due": to_ms(due_at), "time": tx.now_ms}
    return tx.execute(_BEGIN_AGAIN, again).rowcount == 1


def finish_run(tx: Tx, schedule_id: str, due_at: datetime, state: str, note: str | None = None) -> None:
    """It was ``posted`` or it ``failed``. Raises ValueError for another state."""
    if state not in ("posted", "failed"):
        raise ValueError(f"no end of a run: {state!r}")
    tx.execute(_FINISH, {"which": schedule_id, "due": to_ms(due_at), "new_state": state, "new_note": note})


def set_next(tx: Tx, schedule_id: str, next_due: datetime | None) -> None:
    """When it is due next; None: never by itself."""
    tx.execute(_SET_NEXT, {"which": schedule_id, "new_due": ms_or_none(next_due)})


def set_paused(tx: Tx, schedule_id: str, paused: bool) -> bool:
    """Pause or go on; False when there is no such schedule."""
    return tx.execute(_SET_PAUSED, {"which": schedule_id, "new_paused": int(paused)}).rowcount == 1


async def unfinished(reg: Register) -> list[ScheduleRun]:
    """Runs that were begun and neither posted nor failed: cut off by a crash, or under way now."""
    return [record_of(ScheduleRun, row) for row in await reg.read(_UNFINISHED)]


async def last_runs(reg: Register, schedule_id: str, limit: int = 10) -> list[ScheduleRun]:
    """The latest runs of one schedule, newest first."""
    rows = await reg.read(_LAST_RUNS, {"which": schedule_id, "most": limit})
    return [record_of(ScheduleRun, row) for row in rows]


def _schedule(row: Mapping[str, Any]) -> ScheduleRow:
    next_due = row["next_due"]
    return ScheduleRow(
        id=row["id"],
        definition=json.loads(row["definition"]),
        source=row["source"],
        paused=bool(row["paused"]),
        next_due=None if next_due is None else from_ms(next_due),
    )
