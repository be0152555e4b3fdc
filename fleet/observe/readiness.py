"""From evidence to one of six words. Pure and total: no input makes it raise.

The rules are those of the fleet page, in its order. Idleness alone is never `stuck`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.model import AgentState, Health, Heartbeat, Readiness
from fleet.observe.heartbeat import DEFAULT_INTERVAL_S, STALE_FACTOR

DEFAULT_THRESHOLD_S = 300.0
SILENT_AFTER_S = 600.0
THRESHOLD_VARIABLE = "MOSAIC_HEARTBEAT_IDLE_THRESHOLD"  # the name of old, RDY-09


@dataclass(frozen=True, slots=True)
class Signals:
    """What is known of one agent now. Ages and times are seconds; None is not known.

    ``pane_alive``: False needs positive evidence, a failed read is None. ``blocked_screen`` is a known
    blocking screen that was seen. ``quiet_s`` is the time since the program was last heard of in any way
    (event, transcript, output). ``task_age_s`` is how long ago the task in flight was dispatched.
    """

    pane_alive: bool | None = None
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    idle_s: float | None = None
    state: AgentState | None = None
    state_age_s: float | None = None
    node_alive: bool | None = None
    has_events: bool = False
    task_age_s: float | None = None
    blocked_screen: str | None = None
    quiet_s: float | None = None
    interval_s: float = DEFAULT_INTERVAL_S


@dataclass(frozen=True, slots=True)
class Verdict:
    """``rests_on`` names the piece that decided: pane, heartbeat, state, idle, none. ``why`` is one line."""

    readiness: Readiness
    rests_on: str
    why: str
    blocked_reason: str | None = None
    silent_s: float | None = None


def idle_threshold_s(env: Mapping[str, str], given: float | None = None) -> float:
    """A finite argument wins; else the variable, positive whole seconds; else 300 (RDY-08, RDY-11)."""
    if given is not None and math.isfinite(given):
        return float(given)
    text = env.get(THRESHOLD_VARIABLE, "").strip()
    if text.isascii() and text.isdigit() and int(text[:12]) > 0:
        return float(int(text[:12]))
    return DEFAULT_THRESHOLD_S


def classify(signals: Signals, threshold_s: float = DEFAULT_THRESHOLD_S) -> Verdict:
    """The readiness of one agent. What goes wrong inside gives `unknown`, never an exception (RDY-03)."""
    try:
        return _classify(signals, threshold_s)
    except (TypeError, ValueError, AttributeError, ArithmeticError) as problem:
        return Verdict(Readiness.UNKNOWN, "none", f"the evidence cannot be judged ({type(problem).__name__})")


def _classify(s: Signals, threshold_s: float) -> Verdict:
    if s.pane_alive is None:
        return Verdict(Readiness.UNKNOWN, "none", "the pane could not be looked at")
    if not s.pane_alive:
        return Verdict(Readiness.DEAD, "pane", "its pane is gone")
    if s.heartbeat.health is Health.UNKNOWN:
        return Verdict(Readiness.UNKNOWN, "heartbeat", "no readable heartbeat")
    if s.heartbeat.health is Health.STALE:
        return Verdict(Readiness.STALE, "heartbeat", "its heartbeat stopped")
    if s.has_events:
        if s.state is None:
            return Verdict(Readiness.UNKNOWN, "state", "the program has reported nothing yet")
        if s.node_alive is False and _old(s):
            return Verdict(Readiness.UNKNOWN, "state", "no node lives and its last report is old")
    block = _block(s)
    if block is not None:
        return Verdict(Readiness.STUCK, "state", f"blocked: {block}", blocked_reason=block)
    if s.state is not None and s.state.status == "ended":
        return Verdict(Readiness.UNKNOWN, "state", "the program reported its end, its pane is still open")
    if _busy(s):
        return _working(s)
    idle_s = s.idle_s
    if idle_s is None or not math.isfinite(idle_s):
        return Verdict(Readiness.WORKING, "heartbeat", "how long it is idle is not known")
    if idle_s >= threshold_s:
        if s.task_age_s is not None and s.task_age_s > threshold_s:
            return Verdict(Readiness.STUCK, "idle", "a task is in flight and nothing moves")
        return Verdict(Readiness.AVAILABLE, "idle", "nothing moved for the threshold")
    return Verdict(Readiness.WORKING, "idle", "its pane moved lately")


def _old(s: Signals) -> bool:
    interval_s = s.heartbeat.interval_s or s.interval_s
    return s.state_age_s is None or s.state_age_s > STALE_FACTOR * interval_s


def _block(s: Signals) -> str | None:
    if s.state is not None and s.state.status == "blocked":
        return s.state.blocked_reason or "it waits for a person"
    return s.blocked_screen


def _busy(s: Signals) -> bool:
    """The program's own report decides where there is one; the heartbeat only copies it, later."""
    if s.state is not None and s.state.status in {"busy", "idle"}:
        return s.state.status == "busy"
    return s.heartbeat.status == "busy"


def _working(s: Signals) -> Verdict:
    rests_on = "state" if s.state is not None else "heartbeat"
    if s.quiet_s is not None and s.quiet_s >= SILENT_AFTER_S:
        why = "busy, but nothing was heard of it for long"
        return Verdict(Readiness.WORKING, rests_on, why, silent_s=s.quiet_s)
    return Verdict(Readiness.WORKING, rests_on, "busy")
