"""Which evidence a row rests on and how old each piece is, in words. Pure."""

from __future__ import annotations

from datetime import datetime

from fleet.host.panes import Listing
from fleet.model import AgentState, Health, Heartbeat, Pane
from fleet.observe.readiness import Verdict
from fleet.observe.sources import Seen, SocketRead


def evidence_age_s(
    rests_on: str,
    read: SocketRead | None,
    heartbeat: Heartbeat,
    state_age_s: float | None,
    now: datetime,
) -> float | None:
    """The age in seconds of the piece that decided; None when nothing is known."""
    if rests_on == "heartbeat":
        return heartbeat.age_s
    if rests_on == "state":
        return state_age_s
    if rests_on == "none" and (read is None or read.listing.state is Listing.FAILED):
        return None
    return max(0.0, (now - read.at).total_seconds()) if read else None


def evidence_lines(
    verdict: Verdict,
    read: SocketRead | None,
    pane: Pane | None,
    heartbeat: Heartbeat,
    state: AgentState | None,
    state_age_s: float | None,
    seen: Seen | None,
    now: datetime,
) -> tuple[str, ...]:
    """One line per piece; the first says the verdict and why."""
    return (
        f"{verdict.readiness}: {verdict.why}",
        _pane_line(read, pane, now),
        _heartbeat_line(heartbeat),
        _state_line(state, state_age_s),
        _seen_line(seen),
    )


def _pane_line(read: SocketRead | None, pane: Pane | None, now: datetime) -> str:
    if read is None:
        return "pane: its socket was not read"
    age = f"read {_age((now - read.at).total_seconds())} ago"
    if read.listing.state is Listing.FAILED:
        return f"pane: tmux did not answer ({read.problem or read.listing.problem})"
    if read.listing.state is Listing.NO_SERVER:
        return f"pane: no tmux server on its socket, {age}"
    trouble = f"; reads fail since ({read.problem})" if read.problem else ""
    if pane is None:
        return f"pane: no session of its name, {age}{trouble}"
    if pane.dead:
        return f"pane {pane.pane_id}: its program ended and the pane was kept, {age}{trouble}"
    idle = (
        "idle unknown" if pane.idle_s is None else f"idle {_age(pane.idle_s)} by {pane.idle_source} activity"
    )
    return f"pane {pane.pane_id}: process {pane.pid}, {idle}, {age}{trouble}"


def _heartbeat_line(heartbeat: Heartbeat) -> str:
    if heartbeat.health is Health.UNKNOWN or heartbeat.age_s is None:
        return "heartbeat: none that can be read"
    return f"heartbeat: {heartbeat.health}, status {heartbeat.status}, {_age(heartbeat.age_s)} old"


def _state_line(state: AgentState | None, age_s: float | None) -> str:
    if state is None or age_s is None:
        return "program: it has reported nothing"
    return f"program: {state.status}, from {state.evidence}, {_age(age_s)} old"


def _seen_line(seen: Seen | None) -> str:
    if seen is None or not seen.readable:
        return "process tree: not read"
    if seen.runtime:
        return f"process tree: {seen.runtime} runs"
    return f"process tree: no known runtime, {seen.command or 'an unknown program'} is in front"


def _age(seconds: float) -> str:
    whole = int(max(0.0, seconds) + 0.5)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h"
