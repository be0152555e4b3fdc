"""Agents' calls for people: E-<number>, where they stand on each network, and what became of them.

open → acknowledged → resolved; snoozed until a time; stale when it was raised to the last level in vain. When
which level is due is the caller's judgement; here a step is taken once, however often it is tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from fleet.register.clauses import one_of
from fleet.register.records import record_of
from fleet.register.schema import escalation_events, escalation_posts, escalations, outbox
from fleet.register.times import ms_or_none, to_ms

if TYPE_CHECKING:
    from fleet.register.engine import Register
    from fleet.register.tx import Tx

SAME_AGAIN_S = 30 * 60  # what comes back this soon after its end is the same one, in the same thread
ASKED_LEVEL = 100  # from here on a level means: acknowledged, and asked after since


@dataclass(frozen=True, slots=True)
class EscalationRow:
    """``opened_at`` is when it was opened, or last opened again; ``next_due`` None: never by itself."""

    number: int
    agent: str
    kind: str
    key: str
    state: str
    title: str
    body: str
    count: int
    opened_at: datetime
    acked_at: datetime | None
    acked_by: str | None
    resolved_at: datetime | None
    resolved_by: str | None
    reason: str | None
    level: int
    next_due: datetime | None


@dataclass(frozen=True, slots=True)
class EscalationEvent:
    """``what``: opened, again, reopened, acknowledged, resolved, snoozed, raised, asked, stale."""

    at: datetime
    who: str
    what: str
    note: str | None


class EscalationPost(NamedTuple):
    """Where the root stands on one network: its room there and its outbox row."""

    connector: str
    room: str
    outbox_id: str


_this = escalations.c.number == bindparam("which")
_LIVE = escalations.c.state != "resolved"
_FRESH = {  # what an opening leaves behind
    "state": "open",
    "level": 0,
    "opened_at": bindparam("time"),
    "next_due": bindparam("new_due"),
    "acked_at": None,
    "acked_by": None,
    "resolved_at": None,
    "resolved_by": None,
    "reason": None,
}
_OPEN = insert(escalations).values(
    {
        name: bindparam(name)
        for name in ("agent", "kind", "key", "state", "title", "body", "opened_at", "level", "next_due")
    }
)
_BY_KEY = (
    select(escalations)
    .where(escalations.c.key == bindparam("key"))
    .order_by(escalations.c.number.desc())
    .limit(1)
)
_COUNT = update(escalations).where(_this).values(count=escalations.c.count + 1)
_COMES_BACK = update(escalations).where(_this).values(count=escalations.c.count + 1, **_FRESH)
_REOPEN = update(escalations).where(_this, escalations.c.state == "acknowledged").values(**_FRESH)
_ACKNOWLEDGE = (
    update(escalations)
    .where(
        _this,
        one_of(escalations.c.state, ("open", "snoozed", "stale"))
        # "Still yours?" is answered by acknowledging once more.
        | ((escalations.c.state == "acknowledged") & (escalations.c.level >= ASKED_LEVEL)),
    )
    .values(
        state="acknowledged",
        level=0,
        acked_at=bindparam("time"),
        acked_by=bindparam("new_who"),
        next_due=bindparam("new_due"),
    )
)
_RESOLVE = (
    update(escalations)
    .where(_this, _LIVE)
    .values(
        state="resolved",
        resolved_at=bindparam("time"),
        resolved_by=bindparam("new_who"),
        reason=bindparam("new_reason"),
        next_due=None,
    )
)
_SNOOZE = update(escalations).where(_this, _LIVE).values(state="snoozed", next_due=bindparam("new_due"))
_step: dict[str, Any] = {"level": bindparam("new_level"), "next_due": bindparam("new_due")}
_below = escalations.c.level < bindparam("new_level")
_RAISE = (
    update(escalations)
    .where(_this, _below, one_of(escalations.c.state, ("open", "snoozed", "stale")))
    .values(state=bindparam("new_state"), **_step)
)
_ASK = update(escalations).where(_this, _below, escalations.c.state == "acknowledged").values(**_step)

_GET = select(escalations).where(_this)
_LIST_OPEN = select(escalations).where(_LIVE).order_by(escalations.c.number)
_DUE = (
    select(escalations)
    .where(
        one_of(escalations.c.state, ("open", "snoozed", "acknowledged")),
        escalations.c.next_due <= bindparam("time"),
    )
    .order_by(escalations.c.next_due, escalations.c.number)
)
_POST = insert(escalation_posts).values(
    {name: bindparam(name) for name in ("number", "connector", "room", "outbox_id")}
)
_ADD_POST = _POST.on_conflict_do_update(
    index_elements=["number", "connector"],
    set_={"room": _POST.excluded.room, "outbox_id": _POST.excluded.outbox_id},
)
_POSTS = (
    select(escalation_posts.c.connector, escalation_posts.c.room, escalation_posts.c.outbox_id)
    .where(escalation_posts.c.number == bindparam("which"))
    .order_by(escalation_posts.c.connector)
)
_BY_POST = select(escalation_posts.c.number).where(escalation_posts.c.outbox_id == bindparam("outbox_id"))
_BY_REF = (
    select(escalation_posts.c.number)
    .select_from(escalation_posts.join(outbox, outbox.c.id == escalation_posts.c.outbox_id))
    .where(outbox.c.connector == bindparam("connector"), outbox.c.ref == bindparam("ref"))
)
_EVENT = insert(escalation_events).values(
    {name: bindparam(name) for name in ("number", "at", "who", "what", "note")}
)
_EVENTS = (
    select(escalation_events)
    .where(escalation_events.c.number == bindparam("which"))
    .order_by(escalation_events.c.id)
)


def open_or_join(
    tx: Tx, *, agent: str, kind: str, key: str, title: str, body: str, next_due: datetime | None
) -> tuple[EscalationRow, bool]:
    """The escalation of ``key``, and whether a new number was given.

    One that is under way is joined and counted (a stale one opens again); one that ended at most 30 minutes
    ago comes back under its number, as if opened now.
    """
    found = tx.execute(_BY_KEY, {"key": key}).first()
    due = ms_or_none(next_due)
    number: int
    if found is not None and found["state"] not in ("resolved", "stale"):
        number = found["number"]
        tx.execute(_COUNT, {"which": number})
        _note(tx, number, agent, "again", body)
    elif found is not None and (
        found["state"] == "stale" or tx.now_ms - found["resolved_at"] <= SAME_AGAIN_S * 1000
    ):
        number = found["number"]
        tx.execute(_COMES_BACK, {"which": number, "time": tx.now_ms, "new_due": due})
        _note(tx, number, agent, "reopened", body)
    else:
        given = {"agent": agent, "kind": kind, "key": key, "state": "open", "title": title, "body": body}
        added = tx.execute(_OPEN, {**given, "opened_at": tx.now_ms, "level": 0, "next_due": due})
        if added.lastrowid is None:
            raise RuntimeError("the new escalation got no number")
        number = added.lastrowid
        _note(tx, number, agent, "opened", body)
        return in_tx(tx, number), True
    return in_tx(tx, number), False


def acknowledge(tx: Tx, number: int, who: str, next_due: datetime | None) -> bool:
    """Somebody takes it; ``next_due`` is when to ask after. False when it is taken or resolved already."""
    return _step_of(tx, number, who, "acknowledged", _ACKNOWLEDGE, new_who=who, new_due=ms_or_none(next_due))


def resolve(tx: Tx, number: int, who: str, reason: str | None) -> bool:
    """It is over. False when it was resolved already."""
    given = {"new_who": who, "new_reason": reason, "time": tx.now_ms}
    if tx.execute(_RESOLVE, {"which": number, **given}).rowcount != 1:
        return False
    _note(tx, number, who, "resolved", reason)
    return True


def snooze(tx: Tx, number: int, who: str, until: datetime) -> bool:
    """Quiet until then. False when it is resolved."""
    if tx.execute(_SNOOZE, {"which": number, "new_due": to_ms(until)}).rowcount != 1:
        return False
    _note(tx, number, who, "snoozed", f"until {until:%Y-%m-%d %H:%M %Z}")
    return True


def raise_again(tx: Tx, number: int, level: int, next_due: datetime | None) -> bool:
    """Take it to ``level``, once: False when it is there already, or is no longer what the level is for.

    Below ASKED_LEVEL it is for one that nobody took (without ``next_due`` it was the last time: stale); from
    ASKED_LEVEL on for one that was acknowledged.
    """
    due = ms_or_none(next_due)
    given = {"which": number, "new_level": level, "new_due": due}
    if level >= ASKED_LEVEL:
        what, changed = "asked", tx.execute(_ASK, given).rowcount == 1
    else:
        state = "open" if due is not None else "stale"
        what = "raised" if due is not None else "stale"
        changed = tx.execute(_RAISE, {**given, "new_state": state}).rowcount == 1
    if changed:
        _note(tx, number, "bot", what, f"level {level}")
    return changed


def reopen(tx: Tx, number: int, next_due: datetime | None) -> bool:
    """Open again what was acknowledged and then left. False when it is not acknowledged (any more)."""
    return _step_of(tx, number, "bot", "reopened", _REOPEN, new_due=ms_or_none(next_due))


def _step_of(tx: Tx, number: int, who: str, what: str, statement: object, **given: object) -> bool:
    values = {"which": number, "time": tx.now_ms, **given}
    if tx.execute(statement, values).rowcount != 1:  # type: ignore[arg-type]
        return False
    _note(tx, number, who, what, None)
    return True


def _note(tx: Tx, number: int, who: str, what: str, note: str | None) -> None:
    tx.execute(_EVENT, {"number": number, "at": tx.now_ms, "who": who, "what": what, "note": note})


def in_tx(tx: Tx, number: int) -> EscalationRow:
    """E-<number> as it is inside the transaction. Raises LookupError when there is none."""
    return record_of(EscalationRow, tx.execute(_GET, {"which": number}).one())


def open_by_key(tx: Tx, key: str) -> int | None:
    """The number of the one with ``key`` that is not resolved."""
    row = tx.execute(_BY_KEY, {"key": key}).first()
    return int(row["number"]) if row is not None and row["state"] != "resolved" else None


def add_post(tx: Tx, number: int, connector: str, room: str, outbox_id: str) -> None:
    """Its root on a network (the last one said counts)."""
    tx.execute(_ADD_POST, {"number": number, "connector": connector, "room": room, "outbox_id": outbox_id})


def posts_of(tx: Tx, number: int) -> list[EscalationPost]:
    """:func:`posts` inside a transaction."""
    return [EscalationPost(**row) for row in tx.execute(_POSTS, {"which": number}).rows]


def number_by_ref(tx: Tx, connector: str, ref: str) -> int | None:
    """The number whose root the network knows as ``ref``."""
    row = tx.execute(_BY_REF, {"connector": connector, "ref": ref}).first()
    return None if row is None else int(row["number"])


async def get(reg: Register, number: int) -> EscalationRow | None:
    """E-<number>."""
    rows = await reg.read(_GET, {"which": number})
    return record_of(EscalationRow, rows[0]) if rows else None


async def list_open(reg: Register) -> list[EscalationRow]:
    """All that are not resolved, by number."""
    return [record_of(EscalationRow, row) for row in await reg.read(_LIST_OPEN)]


async def due(reg: Register, now: datetime) -> list[EscalationRow]:
    """Those whose ``next_due`` has come, longest overdue first."""
    return [record_of(EscalationRow, row) for row in await reg.read(_DUE, {"time": to_ms(now)})]


async def posts(reg: Register, number: int) -> list[EscalationPost]:
    """Where it stands, one per network."""
    return [EscalationPost(**row) for row in await reg.read(_POSTS, {"which": number})]


async def by_post(reg: Register, outbox_id: str) -> int | None:
    """The number whose root is this outbox row."""
    rows = await reg.read(_BY_POST, {"outbox_id": outbox_id})
    return int(rows[0]["number"]) if rows else None


async def events(reg: Register, number: int) -> list[EscalationEvent]:
    """What became of it, in order."""
    return [record_of(EscalationEvent, row) for row in await reg.read(_EVENTS, {"which": number})]
