"""A person's message on its way to an agent and back: M-<number>.

accepted → queued (in the mailbox) → typed (the program took it) → answered, or failed; held while the agent
is away. A failed one may still be answered: what was unknown can turn out to have arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Update, bindparam, func, select, update
from sqlalchemy.dialects.sqlite import insert

from fleet.register.clauses import one_of
from fleet.register.records import record_of
from fleet.register.schema import messages

if TYPE_CHECKING:
    from fleet.register.engine import Register
    from fleet.register.tx import Tx


@dataclass(frozen=True, slots=True)
class MessageRow:
    """``mail_id`` is the ULID of its mailbox file, ``event_ref`` the network's id of the person's words."""

    number: int
    inbox_id: int
    handle: str
    mail_id: str
    agent: str
    event_ref: str
    body: str
    state: str
    note: str | None
    accepted_at: datetime
    queued_at: datetime | None
    typed_at: datetime | None
    answered_at: datetime | None
    evidence: str | None
    answer_outbox: str | None


# From which states each may be reached: never backwards, except held → queued.
_FROM = {
    "queued": ("accepted", "held"),
    "typed": ("accepted", "queued", "held"),
    "held": ("accepted", "queued"),
    "failed": ("accepted", "queued", "held", "typed"),
    "answered": ("accepted", "queued", "held", "typed", "failed"),
}
_OPEN = ("accepted", "queued", "held", "typed")
_UNDELIVERED = ("accepted", "queued", "held")


def _advance(state: str, before: tuple[str, ...]) -> Update:
    statement = (
        update(messages)
        .where(messages.c.number == bindparam("which"), one_of(messages.c.state, before))
        .values(
            state=state,
            # What is not said anew stays: a receipt's evidence outlives the answer.
            evidence=func.coalesce(bindparam("new_evidence"), messages.c.evidence),
            note=func.coalesce(bindparam("new_note"), messages.c.note),
        )
    )
    stamp = f"{state}_at"
    return statement.values({stamp: bindparam("time")}) if stamp in messages.c else statement


_ADVANCE = {state: _advance(state, before) for state, before in _FROM.items()}
_ACCEPT = (
    insert(messages)
    .values(
        {
            name: bindparam(name)
            for name in (
                "inbox_id",
                "handle",
                "mail_id",
                "agent",
                "event_ref",
                "body",
                "state",
                "accepted_at",
            )
        }
    )
    .on_conflict_do_nothing(index_elements=["inbox_id"])
)
_BY_INBOX = select(messages.c.number).where(messages.c.inbox_id == bindparam("inbox_id"))
_ANSWERED = (
    update(messages)
    .where(
        messages.c.number == bindparam("which"),
        one_of(messages.c.state, _FROM["answered"]),
        messages.c.answer_outbox.is_(None),
    )
    .values(state="answered", answered_at=bindparam("time"), answer_outbox=bindparam("answer"))
)
_REVISE = (
    update(messages)
    .where(messages.c.inbox_id == bindparam("which"), one_of(messages.c.state, ("accepted", "held")))
    .values(body=bindparam("new_body"))
)
_IN_TURN = (
    select(messages.c.answer_outbox)
    .where(
        messages.c.handle == bindparam("handle"),
        messages.c.number >= bindparam("since"),
        messages.c.answer_outbox.is_not(None),
    )
    .order_by(messages.c.number)
    .limit(1)
)
_GET = select(messages).where(messages.c.number == bindparam("number"))
_BY_TOKEN = _GET.where(messages.c.handle == bindparam("handle"))
_BY_MAIL = select(messages).where(messages.c.mail_id == bindparam("mail_id"))
_NEWEST = (
    select(messages)
    .where(messages.c.handle == bindparam("handle"))
    .order_by(messages.c.number.desc())
    .limit(1)
)
_NEWEST_OPEN = _NEWEST.where(one_of(messages.c.state, _OPEN))
_IN_ORDER = select(messages).order_by(messages.c.number)
_OPEN_FOR_AGENT = _IN_ORDER.where(messages.c.agent == bindparam("agent"), one_of(messages.c.state, _OPEN))
_WAITING = _IN_ORDER.where(one_of(messages.c.state, _UNDELIVERED))
_UNANSWERED = _IN_ORDER.where(one_of(messages.c.state, _OPEN))


def accept(tx: Tx, *, inbox_id: int, handle: str, mail_id: str, agent: str, event_ref: str, body: str) -> int:
    """Take a person's words in: their number. The same ``inbox_id`` again gives the number it has."""
    tx.execute(
        _ACCEPT,
        {
            "inbox_id": inbox_id,
            "handle": handle,
            "mail_id": mail_id,
            "agent": agent,
            "event_ref": event_ref,
            "body": body,
            "state": "accepted",
            "accepted_at": tx.now_ms,
        },
    )
    return int(tx.execute(_BY_INBOX, {"inbox_id": inbox_id}).one()["number"])


def advance(tx: Tx, number: int, state: str, *, evidence: str | None = None, note: str | None = None) -> bool:
    """Move it on and stamp the time; False when that would be a step back. Raises ValueError for no state."""
    statement = _ADVANCE.get(state)
    if statement is None:
        raise ValueError(f"no state {state!r} to advance to; there are {', '.join(_FROM)}")
    given = {"which": number, "new_evidence": evidence, "new_note": note}
    if f"{state}_at" in messages.c:
        given["time"] = tx.now_ms
    return tx.execute(statement, given).rowcount == 1


def answered(tx: Tx, number: int, outbox_id: str) -> bool:
    """Its answer is queued as ``outbox_id``; False when it has one already."""
    return tx.execute(_ANSWERED, {"which": number, "time": tx.now_ms, "answer": outbox_id}).rowcount == 1


def answer_in_turn(tx: Tx, handle: str, *, since: int) -> str | None:
    """The outbox id of the first answer given in a conversation to message ``since`` or a later one."""
    row = tx.execute(_IN_TURN, {"handle": handle, "since": since}).first()
    return None if row is None else str(row["answer_outbox"])


def revise(tx: Tx, inbox_id: int, body: str) -> bool:
    """Replace the words of one that has not left for the mailbox; False when it was too late."""
    return tx.execute(_REVISE, {"which": inbox_id, "new_body": body}).rowcount == 1


async def get(reg: Register, number: int) -> MessageRow | None:
    """M-<number>."""
    return _first(await _rows(reg, _GET, number=number))


async def by_token(reg: Register, handle: str, number: int) -> MessageRow | None:
    """The message of a token ``<handle>.<number>``; None when the two do not belong together."""
    return _first(await _rows(reg, _BY_TOKEN, handle=handle, number=number))


async def by_mail(reg: Register, mail_id: str) -> MessageRow | None:
    """The message of a mailbox file."""
    return _first(await _rows(reg, _BY_MAIL, mail_id=mail_id))


async def newest(reg: Register, handle: str) -> MessageRow | None:
    """The last message of a conversation, in whatever state."""
    return _first(await _rows(reg, _NEWEST, handle=handle))


async def newest_open(reg: Register, handle: str) -> MessageRow | None:
    """The last message of a conversation that is neither answered nor failed."""
    return _first(await _rows(reg, _NEWEST_OPEN, handle=handle))


async def open_for_agent(reg: Register, agent: str) -> list[MessageRow]:
    """What an agent has not answered, oldest first; failed ones are left out."""
    return await _rows(reg, _OPEN_FOR_AGENT, agent=agent)


async def waiting(reg: Register) -> list[MessageRow]:
    """What no program has taken yet (accepted, queued, held), oldest first."""
    return await _rows(reg, _WAITING)


async def unanswered(reg: Register) -> list[MessageRow]:
    """Everybody who waits: undelivered or delivered without an answer, oldest first."""
    return await _rows(reg, _UNANSWERED)


async def _rows(reg: Register, statement: object, **given: object) -> list[MessageRow]:
    return [record_of(MessageRow, row) for row in await reg.read(statement, given)]  # type: ignore[arg-type]


def _first(rows: list[MessageRow]) -> MessageRow | None:
    return rows[0] if rows else None
