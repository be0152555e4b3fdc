"""When an escalation is raised again, and what its root says. Pure (20-messaging, Escalations)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleet.register.escalations import EscalationRow

# Minutes after opening at which an unacknowledged one is raised again; then it is stale.
RAISE_AFTER_MIN = (5, 15, 30, 90, 150, 210, 270, 330)
ASK_AFTER_S = 60 * 60.0  # acknowledged and quiet: "still yours?"
REOPEN_AFTER_ASK_S = 15 * 60.0
SNOOZE_S = 60 * 60.0
ASKED_LEVEL = 100  # the level of an acknowledged one that was asked after

_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class RaiseAgain:
    level: int
    next_due: datetime | None


@dataclass(frozen=True, slots=True)
class AskAfter:
    next_due: datetime


@dataclass(frozen=True, slots=True)
class Reopen:
    next_due: datetime


def key_of(agent: str, kind: str, text: str) -> str:
    """Same agent, kind and words (case and space aside) are the same escalation."""
    return f"{kind}:{agent}:{_SPACE.sub(' ', text).strip().lower()[:200]}"


def title_of(body: str) -> str:
    """The first line, at most 120 characters."""
    first = body.strip().splitlines()[0] if body.strip() else "(no text)"
    return first if len(first) <= 120 else first[:119] + "…"


def due_after(opened: datetime, level: int) -> datetime | None:
    """When ``level`` + 1 is due, or None after the last."""
    return opened + timedelta(minutes=RAISE_AFTER_MIN[level]) if level < len(RAISE_AFTER_MIN) else None


def next_step(row: EscalationRow, now: datetime) -> RaiseAgain | AskAfter | Reopen | None:
    """What to do with a row whose ``next_due`` has passed. Steps missed in a downtime count as one."""
    if row.state in ("open", "snoozed"):
        if row.state == "snoozed":  # the snooze's end is a new beginning
            return RaiseAgain(1, now + timedelta(minutes=RAISE_AFTER_MIN[1] - RAISE_AFTER_MIN[0]))
        opened = _time(row.opened_at)
        level = row.level + 1
        while level < len(RAISE_AFTER_MIN) and opened + timedelta(minutes=RAISE_AFTER_MIN[level]) <= now:
            level += 1
        return RaiseAgain(level, due_after(opened, level))
    if row.state == "acknowledged":
        if row.level < ASKED_LEVEL:
            return AskAfter(now + timedelta(seconds=REOPEN_AFTER_ASK_S))
        return Reopen(now + timedelta(minutes=RAISE_AFTER_MIN[0]))
    return None


def root_text(row: EscalationRow, alias: str, now: datetime) -> str:
    """One line that always shows the state."""
    name = f"E-{row.number} {alias}"
    count = f" ×{row.count}" if row.count > 1 else ""
    match row.state:
        case "acknowledged":
            taken = after(_time(row.acked_at) - _time(row.opened_at)) if row.acked_at else ""
            return f"🟡 {name}: {row.title}{count}\n✋ acknowledged by {short(row.acked_by)} {taken}"
        case "resolved":
            lasted = after(_time(row.resolved_at) - _time(row.opened_at)) if row.resolved_at else ""
            why = f": {row.reason}" if row.reason else ""
            return f"✅ {name}: {row.title}{count}\nresolved by {short(row.resolved_by)} {lasted}{why}"
        case "snoozed":
            until = _time(row.next_due).strftime("%H:%M UTC") if row.next_due else "?"
            return f"💤 {name}: {row.title}{count}\nsnoozed until {until}"
        case "stale":
            return f"⚪ {name}: {row.title}{count}\nstale: raised again eight times, nobody acknowledged"
        case _:
            how = "Answer at its pane." if row.kind == "blocked" else "Reply in thread."
            return f"🔴 {name}: {row.title}{count}\n{how} ✅ acknowledge · 🏁 resolve · 💤 snooze 1 h"


def short(person: str | None) -> str:
    """`ana` for `@ana:hs`: enough to read, never an identity."""
    return (person or "?").removeprefix("@").partition(":")[0] or "?"


def after(delta: timedelta) -> str:
    """`at once`, `after 14 s`."""
    return f"after {duration(delta)}" if delta >= timedelta(seconds=1) else "at once"


def duration(delta: timedelta) -> str:
    """`14 s`, `6 min`, `2 h 5 min`."""
    seconds = max(0, int(delta.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _time(value: datetime | None) -> datetime:
    return value if value is not None else datetime.fromtimestamp(0, UTC)
