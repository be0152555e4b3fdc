"""Everything that came in: recorded before anything acts on it, handled once, kept with what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from fleet.register.records import record_of
from fleet.register.schema import cursors, inbox
from fleet.register.times import to_ms

if TYPE_CHECKING:
    from fleet.register.engine import Register
    from fleet.register.tx import Tx


@dataclass(frozen=True, slots=True)
class InboxRow:
    """``state``: received → done | dead. ``body`` is JSON. ``started_at`` is when an acting command began."""

    id: int
    source: str
    external_id: str
    kind: str
    room: str | None
    sender: str | None
    body: str
    event_ts: datetime
    received_at: datetime
    state: str
    started_at: datetime | None
    handled_at: datetime | None
    note: str | None


_RECORD = (
    insert(inbox)
    .values(
        {
            name: bindparam(name)
            for name in ("source", "external_id", "kind", "room", "sender", "body", "event_ts", "received_at")
        }
    )
    .on_conflict_do_nothing(index_elements=["tenant_id", "source", "external_id"])
    .returning(inbox.c.id)
)
_PENDING = select(inbox).where(inbox.c.state == "received").order_by(inbox.c.id).limit(bindparam("most"))
_FIND = select(inbox).where(
    inbox.c.source == bindparam("source"), inbox.c.external_id == bindparam("external_id")
)
_START = (
    update(inbox)
    .where(inbox.c.id == bindparam("row_id"), inbox.c.started_at.is_(None))
    .values(started_at=bindparam("time"))
)
_END = (
    update(inbox)
    .where(inbox.c.id == bindparam("row_id"))
    .values(state=bindparam("new_state"), handled_at=bindparam("time"), note=bindparam("new_note"))
)
_REVISE = (
    update(inbox)
    .where(inbox.c.id == bindparam("row_id"), inbox.c.state == "received")
    .values(body=bindparam("new_body"))
)
_CURSOR = insert(cursors).values({name: bindparam(name) for name in ("source", "key", "value", "updated_at")})
_SET_CURSOR = _CURSOR.on_conflict_do_update(
    index_elements=["tenant_id", "source", "key"],
    set_={"value": _CURSOR.excluded.value, "updated_at": _CURSOR.excluded.updated_at},
)
_GET_CURSOR = select(cursors.c.value).where(
    cursors.c.source == bindparam("source"), cursors.c.key == bindparam("key")
)


def record(
    tx: Tx,
    *,
    source: str,
    external_id: str,
    kind: str,
    room: str | None,
    sender: str | None,
    body: str,
    event_ts: datetime,
) -> int | None:
    """Journal one event: its row's id, or None when (source, external_id) is known already."""
    row = tx.execute(
        _RECORD,
        {
            "source": source,
            "external_id": external_id,
            "kind": kind,
            "room": room,
            "sender": sender,
            "body": body,
            "event_ts": to_ms(event_ts),
            "received_at": tx.now_ms,
        },
    ).first()
    return None if row is None else int(row["id"])


async def pending(reg: Register, limit: int = 100) -> list[InboxRow]:
    """What nobody has finished, oldest first."""
    return [record_of(InboxRow, row) for row in await reg.read(_PENDING, {"most": limit})]


async def find(reg: Register, source: str, external_id: str) -> InboxRow | None:
    """The row of the network's event, in whatever state."""
    rows = await reg.read(_FIND, {"source": source, "external_id": external_id})
    return record_of(InboxRow, rows[0]) if rows else None


def start(tx: Tx, row_id: int) -> bool:
    """Mark that its command begins: True the first time, False when it had begun before (at most once)."""
    return tx.execute(_START, {"row_id": row_id, "time": tx.now_ms}).rowcount == 1


def done(tx: Tx, row_id: int, note: str | None = None) -> None:
    """It is handled. Belongs into the transaction of its effects."""
    _end(tx, row_id, "done", note)


def dead(tx: Tx, row_id: int, note: str) -> None:
    """It cannot be handled; ``note`` says why."""
    _end(tx, row_id, "dead", note)


def _end(tx: Tx, row_id: int, state: str, note: str | None) -> None:
    tx.execute(_END, {"row_id": row_id, "new_state": state, "time": tx.now_ms, "new_note": note})


def revise(tx: Tx, row_id: int, body: str) -> bool:
    """Replace the body of a row that nobody has finished; False when it was too late."""
    return tx.execute(_REVISE, {"row_id": row_id, "new_body": body}).rowcount == 1


def set_cursor(tx: Tx, source: str, key: str, value: str) -> None:
    """Remember how far ``source`` was read. Belongs into the transaction that recorded what was read."""
    tx.execute(_SET_CURSOR, {"source": source, "key": key, "value": value, "updated_at": tx.now_ms})


async def get_cursor(reg: Register, source: str, key: str) -> str | None:
    """What :func:`set_cursor` stored last; None before."""
    rows = await reg.read(_GET_CURSOR, {"source": source, "key": key})
    return str(rows[0]["value"]) if rows else None
