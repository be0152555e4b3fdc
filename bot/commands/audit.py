"""Who did what: the last entries, and whether the chain is whole."""

from __future__ import annotations

from typing import Any

from bot.commands.context import Context
from bot.commands.failures import CommandFailed
from bot.commands.general import services_of
from bot.commands.when import local
from bot.document import Column, Document, Table, Tone
from fleet.register import audit

MOST = 500


async def tail(context: Context, args: dict[str, Any]) -> Document:
    lines = int(args["lines"])
    if not 1 <= lines <= MOST:
        raise CommandFailed(f"--lines is 1 to {MOST}, not {lines}.", 3)
    rows = await audit.tail(services_of(context).register, lines)
    data = {
        "entries": [
            {
                "seq": r.seq,
                "at": r.at.isoformat(),
                "who": r.who,
                "place": r.place,
                "what": r.what,
                "outcome": r.outcome,
                "duration_ms": r.duration_ms,
                "late": r.late,
            }
            for r in rows
        ]
    }
    if not rows:
        return Document.line("Nothing yet.", tone=Tone.DIM, data=data)
    titles = ("SEQ", "AT", "WHO", "WHERE", "WHAT", "OUTCOME")
    cells = tuple((str(r.seq), local(r.at), r.who, r.place, r.what, r.outcome) for r in rows)
    narrow = tuple(
        line
        for r in rows
        for line in (f"{r.seq} {r.at.astimezone():%H:%M:%S} {r.who}"[:32], f"  {r.what}: {r.outcome}"[:32])
    )
    return Document((Table(tuple(Column(t.lower(), t) for t in titles), cells, narrow),), data)


async def verify(context: Context, args: dict[str, Any]) -> Document:
    broken = await audit.verify(services_of(context).register)
    if broken is None:
        return Document.line("The chain is whole.", tone=Tone.GOOD, data={"broken_at": None})
    text = f"The chain breaks at entry {broken}: it or one before it was changed. Compare with a backup."
    return Document.failure(text, data={"broken_at": broken})
