"""Dangerous commands that wait for `yes CODE`, bound to a person, the arguments and what they touch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from fleet.register.schema import confirmations
from fleet.register.times import from_ms, to_ms

if TYPE_CHECKING:
    from fleet.register.engine import Register
    from fleet.register.tx import Tx

ENDS = ("confirmed", "refused", "expired", "overtaken")


@dataclass(frozen=True, slots=True)
class ConfirmationRow:
    """``state``: open | confirmed | refused | expired | overtaken. ``fingerprint`` names what was shown."""

    code: str
    connector: str
    room: str
    person: str
    argv: tuple[str, ...]
    fingerprint: str
    created_at: datetime
    expires_at: datetime
    state: str
    prompt_outbox: str | None


_this = confirmations.c.code == bindparam("which")
_ADD = insert(confirmations).values(
    {
        name: bindparam(name)
        for name in (
            "code",
            "connector",
            "room",
            "person",
            "argv",
            "fingerprint",
            "created_at",
            "expires_at",
            "state",
            "prompt_outbox",
        )
    }
)
# A code may come again once its first use is over.
_OPEN = _ADD.on_conflict_do_update(
    index_elements=["tenant_id", "code"],
    set_={
        name: _ADD.excluded[name]
        for name in (
            "host",
            "connector",
            "room",
            "person",
            "argv",
            "fingerprint",
            "created_at",
            "expires_at",
            "state",
            "prompt_outbox",
        )
    },
    where=confirmations.c.state != "open",
)
_FIND = select(confirmations).where(_this)
_TAKE = (
    update(confirmations)
    .where(
        _this,
        confirmations.c.person == bindparam("by"),
        confirmations.c.state == "open",
        confirmations.c.expires_at > bindparam("time"),
    )
    .values(state="confirmed")
)
_CLOSE = (
    update(confirmations).where(_this, confirmations.c.state == "open").values(state=bindparam("new_state"))
)
_CHANGE = update(confirmations).where(_this).values(state=bindparam("new_state"))
_PROMPT = update(confirmations).where(_this).values(prompt_outbox=bindparam("new_prompt"))
_OVERDUE = (
    select(confirmations)
    .where(confirmations.c.state == "open", confirmations.c.expires_at <= bindparam("time"))
    .order_by(confirmations.c.expires_at)
)


def open(
    tx: Tx,
    *,
    code: str,
    connector: str,
    room: str,
    person: str,
    argv: Sequence[str],
    fingerprint: str,
    expires_at: datetime,
    prompt_outbox: str | None = None,
) -> bool:
    """Wait for an answer to ``code``; False when an open one has that code (take another)."""
    given = {
        "code": code,
        "connector": connector,
        "room": room,
        "person": person,
        "argv": json.dumps(list(argv), ensure_ascii=False),
        "fingerprint": fingerprint,
        "created_at": tx.now_ms,
        "expires_at": to_ms(expires_at),
        "state": "open",
        "prompt_outbox": prompt_outbox,
    }
    return tx.execute(_OPEN, given).rowcount == 1


def take(tx: Tx, code: str, person: str, now: datetime) -> ConfirmationRow | None:
    """Confirm: the row, once, for its own person, in time. None otherwise; :func:`find` tells why."""
    if tx.execute(_TAKE, {"which": code, "by": person, "time": to_ms(now)}).rowcount != 1:
        return None
    return find(tx, code)


def find(tx: Tx, code: str) -> ConfirmationRow | None:
    """The row of a code, in whatever state. (One past ``expires_at`` stays open until it is closed.)"""
    row = tx.execute(_FIND, {"which": code}).first()
    return None if row is None else _row(row)


def close(tx: Tx, code: str, state: str) -> bool:
    """End it as ``refused``, ``expired`` or ``overtaken``; False when it was not open.

    ``overtaken`` also changes a confirmed one: what was confirmed was no longer what was shown. Raises
    ValueError for an unknown end.
    """
    if state not in ENDS:
        raise ValueError(f"no end of a confirmation: {state!r}; there are {', '.join(ENDS)}")
    statement = _CHANGE if state == "overtaken" else _CLOSE
    return tx.execute(statement, {"which": code, "new_state": state}).rowcount == 1


def set_prompt(tx: Tx, code: str, outbox_id: str) -> None:
    """Where the question stands, to be edited when it is answered."""
    tx.execute(_PROMPT, {"which": code, "new_prompt": outbox_id})


async def overdue(reg: Register, now: datetime) -> list[ConfirmationRow]:
    """Open ones whose time is over, to be closed as expired."""
    return [_row(row) for row in await reg.read(_OVERDUE, {"time": to_ms(now)})]


def _row(row: Mapping[str, Any]) -> ConfirmationRow:
    return ConfirmationRow(
        code=row["code"],
        connector=row["connector"],
        room=row["room"],
        person=row["person"],
        argv=tuple(json.loads(row["argv"])),
        fingerprint=row["fingerprint"],
        created_at=from_ms(row["created_at"]),
        expires_at=from_ms(row["expires_at"]),
        state=row["state"],
        prompt_outbox=row["prompt_outbox"],
    )
