"""Who did what: a chain in which each row's hash covers the one before, so that a change shows.

(It shows changes and gaps; whoever owns the file can still write a whole new chain, or cut off its end.)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.sqlite import insert

from fleet.register.records import record_of
from fleet.register.schema import audit
from fleet.register.scope import HOST, TENANT

if TYPE_CHECKING:
    from fleet.register.engine import Register
    from fleet.register.tx import Tx

_COVERED = (TENANT, HOST, "at", "who", "place", "what", "outcome", "duration_ms", "detail", "late")
_GIVEN = ("at", "who", "place", "what", "outcome", "duration_ms", "detail", "late", "hash")
_PAGE = 2000  # rows read at once when the chain is checked


@dataclass(frozen=True, slots=True)
class AuditRow:
    """``late``: it happened while the bot was down and was written afterwards."""

    seq: int
    host: str
    at: datetime
    who: str
    place: str
    what: str
    outcome: str
    duration_ms: int | None
    detail: str | None
    late: bool
    hash: str


_LAST = select(audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
_APPEND = insert(audit).values({name: bindparam(name) for name in _GIVEN}).returning(audit.c.seq)
_TAIL = select(audit).order_by(audit.c.seq.desc()).limit(bindparam("most"))
_AFTER = select(audit).where(audit.c.seq > bindparam("seq")).order_by(audit.c.seq).limit(bindparam("most"))


def hash_of(before: str, row: Mapping[str, Any]) -> str:
    """The hash of a row whose predecessor has hash ``before`` (empty for the first). Pure."""
    covered = json.dumps({name: row[name] for name in _COVERED}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{before}\n{covered}".encode()).hexdigest()


def append(
    tx: Tx,
    *,
    who: str,
    place: str,
    what: str,
    outcome: str,
    duration_ms: int | None = None,
    detail: str | None = None,
    late: bool = False,
) -> int:
    """Write one row at the end of the chain; its number."""
    row: dict[str, Any] = {
        "at": tx.now_ms,
        "who": who,
        "place": place,
        "what": what,
        "outcome": outcome,
        "duration_ms": duration_ms,
        "detail": detail,
        "late": int(late),
    }
    last = tx.execute(_LAST).first()
    chained = hash_of(last["hash"] if last else "", {**row, TENANT: tx.tenant_id, HOST: tx.host})
    return int(tx.execute(_APPEND, {**row, "hash": chained}).one()["seq"])


async def tail(reg: Register, n: int) -> list[AuditRow]:
    """The last ``n`` rows, oldest of them first."""
    rows = await reg.read(_TAIL, {"most": n})
    return [record_of(AuditRow, {**row, "late": bool(row["late"])}) for row in reversed(rows)]


async def verify(reg: Register) -> int | None:
    """The number of the first row that does not follow from the one before; None when all do."""
    before, seq = "", 0
    while rows := await reg.read(_AFTER, {"seq": seq, "most": _PAGE}):
        for row in rows:
            if row["hash"] != hash_of(before, row):
                return int(row["seq"])
            before, seq = row["hash"], row["seq"]
    return None
