"""Calls for a person: list, show, ack, resolve, snooze."""

from __future__ import annotations

import re
from typing import Any

from bot.commands.context import Context
from bot.commands.failures import CommandFailed
from bot.commands.general import services_of
from bot.commands.when import age, local, seconds_of
from bot.document import Bullets, Code, Column, Document, Heading, Table, Text, Tone

_NUMBER = re.compile(r"^(?:E-?)?(\d{1,12})$", re.IGNORECASE)
LONGEST_SNOOZE_S = 7 * 86_400.0


def number_of(text: object) -> int:
    """`E-12` or `12`. Raises CommandFailed."""
    found = _NUMBER.match(str(text))
    if found is None:
        raise CommandFailed(f"`{text}` is no escalation. Write it like E-12.", 3)
    return int(found[1])


async def list_open(context: Context, args: dict[str, Any]) -> Document:
    rows = await services_of(context).escalations.list_open()
    now = context.now()
    data = {
        "escalations": [
            {
                "id": f"E-{r.number}",
                "agent": r.agent,
                "kind": r.kind,
                "state": r.state,
                "title": r.title,
                "count": r.count,
                "opened_at": r.opened_at.isoformat(),
                "acked_by": r.acked_by,
            }
            for r in rows
        ]
    }
    if not rows:
        return Document.line("No open escalations.", tone=Tone.GOOD, data=data)
    titles = ("ID", "STATE", "AGENT", "AGE", "WHAT")
    cells = tuple((f"E-{r.number}", r.state, r.agent, age(now - r.opened_at), r.title) for r in rows)
    narrow = tuple(
        line
        for r in rows
        for line in (
            f"E-{r.number} {r.state} · {age(now - r.opened_at)}"[:32],
            f"  {r.agent}: {r.title}"[:32],
        )
    )
    return Document((Table(tuple(Column(t.lower(), t) for t in titles), cells, narrow),), data)


async def show(context: Context, args: dict[str, Any]) -> Document:
    row, events = await services_of(context).escalations.show_one(number_of(args["number"]))
    lines = tuple(f"{local(e.at)} {e.who}: {e.what}" + (f" ({e.note})" if e.note else "") for e in events)
    data = {
        "id": f"E-{row.number}",
        "agent": row.agent,
        "state": row.state,
        "title": row.title,
        "body": row.body,
        "count": row.count,
        "events": [{"at": e.at.isoformat(), "who": e.who, "what": e.what, "note": e.note} for e in events],
    }
    head = Heading(f"E-{row.number} {row.agent}: {row.title}")
    state = Text(f"{row.state}" + (f", ×{row.count}" if row.count > 1 else ""))
    body = (Code(row.body),) if row.body.strip() != row.title else ()
    return Document((head, state, *body, Bullets(lines)), data)


async def ack(context: Context, args: dict[str, Any]) -> Document:
    number = number_of(args["number"])
    told = await services_of(context).escalations.acknowledge(number, _who(context))
    return Document.line(told, data={"id": f"E-{number}", "text": told})


async def resolve(context: Context, args: dict[str, Any]) -> Document:
    number = number_of(args["number"])
    reason = str(args.get("reason") or "").strip() or None
    told = await services_of(context).escalations.resolve(number, _who(context), reason)
    return Document.line(told, data={"id": f"E-{number}", "text": told})


async def snooze(context: Context, args: dict[str, Any]) -> Document:
    number = number_of(args["number"])
    seconds = seconds_of(str(args["time"]))
    if seconds is None or not 60 <= seconds <= LONGEST_SNOOZE_S:
        raise CommandFailed(f"`{args['time']}` is no time to snooze. 1m to 7d: 30m, 1h, 2d.", 3)
    told = await services_of(context).escalations.snooze(number, _who(context), seconds)
    return Document.line(told, data={"id": f"E-{number}", "text": told})


def _who(context: Context) -> str:
    return context.caller.person
