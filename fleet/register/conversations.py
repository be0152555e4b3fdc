"""Conversations of people with agents, and the handles under which agents answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from fleet.register.records import record_of
from fleet.register.schema import conversations

if TYPE_CHECKING:
    from fleet.register.engine import Register
    from fleet.register.tx import Tx

TRIES = 8  # for a handle that is free; of 60 random bits the first one is


@dataclass(frozen=True, slots=True)
class Conversation:
    """``thread`` is the empty string outside a thread. ``last_at``: when somebody last spoke in it."""

    handle: str
    connector: str
    room: str
    thread: str
    person: str
    agent: str
    created_at: datetime
    last_at: datetime


_KEY = ("connector", "room", "thread", "person", "agent")
_FIND = select(conversations).where(*(conversations.c[name] == bindparam(name) for name in _KEY))
_ADD = (
    insert(conversations)
    .values({name: bindparam(name) for name in ("handle", *_KEY, "created_at", "last_at")})
    .on_conflict_do_nothing()
)
_BY_HANDLE = select(conversations).where(conversations.c.handle == bindparam("handle"))
_TOUCH = (
    update(conversations)
    .where(conversations.c.handle == bindparam("which"))
    .values(last_at=bindparam("time"))
)


def handle_for(
    tx: Tx,
    *,
    connector: str,
    room: str,
    thread: str,
    person: str,
    agent: str,
    new_handle: Callable[[], str],
) -> Conversation:
    """The conversation of these five, made if there is none, and touched.

    Raises RuntimeError when ``new_handle`` gives only handles that are taken.
    """
    key = {"connector": connector, "room": room, "thread": thread, "person": person, "agent": agent}
    found = tx.execute(_FIND, key).first()
    for _ in range(TRIES):
        if found is not None:
            break
        # A handle is never given twice, in no tenant; a taken one inserts nothing.
        tx.execute(_ADD, {**key, "handle": new_handle(), "created_at": tx.now_ms, "last_at": tx.now_ms})
        found = tx.execute(_FIND, key).first()
    if found is None:
        raise RuntimeError(f"no free handle in {TRIES} tries")
    touch(tx, str(found["handle"]))
    return record_of(Conversation, {**found, "last_at": tx.now_ms})


async def by_handle(reg: Register, handle: str) -> Conversation | None:
    """The conversation that a handle names."""
    rows = await reg.read(_BY_HANDLE, {"handle": handle})
    return record_of(Conversation, rows[0]) if rows else None


def touch(tx: Tx, handle: str) -> None:
    """Somebody spoke in it now: an agent may answer to its handle for a while longer."""
    tx.execute(_TOUCH, {"which": handle, "time": tx.now_ms})
