"""What became of a message or an escalation, and who waits for what."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from bot.commands.context import Context
from bot.commands.failures import CommandFailed
from bot.commands.general import services_of
from bot.commands.when import age, local
from bot.document import Block, Bullets, Document, Heading, Text, Tone
from fleet.register import messages
from fleet.register.messages import MessageRow

_ID = re.compile(r"^([ME])-?(\d+)$", re.IGNORECASE)
_STEPS = ("accepted", "queued", "typed", "answered")


async def where(context: Context, args: dict[str, Any]) -> Document:
    """`M-118: accepted → queued → typed → answered`, with times."""
    found = _ID.match(str(args["id"]))
    if found is None:
        raise CommandFailed(f"`{args['id']}` is no id. A message is M-118, an escalation E-12.", 3)
    number = int(found[2])
    if found[1].upper() == "E":
        from bot.commands.escalation import show

        return await show(context, {"number": str(number)})
    row = await messages.get(services_of(context).register, number)
    if row is None:
        raise CommandFailed(f"There is no message M-{number}.", 1)
    times = [(step, getattr(row, f"{step}_at")) for step in _STEPS]
    lines = [f"{step} {local(at)}" for step, at in times if at is not None]
    if row.state not in _STEPS:
        lines.append(f"now {row.state}")
    if row.evidence:
        lines.append(f"proof: {row.evidence}")
    if row.note:
        lines.append(f"note: {row.note}")
    data = {
        "id": f"M-{row.number}",
        "agent": row.agent,
        "state": row.state,
        "note": row.note,
        "evidence": row.evidence,
        **{f"{step}_at": at.isoformat() if at else None for step, at in times},
    }
    return Document((Heading(f"M-{row.number} to {row.agent}: {row.state}"), Bullets(tuple(lines))), data)


async def waiting(context: Context, args: dict[str, Any]) -> Document:
    """Unanswered people, held messages, open escalations, each with its age."""
    services = services_of(context)
    now = context.now()
    rows = await messages.unanswered(services.register)
    calls = await services.escalations.list_open()
    blocks: list[Block] = []
    if rows:
        blocks += [Heading("Messages"), Bullets(tuple(_message(row, now) for row in rows[:10]))]
    if calls:
        shown = tuple(
            f"E-{c.number} {c.state}, {c.agent}: {c.title} ({age(now - c.opened_at)})" for c in calls[:10]
        )
        blocks += [Heading("Escalations"), Bullets(shown)]
    if not blocks:
        blocks = [Text("Nobody waits.", Tone.GOOD)]
    data = {
        "messages": [{"id": f"M-{r.number}", "agent": r.agent, "state": r.state} for r in rows],
        "escalations": [{"id": f"E-{c.number}", "agent": c.agent, "state": c.state} for c in calls],
    }
    return Document(tuple(blocks), data)


def _message(row: MessageRow, now: datetime) -> str:
    return f"M-{row.number} to {row.agent}: {row.state}, {age(now - row.accepted_at)}"
