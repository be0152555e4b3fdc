"""Everything that goes out. A line is one (connector, room, lane): only its oldest pending row may go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, case, exists, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from fleet.register.clauses import one_of
from fleet.register.records import record_of
from fleet.register.schema import outbox
from fleet.register.scope import mine
from fleet.register.times import to_ms

if TYPE_CHECKING:
    from fleet.register.engine import Register
    from fleet.register.tx import Tx

LANES = ("answer", "normal", "bulk")


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """``state``: pending → sent | dead. ``ref`` is the network's id once sent; ``content`` is JSON."""

    seq: int
    id: str
    dedup: str | None
    connector: str
    lane: str
    kind: str
    room: str
    thread_ref: str | None
    thread_of: str | None
    target_ref: str | None
    refers_to: str | None
    content: str
    state: str
    attempts: int
    due_at: datetime
    ref: str | None
    created_at: datetime
    sent_at: datetime | None
    error: str | None


_head = outbox.alias("head")
_root = outbox.alias("root")
_served = outbox.alias("served")
_ahead = outbox.alias("ahead")

_GIVEN = (
    "id",
    "dedup",
    "connector",
    "lane",
    "kind",
    "room",
    "thread_ref",
    "thread_of",
    "target_ref",
    "refers_to",
)
_PUT = (
    insert(outbox)
    .values({name: bindparam(name) for name in (*_GIVEN, "content", "due_at", "created_at")})
    .on_conflict_do_nothing(index_elements=["tenant_id", "dedup"])
)
_BY_DEDUP = select(outbox.c.id).where(outbox.c.dedup == bindparam("dedup"))

_heads = (
    select(func.min(_head.c.seq))
    .where(mine(_head), _head.c.connector == bindparam("connector"), _head.c.state == "pending")
    .group_by(_head.c.room, _head.c.lane)
)
# What a row points at must be on the network first. (A dead one does not hold it: the sender says so.)
_waits = exists().where(
    mine(_root),
    _root.c.state == "pending",
    or_(_root.c.id == outbox.c.refers_to, _root.c.id == outbox.c.thread_of),
)
_last_turn = (
    select(func.max(_served.c.sent_at))
    .where(
        mine(_served),
        _served.c.connector == outbox.c.connector,
        _served.c.room == outbox.c.room,
        _served.c.lane == outbox.c.lane,
    )
    .scalar_subquery()
)
_READY = (
    select(outbox)
    .where(outbox.c.seq.in_(_heads), outbox.c.due_at <= bindparam("time"), ~_waits)
    .order_by(
        case({lane: rank for rank, lane in enumerate(LANES)}, value=outbox.c.lane, else_=len(LANES)),
        func.coalesce(_last_turn, 0),  # the room that has waited longest for a turn comes first
        outbox.c.seq,
    )
    .limit(bindparam("most"))
)
_GET = select(outbox).where(outbox.c.id == bindparam("row_id"))
_BY_REF = select(outbox).where(
    outbox.c.connector == bindparam("connector"),
    outbox.c.ref == bindparam("ref"),
    one_of(outbox.c.kind, ("send", "upload")),
)
_pending = and_(outbox.c.id == bindparam("row_id"), outbox.c.state == "pending")
_SENT = (
    update(outbox)
    .where(_pending)
    .values(
        state="sent",
        ref=bindparam("new_ref"),
        sent_at=bindparam("time"),
        attempts=outbox.c.attempts + 1,
        error=None,
    )
)
_RETRY = (
    update(outbox)
    .where(_pending)
    .values(due_at=bindparam("new_due"), error=bindparam("new_error"), attempts=outbox.c.attempts + 1)
)
_DEAD = (
    update(outbox)
    .where(_pending)
    .values(state="dead", error=bindparam("new_error"), attempts=outbox.c.attempts + 1)
)
_REPLACE = (
    update(outbox)
    .where(
        _pending,
        or_(
            outbox.c.due_at > bindparam("time"),
            exists().where(
                mine(_ahead),
                _ahead.c.connector == outbox.c.connector,
                _ahead.c.state == "pending",
                _ahead.c.room == outbox.c.room,
                _ahead.c.lane == outbox.c.lane,
                _ahead.c.seq < outbox.c.seq,
            ),
        ),
    )
    .values(content=bindparam("new_content"))
)
_BACKLOG = (
    select(outbox.c.connector, func.count().label("rows"))
    .where(outbox.c.state == "pending")
    .group_by(outbox.c.connector)
)


def put(
    tx: Tx,
    *,
    id: str,
    connector: str,
    room: str,
    kind: str,
    content: str,
    lane: str = "normal",
    thread_ref: str | None = None,
    thread_of: str | None = None,
    target_ref: str | None = None,
    refers_to: str | None = None,
    dedup: str | None = None,
    due: datetime | None = None,
) -> str:
    """Queue one effect: ``id``, or the id of the row that has this ``dedup`` already (then nothing changes).

    ``due`` is the earliest time to send, now when None. Raises ValueError for an unknown lane.
    """
    if lane not in LANES:
        raise ValueError(f"no lane {lane!r}; there are {', '.join(LANES)}")
    given = {
        "id": id,
        "dedup": dedup,
        "connector": connector,
        "lane": lane,
        "kind": kind,
        "room": room,
        "thread_ref": thread_ref,
        "thread_of": thread_of,
        "target_ref": target_ref,
        "refers_to": refers_to,
        "content": content,
        "due_at": tx.now_ms if due is None else to_ms(due),
        "created_at": tx.now_ms,
    }
    if tx.execute(_PUT, given).rowcount == 1:
        return id
    return str(tx.execute(_BY_DEDUP, {"dedup": dedup}).one()["id"])


async def ready(reg: Register, connector: str, now: datetime, limit: int) -> list[OutboxRow]:
    """The heads of lines that may be sent now: answers first, then by whose room waited longest for a turn.

    A head that is not due, or points at a row that is not sent, holds its line and no other.
    """
    rows = await reg.read(_READY, {"connector": connector, "time": to_ms(now), "most": limit})
    return [record_of(OutboxRow, row) for row in rows]


def sent(tx: Tx, row_id: str, ref: str) -> None:
    """It is on the network under ``ref``."""
    tx.execute(_SENT, {"row_id": row_id, "new_ref": ref, "time": tx.now_ms})


def retry(tx: Tx, row_id: str, due: datetime, error: str) -> None:
    """It could not be sent now; not again before ``due``."""
    tx.execute(_RETRY, {"row_id": row_id, "new_due": to_ms(due), "new_error": error})


def dead(tx: Tx, row_id: str, error: str) -> None:
    """The network refuses it for good; the rows behind it go on."""
    tx.execute(_DEAD, {"row_id": row_id, "new_error": error})


def replace_pending(tx: Tx, row_id: str, content: str) -> bool:
    """Change what an unsent row will say; False when it is sent, dead, or may be under way right now.

    (A due head of its line may be in the sender's hands: what is changed then would never be seen.)
    """
    given = {"row_id": row_id, "new_content": content, "time": tx.now_ms}
    return tx.execute(_REPLACE, given).rowcount == 1


async def get(reg: Register, row_id: str) -> OutboxRow | None:
    """The row of this id."""
    rows = await reg.read(_GET, {"row_id": row_id})
    return record_of(OutboxRow, rows[0]) if rows else None


async def by_ref(reg: Register, connector: str, ref: str) -> OutboxRow | None:
    """The message that the network knows as ``ref``, if it is ours."""
    rows = await reg.read(_BY_REF, {"connector": connector, "ref": ref})
    return record_of(OutboxRow, rows[0]) if rows else None


async def backlog(reg: Register) -> dict[str, int]:
    """Unsent rows by connector; a connector without any is absent."""
    return {str(row["connector"]): int(row["rows"]) for row in await reg.read(_BACKLOG)}
