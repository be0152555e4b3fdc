"""`fleet ps` as people see it: the columns of a terminal and the narrow lines of a phone. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import tzinfo

from bot.document import Column, Table
from bot.render.cells import clip, one_line, pad
from fleet.model import AgentRow, Health, Readiness, Snapshot

NARROW = 32

# Mark and letter (a mark alone is lost on a screen without colour), the word, the order on a phone.
_MARKS = {
    Readiness.STUCK: ("🟡", "N", "needs you", 0),
    Readiness.DEAD: ("🔴", "F", "dead", 1),
    Readiness.STALE: ("🔴", "F", "stale", 1),
    Readiness.UNKNOWN: ("❔", "U", "unknown", 2),
    Readiness.WORKING: ("🟢", "W", "working", 3),
    Readiness.AVAILABLE: ("⚪", "I", "available", 4),
}
_COLUMNS = (
    Column("name", "NAME"),
    Column("alias", "ALIAS"),
    Column("class", "CLASS"),
    Column("host", "HOST"),
    Column("runtime", "RUNTIME"),
    Column("seen", "SEEN"),
    Column("unit", "UNIT"),
    Column("pane", "PANE"),
    Column("pid", "PID", right=True),
    Column("hb", "HB"),
    Column("idle", "IDLE", right=True),
    Column("model", "MODEL"),
    Column("task", "TASK"),
    Column("flags", "FLAGS"),
)
_SHORT = ("name", "alias", "runtime", "hb", "idle", "model", "task", "flags")


def table_of(rows: Sequence[AgentRow], *, wide: bool) -> Table:
    """Both forms. ``wide`` keeps every column; else columns that fit an ordinary terminal."""
    ordered = sorted(rows, key=_order)
    kept = [n for n, column in enumerate(_COLUMNS) if wide or column.key in _SHORT]
    cells = [_cells(row) for row in ordered]
    return Table(
        tuple(_COLUMNS[n] for n in kept),
        tuple(tuple(row[n] for n in kept) for row in cells),
        tuple(line for row in ordered for line in narrow_lines(row)),
    )


def needs_you(row: AgentRow) -> bool:
    return row.readiness is Readiness.STUCK or any(flag.startswith("BLOCKED") for flag in row.flags)


def narrow_lines(row: AgentRow) -> list[str]:
    """One line of at most 32 columns, and one more where there is a reason or a task to tell."""
    mark, letter, word, _ = _MARKS[Readiness.STUCK if needs_you(row) else row.readiness]
    if not row.managed:
        mark, letter, word = "▫️", "-", "unmanaged"
    name = pad(one_line(row.name), 12)
    age = _short_age(row.heartbeat.age_s)
    first = f"{mark}{letter} {name} {pad(word, 9)} {pad(age, 5, right=True)}"
    told = _told(row)
    return [first, clip(f"   {one_line(told)}", NARROW)] if told else [first]


def _told(row: AgentRow) -> str:
    said = [row.blocked_reason] if row.blocked_reason else []
    if row.task and not said:
        said.append(row.task)
    said += [
        _flag(row, flag)
        for flag in row.flags
        if not flag.startswith(("BLOCKED", "UNMANAGED", "BOOT-ENABLE", "PAUSED"))
    ]
    return " · ".join(said)


def footer_of(snapshot: Snapshot, shown: int, zone: tzinfo | None = None) -> str:
    """`14:02:11 · 9 agents`, and what else must be known: a pause, old evidence, hosts that are away."""
    parts = [f"{snapshot.ts.astimezone(zone):%H:%M:%S}", f"{shown} agent{'' if shown == 1 else 's'}"]
    if snapshot.paused is not None:
        parts.append(f"PAUSED: {snapshot.paused}" if snapshot.paused else "PAUSED")
    ages = [host.age_s for host in snapshot.hosts if host.reachable and host.age_s is not None]
    if ages and max(ages) >= 1.5:
        parts.append(f"read {_short_age(max(ages))} ago")
    away = [host.host for host in snapshot.hosts if host.reachable is False]
    if away:
        parts.append(f"no answer from {', '.join(away)}")
    return " · ".join(parts)


def counts_of(rows: Iterable[AgentRow]) -> str:
    """`1 needs you · 2 working · 1 idle`, in the order of the phone form."""
    counts: dict[str, int] = {}
    for row in sorted((r for r in rows if r.managed), key=_order):
        word = _MARKS[Readiness.STUCK if needs_you(row) else row.readiness][2]
        counts[word] = counts.get(word, 0) + 1
    return " · ".join(f"{count} {word}" for word, count in counts.items()) or "no agents"


def hb_cell(row: AgentRow) -> str:
    """`<age>s/<readiness>`, rounded half up; `unknown` without a heartbeat (PS-10)."""
    age = row.heartbeat.age_s
    if age is None or row.heartbeat.health is Health.UNKNOWN:
        return "unknown"
    return f"{_half_up(age)}s/{row.readiness}"


def idle_cell(row: AgentRow) -> str:
    """`<n>s`, or `-` when not known (PS-11)."""
    return "-" if row.idle_s is None or not math.isfinite(row.idle_s) else f"{int(row.idle_s)}s"


def _cells(row: AgentRow) -> tuple[str, ...]:
    unit = "/".join(filter(None, (row.systemd_active, row.systemd_enabled)))
    flags = [_flag(row, flag) for flag in row.flags]
    return (
        row.name,
        row.alias or "-",
        row.agent_class or "-",
        row.host,
        row.runtime or "-",
        row.runtime_seen or "-",
        unit or "-",
        row.pane_id or "-",
        str(row.pane_pid) if row.pane_pid else "-",
        hb_cell(row),
        idle_cell(row),
        row.model or "-",
        clip(one_line(row.task), 32) if row.task else "-",
        " ".join(flags) or "-",
    )


def _flag(row: AgentRow, flag: str) -> str:
    """A flag with what it rests on: the reason of a block, how long it has been silent."""
    if flag == "BLOCKED" and row.blocked_reason:
        return f"BLOCKED({row.blocked_reason})"
    if flag == "SILENT":
        ages = [age for age in (row.state_age_s, row.idle_s) if age is not None]
        return f"SILENT({_short_age(min(ages, default=None))})"
    return flag


def _order(row: AgentRow) -> tuple[int, int]:
    place = 0 if needs_you(row) else _MARKS[row.readiness][3]
    return (0 if row.managed else 1, place)


def _half_up(value: float) -> int:
    return math.floor(max(0.0, value) + 0.5)


def _short_age(age_s: float | None) -> str:
    if age_s is None or not math.isfinite(age_s):
        return "-"
    seconds = _half_up(age_s)
    for limit, step, unit in ((100, 1, "s"), (6000, 60, "m"), (360_000, 3600, "h")):
        if seconds < limit:
            return f"{seconds // step}{unit}"
    return f"{seconds // 86_400}d"
