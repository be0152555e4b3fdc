"""Join the sources into the rows of `fleet ps`. Pure; the flags and what they mean stand here."""

from __future__ import annotations

import re
from datetime import datetime

from fleet.host.name import is_here
from fleet.host.panes import Listing
from fleet.host.systemd import UnitState
from fleet.model import (
    AgentDef,
    AgentRow,
    AgentState,
    Heartbeat,
    HostRow,
    Pane,
    Readiness,
    Roster,
    Snapshot,
)
from fleet.observe.evidence import evidence_age_s, evidence_lines
from fleet.observe.readiness import Signals, Verdict, classify
from fleet.observe.sources import Seen, SocketRead, Sources
from fleet.runtimes.facts import has_events
from fleet.runtimes.recognise import LAUNCHER

NO_READER = "no ssh reader yet"
_VIEWER = re.compile(r".+-watch-\d+")


def sockets_of(roster: Roster, host: str) -> tuple[str, ...]:
    """The tmux sockets that may be looked at: those of this host's agents. The default socket only where
    an agent lives on it, or the whole roster names none."""
    found = dict.fromkeys(agent.socket for agent in roster.agents if is_here(agent.host, host))
    if roster.socket or not found:
        found.setdefault(roster.socket)
    return tuple(found)


def join(roster: Roster, sources: Sources, *, host: str, now: datetime, threshold_s: float) -> Snapshot:
    """One row per agent, then one per unmanaged session of the sockets. Rows keep the roster's order."""
    rows: list[AgentRow] = []
    for agent in roster.agents:
        if is_here(agent.host, host):
            rows.append(_local(agent, sources, host, now, threshold_s))
        else:
            rows.append(_remote(agent, sources))
    for socket, read in sources.sockets.items():
        rows += _unmanaged(roster, socket, read, sources, host, now, threshold_s)
    return Snapshot(
        ts=now, hosts=_hosts(roster, sources, host, now), agents=tuple(rows), paused=sources.paused
    )


def for_chat(snapshot: Snapshot) -> tuple[Snapshot, int]:
    """The snapshot without the unmanaged sessions of the person's own default server, and their number:
    in chat their names are nobody's business."""
    kept = tuple(row for row in snapshot.agents if row.managed or row.socket)
    shown = Snapshot(ts=snapshot.ts, hosts=snapshot.hosts, agents=kept, paused=snapshot.paused)
    return shown, len(snapshot.agents) - len(kept)


def _local(agent: AgentDef, sources: Sources, host: str, now: datetime, threshold_s: float) -> AgentRow:
    read = sources.sockets.get(agent.socket)
    pane = read.listing.of_session(agent.name) if read else None
    state = sources.states.get(agent.name)
    heartbeat = sources.heartbeat(agent.name, now)
    seen = sources.runtimes.get(pane.pid) if pane else None
    alive = _pane_alive(read, pane, seen)
    idle_s = _aged(pane.idle_s, read, now) if pane and read else None
    state_age_s = max(0.0, (now - state.ts).total_seconds()) if state else None
    task, task_since = _task(state, heartbeat)
    verdict = classify(
        Signals(
            pane_alive=alive,
            heartbeat=heartbeat,
            idle_s=idle_s,
            state=state,
            state_age_s=state_age_s,
            node_alive=sources.node_alive,
            has_events=has_events(agent.runtime),
            task_age_s=(now - task_since).total_seconds() if task and task_since else None,
            interval_s=sources.interval_s,
            quiet_s=min((age for age in (state_age_s, idle_s) if age is not None), default=None),
        ),
        threshold_s,
    )
    unit = sources.units.of_agent(agent.name) if sources.units else None
    return AgentRow(
        name=agent.name,
        host=agent.host or host,
        tenant_id=agent.tenant_id,
        socket=agent.socket,
        managed=True,
        readiness=verdict.readiness,
        alias=agent.alias,
        agent_class=agent.agent_class,
        runtime=agent.runtime,
        runtime_seen=_seen_word(seen),
        model=(state.model if state else None) or heartbeat.model or agent.model_hint,
        systemd_active=unit.active if unit else None,
        systemd_enabled=unit.enabled if unit else None,
        pane_id=pane.pane_id if pane else None,
        pane_alive=alive,
        pane_pid=pane.pid if pane else None,
        pane_command=pane.command if pane else None,
        idle_s=idle_s,
        heartbeat=heartbeat,
        state=state,
        state_age_s=state_age_s,
        task=task,
        flags=_flags(agent, sources, read, seen, unit, verdict),
        blocked_reason=verdict.blocked_reason,
        evidence_age_s=evidence_age_s(verdict.rests_on, read, heartbeat, state_age_s, now),
        evidence=evidence_lines(verdict, read, pane, heartbeat, state, state_age_s, seen, now),
    )


def _flags(
    agent: AgentDef,
    sources: Sources,
    read: SocketRead | None,
    seen: Seen | None,
    unit: UnitState | None,
    verdict: Verdict,
) -> tuple[str, ...]:
    flags: list[str] = []
    if seen is not None and seen.readable and seen.runtime not in {agent.runtime, LAUNCHER}:
        flags.append("DRIFT")
    if unit is not None and unit.active == "active" and unit.enabled == "disabled":
        flags.append("BOOT-ENABLE")
    if verdict.blocked_reason is not None:
        flags.append("BLOCKED")
    if verdict.silent_s is not None:
        flags.append("SILENT")
    if sources.paused is not None:
        flags.append("PAUSED")
    if read is None or read.unreachable:
        flags.append("UNREACHABLE")
    return tuple(flags)


def _remote(agent: AgentDef, sources: Sources) -> AgentRow:
    """An agent of another host: everything about it is unknown here, and the row says why."""
    flags = ("PAUSED", "UNREACHABLE") if sources.paused is not None else ("UNREACHABLE",)
    return AgentRow(
        name=agent.name,
        host=agent.host or "",
        tenant_id=agent.tenant_id,
        socket=agent.socket,
        managed=True,
        readiness=Readiness.UNKNOWN,
        alias=agent.alias,
        agent_class=agent.agent_class,
        runtime=agent.runtime,
        model=agent.model_hint,
        flags=flags,
        evidence=(f"host {agent.host}: {NO_READER}, so nothing is known",),
    )


def _unmanaged(
    roster: Roster,
    socket: str,
    read: SocketRead,
    sources: Sources,
    host: str,
    now: datetime,
    threshold_s: float,
) -> list[AgentRow]:
    ours = {agent.name for agent in roster.agents if agent.socket == socket and is_here(agent.host, host)}
    watched = {pane.pane_id for pane in read.listing.panes if pane.session in ours}
    rows = []
    for session in read.listing.sessions:
        if session in ours or session == roster.holder_session or _VIEWER.fullmatch(session):
            continue
        pane = read.listing.of_session(session)
        if pane is None or pane.pane_id in watched:
            continue  # a grouped session, whatever its name, shows the very panes of the agent's: a viewer
        rows.append(_foreign(session, pane, read, sources, roster, host, now, threshold_s))
    return rows


def _foreign(
    session: str,
    pane: Pane,
    read: SocketRead,
    sources: Sources,
    roster: Roster,
    host: str,
    now: datetime,
    threshold_s: float,
) -> AgentRow:
    """A session that the roster does not know. Its own heartbeat counts, if it has one (RDY-15)."""
    heartbeat = sources.heartbeat(session, now)
    if any(agent.name == session for agent in roster.agents):
        heartbeat = Heartbeat()  # the file belongs to the agent of this name on its own socket
    seen = sources.runtimes.get(pane.pid)
    alive = _pane_alive(read, pane, seen)
    idle_s = _aged(pane.idle_s, read, now)
    verdict = classify(Signals(pane_alive=alive, heartbeat=heartbeat, idle_s=idle_s), threshold_s)
    flags = ["UNMANAGED"]
    flags += ["PAUSED"] if sources.paused is not None else []
    flags += ["UNREACHABLE"] if read.unreachable else []
    return AgentRow(
        name=session,
        host=host,
        tenant_id=roster.tenant_id,
        socket=read.listing.socket,
        managed=False,
        readiness=verdict.readiness,
        runtime="unknown",
        runtime_seen=seen.runtime if seen else None,
        model=heartbeat.model,
        pane_id=pane.pane_id,
        pane_alive=alive,
        pane_pid=pane.pid,
        pane_command=pane.command,
        idle_s=idle_s,
        heartbeat=heartbeat,
        task=heartbeat.task,
        flags=tuple(flags),
        evidence_age_s=evidence_age_s(verdict.rests_on, read, heartbeat, None, now),
        evidence=evidence_lines(verdict, read, pane, heartbeat, None, None, seen, now),
    )


def _pane_alive(read: SocketRead | None, pane: Pane | None, seen: Seen | None) -> bool | None:
    """False only on positive evidence: the server said so, there is none, or the process has ended."""
    if read is None or read.listing.state is Listing.FAILED or read.unreachable:
        return None
    return pane is not None and not pane.dead and not (seen is not None and seen.ended)


def _aged(idle_s: float | None, read: SocketRead, now: datetime) -> float | None:
    return None if idle_s is None else idle_s + max(0.0, (now - read.at).total_seconds())


def _task(state: AgentState | None, heartbeat: Heartbeat) -> tuple[str | None, datetime | None]:
    if state is not None and state.task:
        return state.task, state.task_since
    return heartbeat.task, heartbeat.task_since


def _seen_word(seen: Seen | None) -> str | None:
    """The runtime that runs, else the plain name of what runs instead; None when it could not be read."""
    if seen is None or not seen.readable:
        return None
    return seen.runtime or seen.command


def _hosts(roster: Roster, sources: Sources, host: str, now: datetime) -> tuple[HostRow, ...]:
    ages = [max(0.0, (now - read.at).total_seconds()) for read in sources.sockets.values()]
    here = HostRow(host=host, reachable=True, age_s=max(ages, default=None))
    others = dict.fromkeys(a.host for a in roster.agents if a.host and not is_here(a.host, host))
    return here, *(HostRow(host=name, reachable=None, age_s=None, problem=NO_READER) for name in others)
