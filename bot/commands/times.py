"""Reports now, and at their times."""

from __future__ import annotations

from typing import Any

from bot.commands.context import Context
from bot.commands.general import services_of
from bot.commands.when import age, local
from bot.document import Column, Document, Table, Tone


async def report_now(context: Context, args: dict[str, Any]) -> Document:
    room = args.get("room") or _reports_room(context)
    told = await services_of(context).reports.post(str(args["report"]), room)
    return Document.line(told)


def _reports_room(context: Context) -> str | None:
    """The room that it was asked in, when that is one for reports; else the first for reports decides."""
    rooms = services_of(context).config.rooms
    here = context.caller.room
    return here if here in rooms and rooms[here].mode == "reports" else None


async def schedule_list(context: Context, args: dict[str, Any]) -> Document:
    rows = await services_of(context).schedule.list()
    data = {
        "schedules": [
            {
                "id": r.id,
                "report": r.report,
                "room": r.room,
                "when": r.when,
                "tz": r.tz,
                "paused": r.paused,
                "next_due": r.next_due.isoformat() if r.next_due else None,
                "last_due": r.last_due.isoformat() if r.last_due else None,
                "last_state": r.last_state,
            }
            for r in rows
        ]
    }
    if not rows:
        return Document.line("No schedules. They stand in the configuration under `schedules`.", data=data)
    titles = ("ID", "REPORT", "ROOM", "WHEN", "NEXT", "LAST")
    cells = tuple(
        (r.id, r.report, r.room, r.when, "paused" if r.paused else local(r.next_due), r.last_state or "-")
        for r in rows
    )
    narrow = tuple(
        line
        for r in rows
        for line in (f"{r.id}: {r.report} → {r.room}"[:32], f"  {'paused' if r.paused else r.when}"[:32])
    )
    return Document((Table(tuple(Column(t.lower(), t) for t in titles), cells, narrow),), data)


async def schedule_next(context: Context, args: dict[str, Any]) -> Document:
    rows = [r for r in await services_of(context).schedule.list() if r.next_due is not None and not r.paused]
    if not rows:
        return Document.line("Nothing is due.", tone=Tone.DIM, data={"next": None})
    first = min(rows, key=lambda r: r.next_due or context.now())
    assert first.next_due is not None
    due = f"{local(first.next_due)}, in {age(first.next_due - context.now())}"
    text = f"{first.id}: {first.report} in {first.room} at {due}."
    return Document.line(text, data={"next": {"id": first.id, "due": first.next_due.isoformat()}})


async def schedule_run(context: Context, args: dict[str, Any]) -> Document:
    told = await services_of(context).schedule.run_now(str(args["id"]))
    return Document.line(str(told or f"{args['id']} ran."))


async def schedule_pause(context: Context, args: dict[str, Any]) -> Document:
    paused = not args.get("off")
    told = await services_of(context).schedule.pause(str(args["id"]), paused)
    return Document.line(str(told or f"{args['id']} {'paused' if paused else 'runs again'}."))
