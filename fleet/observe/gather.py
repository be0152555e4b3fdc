"""Read every source of a snapshot once: the I/O side of observation.

At most one process per tmux socket and one for the user manager, whatever the number of agents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from fleet.files import is_locked
from fleet.home import Home
from fleet.host import procs
from fleet.host.name import is_here
from fleet.host.panes import Listing, PaneListing
from fleet.host.systemd import Units, list_units
from fleet.host.tmux import Tmux
from fleet.model import AgentState, Heartbeat, Roster
from fleet.observe.heartbeat import own_interval_s, scan
from fleet.observe.rows import sockets_of
from fleet.observe.sources import Seen, SocketRead, Sources
from fleet.observe.state import scan_states
from fleet.runtimes.recognise import Recogniser, recognise, recogniser_for

READ_LIMIT_S = 5.0
_PAUSE_LIMIT_CHARS = 500


async def gather(
    home: Home,
    roster: Roster,
    *,
    now: datetime,
    host: str,
    timeout_s: float = READ_LIMIT_S,
    with_units: bool = True,
) -> Sources:
    """One reading of everything, each source under its own limit of ``timeout_s`` seconds.

    A source that fails is marked as failed; nothing is raised but CancelledError.
    """
    sockets = sockets_of(roster, host)
    async with asyncio.TaskGroup() as group:
        listings = [
            group.create_task(_list(socket, now, timeout_s), name=f"panes of {socket or 'default'}")
            for socket in sockets
        ]
        units = group.create_task(_units(with_units, timeout_s), name="systemd units")
        files = group.create_task(asyncio.to_thread(_files, home, now), name="run folder")
    read = {socket: task.result() for socket, task in zip(sockets, listings, strict=True)}
    heartbeats, states, node_alive, paused = files.result()
    return Sources(
        at=now,
        sockets={socket: _as_read(listing, now) for socket, listing in read.items()},
        heartbeats=heartbeats,
        states=states,
        units=units.result(),
        runtimes=await asyncio.to_thread(look_below, roster, read, host),
        node_alive=node_alive,
        paused=paused,
        interval_s=own_interval_s(),
    )


def look_below(roster: Roster, listings: Mapping[str, PaneListing], host: str) -> dict[int, Seen]:
    """What runs below each first pane of a session, by the pane's pid."""
    found: dict[int, Seen] = {}
    for socket, listing in listings.items():
        agents = {a.name: a for a in roster.agents if a.socket == socket and is_here(a.host, host)}
        for session in listing.sessions:
            pane = listing.of_session(session)
            if pane is None or pane.dead or pane.pid in found:
                continue
            agent = agents.get(session)
            known = recogniser_for(agent.runtime, agent.command) if agent else recognise
            found[pane.pid] = see(pane.pid, known)
    return found


def see(pane_pid: int, known: Recogniser) -> Seen:
    """What runs below that process."""
    top = procs.read_process(pane_pid)
    if top is None or top.state == "Z":
        return Seen(None, None, readable=False, ended=top is not None)
    runtime = procs.runtime_of(pane_pid, known)
    if runtime is not None:
        return Seen(runtime, None, readable=True)
    return Seen(None, procs.foreground_command(pane_pid) or top.comm, readable=True)


def _as_read(listing: PaneListing, now: datetime) -> SocketRead:
    failed = listing.state is Listing.FAILED
    return SocketRead(listing, now, problem=listing.problem if failed else None, unreachable=failed)


async def _list(socket: str, now: datetime, timeout_s: float) -> PaneListing:
    return await Tmux(socket, clock=now.timestamp, timeout_s=timeout_s).list_panes()


async def _units(wanted: bool, timeout_s: float) -> Units | None:
    return await list_units(timeout_s=timeout_s) if wanted else None


def _files(
    home: Home, now: datetime
) -> tuple[dict[str, Heartbeat], dict[str, AgentState], bool | None, str | None]:
    heartbeats = scan(home, now, default_interval_s=own_interval_s())
    return heartbeats, scan_states(home), _node_alive(home), _paused(home)


def _node_alive(home: Home) -> bool | None:
    """A node lives while it holds its lock; None where that cannot be told."""
    try:
        return is_locked(home.node_lock)
    except OSError:
        return None


def _paused(home: Home) -> str | None:
    """The reason in the PAUSED file (may be empty), None when there is no such file. A file that cannot
    be read pauses all the same."""
    try:
        with home.paused.open("r", encoding="utf-8", errors="replace") as handle:
            text = handle.read(_PAUSE_LIMIT_CHARS)
    except FileNotFoundError:
        return None
    except OSError:
        return ""
    return " ".join(text.split())
