"""What programs report, as a frozen word of ours. The HTTP body is checked in `receiver`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    SESSION_STARTED = "session_started"
    PROMPT_ACCEPTED = "prompt_accepted"
    TURN_ENDED = "turn_ended"
    BLOCKED = "blocked"
    UNBLOCKED = "unblocked"
    IDLE = "idle"
    SESSION_ENDED = "session_ended"


@dataclass(frozen=True, slots=True)
class Event:
    """One report. ``source`` says how we know: event (the program), unverified (nobody could check that
    it comes from that agent's pane), screen or pane (seen by the node itself)."""

    agent: str
    kind: EventKind
    ts: datetime
    runtime: str | None = None
    session_id: str | None = None
    turn_id: str | None = None
    pid: int | None = None
    text: str | None = None
    last_message: str | None = None
    reason: str | None = None
    question: str | None = None
    options: tuple[str, ...] = ()
    task: str | None = None
    model: str | None = None
    source: str = "event"
