"""The readiness report: verdict first, who needs a person, what changed since the last one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.document import Block, Bullets, Document, Footer, Picture, Text, Tone
from fleet.model import AgentRow, Readiness, Snapshot

# In the order in which people want to know. Keys are stable: charts and records use them.
GROUPS: tuple[tuple[str, str], ...] = (
    ("blocked", "needs you"),
    ("failed", "failed"),
    ("working", "working"),
    ("available", "available"),
    ("unknown", "unknown"),
)
_LABELS = dict(GROUPS)
_ATTENTION = ("blocked", "failed")
MAX_LINES = 12  # verdict, footer and a picture's line included
_MAX_NAMED = 5
_MAX_CHANGES = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """One report's facts, kept to say next time what changed. ``groups`` is agent → group key."""

    ts: datetime
    groups: Mapping[str, str]

    def record(self) -> dict[str, Any]:
        return {"ts": self.ts.isoformat(), "groups": dict(self.groups)}

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Facts:
        """From :meth:`record`. Raises KeyError, TypeError or ValueError for anything else."""
        groups = {str(name): str(group) for name, group in dict(record["groups"]).items()}
        if any(group not in _LABELS for group in groups.values()):
            raise ValueError("an unknown group")
        return cls(datetime.fromisoformat(record["ts"]), groups)


def group_of(row: AgentRow) -> str:
    """Where an agent is counted. A blocked one waits for a person, whatever else it is."""
    if "BLOCKED" in row.flags or row.blocked_reason is not None:
        return "blocked"
    if row.readiness in (Readiness.DEAD, Readiness.STALE, Readiness.STUCK):
        return "failed"
    if row.readiness is Readiness.WORKING:
        return "working"
    return "available" if row.readiness is Readiness.AVAILABLE else "unknown"


def facts_of(snapshot: Snapshot) -> Facts:
    """The managed agents of a snapshot, grouped."""
    return Facts(snapshot.ts, {row.name: group_of(row) for row in snapshot.agents if row.managed})


def document(
    snapshot: Snapshot,
    last: Facts | None,
    *,
    local: datetime,
    picture: Picture | None,
    note: str | None = None,
) -> Document:
    """The report, at most 12 lines. ``local`` is the time of the snapshot in the readers' zone, ``note`` a
    line about something that is missing from it (a picture that could not be drawn)."""
    facts = facts_of(snapshot)
    rows = {row.name: row for row in snapshot.agents if row.managed}
    changed = changes(last, facts)
    blocks: list[Block] = [_verdict(facts, snapshot)]
    attention = [rows[name] for group in _ATTENTION for name in _names(facts, group)]
    unreachable = [h for h in snapshot.hosts if h.reachable is False]
    lines = [_attention_line(row) for row in attention[:_MAX_NAMED]]
    if len(attention) > _MAX_NAMED:
        lines.append(f"and {len(attention) - _MAX_NAMED} more: !fleet ps")
    if unreachable:
        lines.append(f"not reachable: {', '.join(h.host for h in unreachable)}")
    if lines:
        blocks.append(Bullets(tuple(lines)))
    if last is None:
        blocks.append(Text("First report: nothing to compare with yet.", Tone.DIM))
    elif changed:
        shown = changed[:_MAX_CHANGES]
        more = f"; and {len(changed) - len(shown)} more" if len(changed) > len(shown) else ""
        blocks.append(Text(f"Since {_clock(last.ts, local)}: {'; '.join(shown)}{more}."))
    else:
        # Nothing to read twice: one line says so.
        counts = f"{_count(len(facts.groups), 'agent')}, {_needing(len(attention))}"
        blocks = [Text(f"No change since {_clock(last.ts, local)}: {counts}."), *blocks[1:]]
    if note:
        blocks.append(Text(note, Tone.WARN))
    if picture is not None:
        blocks.append(picture)
    if last is None or changed or picture is not None:
        blocks.append(Footer(f"readiness · {local:%Y-%m-%d %H:%M %Z} · {_count(len(facts.groups), 'agent')}"))
    data = {
        "report": "readiness",
        "ts": snapshot.ts.isoformat(),
        "paused": snapshot.paused,
        "counts": {key: len(_names(facts, key)) for key, _ in GROUPS},
        "agents": dict(facts.groups),
        "changes": changed if last is not None else None,
    }
    return Document(tuple(blocks), data)


def changes(last: Facts | None, now: Facts) -> list[str]:
    """Who changed, in words; empty without a former report."""
    if last is None:
        return []
    found = []
    for name, group in now.groups.items():
        before = last.groups.get(name)
        if before is None:
            found.append(f"{name} is new ({_LABELS[group]})")
        elif before != group:
            found.append(f"{name} {_LABELS[before]} → {_LABELS[group]}")
    found += [f"{name} is gone from the roster" for name in last.groups if name not in now.groups]
    return found


def alt_text(facts: Facts) -> str:
    """The picture's facts as one sentence."""
    parts = [
        f"{len(names)} {label} ({', '.join(names)})" for key, label in GROUPS if (names := _names(facts, key))
    ]
    return f"Bars of {_count(len(facts.groups), 'agent')} by readiness: {'; '.join(parts) or 'no agents'}."


def chart(facts: Facts, local: datetime) -> dict[str, Any]:
    """What `bot.render.charts` draws."""
    return {
        "kind": "readiness",
        "title": f"Readiness of {_count(len(facts.groups), 'agent')}",
        "footer": f"{local:%Y-%m-%d %H:%M %Z}",
        "groups": [{"key": key, "label": label, "names": _names(facts, key)} for key, label in GROUPS],
    }


def _verdict(facts: Facts, snapshot: Snapshot) -> Text:
    total = len(facts.groups)
    blocked, failed = len(_names(facts, "blocked")), len(_names(facts, "failed"))
    unknown = len(_names(facts, "unknown"))
    rest = [
        f"{n} {label}" for key, label in GROUPS if key not in _ATTENTION and (n := len(_names(facts, key)))
    ]
    paused = "" if snapshot.paused is None else " The fleet is paused."
    tail = (f" Others: {', '.join(rest)}." if rest else "") + paused
    if not total:
        return Text("No agents in the roster." + paused, Tone.WARN)
    if blocked or failed:
        first = [f"{blocked} of {total} {'needs' if blocked == 1 else 'need'} a person"] if blocked else []
        first += [f"{failed} of {total} failed"] if failed else []
        return Text(f"{', '.join(first)}.{tail}", Tone.BAD)
    if unknown:
        return Text(f"{unknown} of {total} agents not known.{tail}", Tone.WARN)
    return Text(f"All {_count(total, 'agent')} fine: {', '.join(rest)}.{paused}", Tone.GOOD)


def _attention_line(row: AgentRow) -> str:
    alias = f" ({row.alias})" if row.alias and row.alias != row.name else ""
    if group_of(row) == "blocked":
        return f"{row.name}{alias} waits for a person: {row.blocked_reason or 'no reason given'}"
    task = f", at {row.task}" if row.task else ""
    return f"{row.name}{alias} is {row.readiness.value}{task}"


def _names(facts: Facts, group: str) -> Sequence[str]:
    return [name for name, its in facts.groups.items() if its == group]


def _needing(number: int) -> str:
    return f"{number} {'needs' if number == 1 else 'need'} a person"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _clock(then: datetime, local: datetime) -> str:
    """A former moment as the readers' clock shows it; with its date when that is another one."""
    at = then.astimezone(local.tzinfo)
    return f"{at:%H:%M:%S}" if at.date() == local.date() else f"{at:%Y-%m-%d %H:%M}"
