"""An agent's turn, from what its program reports. Pure: a track and an event in, a track and envelopes out.

A turn opens with an accepted prompt and closes with its end, an API failure, a new session, the pane's end,
or an idle program that never said "ended" (05-processes, *A turn*). Each close is told once: an event that
comes twice changes nothing, also across a restart, because envelope ids are made from what they tell.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet.messages.ids import id_of
from fleet.model import AgentState, Envelope
from fleet.node.events import Event, EventKind

ENDED_KEPT = 32  # closed turns that are remembered, so that a late or doubled report is known as such
RESETS = frozenset({"clear", "cleared"})
CLOCK_SLACK = timedelta(seconds=60)

_TOKEN = re.compile(
    r"\[(?:matrix|discord|local):\S+?/([a-z2-7]{12}\.\d+)\s*->\s*\S+?\s+class=(?:human|reaction)\]"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Who speaks: the labels and ids that go into every envelope of this node run."""

    host: str
    tenant_id: str
    node_start: str


@dataclass(frozen=True, slots=True)
class Track:
    """What is known of one agent. ``turn_open`` and ``tokens`` (people's messages in the running turn) are
    kept in the state file too, for the next node run. ``idle_since``: idle was reported inside a turn."""

    state: AgentState | None = None
    turn_open: bool = False
    tokens: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    idle_since: datetime | None = None
    end_reason: str | None = None  # what the program said when it ended

    @property
    def status(self) -> str | None:
        return self.state.status if self.state else None


@dataclass(frozen=True, slots=True)
class Applied:
    track: Track
    envelopes: tuple[Envelope, ...] = ()
    news: bool = True  # False: nothing new was said


@dataclass(frozen=True, slots=True)
class Seen:
    """What the caller looked up for an event: which tokens in its prompt are real (were put into this
    agent's mailbox), and what stands on the screen (for a block)."""

    tokens: tuple[str, ...] = ()
    screen: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def tokens_in(prompt: str) -> tuple[str, ...]:
    """Tokens of people's messages whose preambles stand in a prompt; several messages may be one prompt."""
    return tuple(dict.fromkeys(_TOKEN.findall(prompt)))


def apply(track: Track, event: Event, place: Place, now: datetime, seen: Seen | None = None) -> Applied:
    """The track after the event, and what people must be told of it."""
    looked = seen or Seen()
    match event.kind:
        case EventKind.PROMPT_ACCEPTED:
            return _accepted(track, event, place, now, looked)
        case EventKind.TURN_ENDED:
            return _ended(track, event, place, now, looked)
        case EventKind.BLOCKED:
            return _blocked(track, event, place, now, looked)
        case EventKind.UNBLOCKED:
            return _unblocked(track, event, place, now)
        case EventKind.IDLE:
            return _idle(track, event, place, now)
        case EventKind.SESSION_STARTED:
            return _started(track, event, place, now)
        case EventKind.SESSION_ENDED:
            return _gone(track, event, place, now)


def close_turn(track: Track, event: Event, place: Place, now: datetime, reason: str) -> Applied:
    """Close the running turn for a reason other than its own end; ``event`` says who and when."""
    state = track.state
    if not track.turn_open or state is None:
        return Applied(track, news=False)
    ended = replace(
        event, session_id=state.session_id, turn_id=state.turn_id, reason=reason, last_message=None
    )
    return _ended(track, ended, place, now, Seen())


def expire_question(track: Track, agent: str, place: Place, now: datetime) -> Applied:
    """Close a question that an earlier node run had open: nobody can answer it any more."""
    event = Event(agent, EventKind.UNBLOCKED, now, reason="expired, not run", source="node")
    return _unblocked(track, event, place, now)


def _accepted(track: Track, event: Event, place: Place, now: datetime, seen: Seen) -> Applied:
    key = _turn_key(event)
    if key and key in track.ended:
        return Applied(track, news=False)
    told: tuple[Envelope, ...] = ()
    state = track.state
    if track.turn_open and state is not None:
        other_session = _differ(state.session_id, event.session_id)
        if other_session or _differ(state.turn_id, event.turn_id):
            closed = close_turn(track, event, place, now, "cleared" if other_session else "idle")
            track, told = closed.track, closed.envelopes
    track, unblocked = _lift_question(track, event, place, now)
    tokens = tuple(dict.fromkeys((*(track.tokens if track.turn_open else ()), *seen.tokens)))
    after = replace(
        track, state=_state(track, event, place, "busy"), turn_open=True, tokens=tokens, idle_since=None
    )
    return Applied(after, told + unblocked)


def _ended(track: Track, event: Event, place: Place, now: datetime, seen: Seen) -> Applied:
    state = track.state
    if event.turn_id is None and track.turn_open and state is not None:
        event = replace(event, turn_id=state.turn_id, session_id=event.session_id or state.session_id)
    key = _turn_key(event)
    if key and key in track.ended:
        return Applied(track, news=False)
    if not key and not track.turn_open:
        return Applied(replace(track, state=_state(track, event, place, "idle")))
    # An end of another turn than the one that runs (its reports overtook each other) closes nothing else.
    mine = not track.turn_open or state is None or not _differ(state.turn_id, event.turn_id)
    tokens = tuple(dict.fromkeys((*(track.tokens if mine else ()), *seen.tokens)))
    unblocked: tuple[Envelope, ...] = ()
    ended = (*track.ended, *([key] if key else []))[-ENDED_KEPT:]
    if mine:
        track, unblocked = _lift_question(track, event, place, now)
        status = replace(_state(track, event, place, "idle"), turn_id=None)
        after = replace(track, state=status, turn_open=False, tokens=(), ended=ended, idle_since=None)
    else:
        after = replace(track, ended=ended)
    data = {
        "turn_id": event.turn_id,
        "session_id": event.session_id,
        "tokens": list(tokens),
        "last_message": event.last_message,
        "reason": event.reason or "end",
    }
    told = _envelope(event, place, now, "turn-ended", key or event.ts.isoformat(), data)
    return Applied(after, (*unblocked, told))


def _blocked(track: Track, event: Event, place: Place, now: datetime, seen: Seen) -> Applied:
    question = event.question or "-"
    if _question(track) == question and track.status == "blocked":
        return Applied(track, news=False)
    track, lifted = _lift_question(track, event, place, now)
    data: dict[str, Any] = {
        "question": question,
        "reason": event.reason,
        "options": list(event.options),
        "screen": seen.screen,
        "node_start": place.node_start,
        "source": event.source,
    }
    state = _state(track, event, place, "blocked")
    asked = {"question": question, "options": list(event.options), "source": event.source}
    state = replace(state, question=asked, blocked_reason=event.reason or "a question on its screen")
    told = _envelope(event, place, now, "block", f"{place.node_start}/{question}", data)
    return Applied(replace(track, state=state), (*lifted, told))


def _unblocked(track: Track, event: Event, place: Place, now: datetime) -> Applied:
    asked = _question(track)
    if asked is None or (event.question is not None and event.question != asked):
        return Applied(track, news=False)
    track, told = _lift_question(track, event, place, now)
    state = _state(track, event, place, "busy" if track.turn_open else "idle")
    return Applied(replace(track, state=state), told)


def _idle(track: Track, event: Event, place: Place, now: datetime) -> Applied:
    state = track.state
    if track.turn_open and state is not None:
        task = replace(_state(track, event, place, state.status), evidence=state.evidence)
        said = event.turn_id is not None and event.turn_id == state.turn_id
        since = track.idle_since if said else track.idle_since or now
        return Applied(replace(track, state=task, idle_since=since))
    track, told = _lift_question(track, event, place, now)
    return Applied(replace(track, state=_state(track, event, place, "idle")), told)


def _started(track: Track, event: Event, place: Place, now: datetime) -> Applied:
    state = track.state
    told: tuple[Envelope, ...] = ()
    if track.turn_open and state is not None:
        if not _differ(state.session_id, event.session_id) and not _differ(state.pid, event.pid):
            return Applied(track, news=False)
        closed = close_turn(track, event, place, now, "crash" if _differ(state.pid, event.pid) else "cleared")
        track, told = closed.track, closed.envelopes
    track, lifted = _lift_question(track, event, place, now)
    fresh = replace(_state(track, event, place, "idle"), turn_id=None)
    return Applied(replace(track, state=fresh, idle_since=None, end_reason=None), told + lifted)


def _gone(track: Track, event: Event, place: Place, now: datetime) -> Applied:
    if track.status == "ended":
        return Applied(track, news=False)
    if event.reason in RESETS:  # the context ended, the program goes on
        return close_turn(track, event, place, now, "cleared")
    closed = close_turn(track, event, place, now, "crash")
    track, lifted = _lift_question(closed.track, event, place, now)
    after = replace(track, state=_state(track, event, place, "ended"), turn_open=False, tokens=())
    return Applied(replace(after, end_reason=event.reason), closed.envelopes + lifted)


def _question(track: Track) -> str | None:
    asked = track.state.question if track.state else None
    return str(asked.get("question")) if asked else None


def _lift_question(
    track: Track, event: Event, place: Place, now: datetime
) -> tuple[Track, tuple[Envelope, ...]]:
    """Close the open question, whatever ended it: an unblock is told for every block."""
    asked, state = _question(track), track.state
    if asked is None or state is None:
        return track, ()
    ended = {EventKind.TURN_ENDED: "its turn ended", EventKind.SESSION_ENDED: "its program ended"}
    reason = event.reason if event.kind is EventKind.UNBLOCKED else ended.get(event.kind, "it went on")
    data = {"question": asked, "reason": reason or "answered", "node_start": state.node_start}
    told = _envelope(event, place, now, "unblock", f"{state.node_start}/{asked}", data)
    return replace(track, state=replace(state, question=None, blocked_reason=None)), (told,)


def _state(track: Track, event: Event, place: Place, status: str) -> AgentState:
    old = track.state
    base = old or AgentState(status, event.ts, "", place.node_start)
    task, since = base.task, base.task_since
    if event.task is not None and event.task != (task or ""):
        task, since = event.task or None, event.ts if event.task else None
    evidence = event.kind.value if event.source == "event" else f"{event.kind.value} ({event.source})"
    return replace(
        base,
        status=status,
        ts=event.ts,
        evidence=evidence,
        node_start=place.node_start,
        runtime=event.runtime or base.runtime,
        model=event.model or base.model,
        session_id=event.session_id or base.session_id,
        turn_id=event.turn_id or base.turn_id,
        pid=event.pid or base.pid,
        task=task,
        task_since=since,
    )


def _differ(one: object, other: object) -> bool:
    return one is not None and other is not None and one != other


def _turn_key(event: Event) -> str | None:
    return f"{event.session_id or ''}/{event.turn_id}" if event.turn_id else None


def _envelope(
    event: Event, place: Place, now: datetime, kind: str, key: str, data: Mapping[str, Any]
) -> Envelope:
    moment = event.ts if now - CLOCK_SLACK <= event.ts <= now else now
    told = hashlib.sha256(f"{event.agent}\0{kind}\0{key}".encode()).digest()
    # One later than the event, so that it sorts behind what the agent itself sent in the same millisecond.
    number = id_of(int(moment.timestamp() * 1000) + 1, int.from_bytes(told[:10]))
    return Envelope(
        id=number,
        ts=moment.astimezone(UTC),
        tenant_id=place.tenant_id,
        host=place.host,
        src=f"{place.host}:{event.agent}",
        dst="bot",
        body="",
        kind=kind,
        verified=event.source in {"event", "screen", "pane", "node"},
        data=data,
    )
