"""Whether a call comes out of a fleet pane: told by its ancestors and panes, not by a variable alone."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from fleet.home import Home
from fleet.host import procs
from fleet.host.name import is_here, this_host
from fleet.host.panes import Listing, PaneListing
from fleet.host.tmux import Tmux
from fleet.model import Roster
from fleet.observe.rows import sockets_of

_UNIT = re.compile(r"mosaic-agent@([a-z0-9][a-z0-9_-]{0,63})\.service")
_OTHER_UNITS = ("mosaic-node.service", "mosaic-tmux-holder.service", "mosaic-bot.service")


class Place(StrEnum):
    AGENT = "agent"  # inside the pane or unit of a roster agent: it acts as that agent
    FLEET = "fleet"  # below a fleet process that is no agent's
    OUTSIDE = "outside"  # the owner
    UNVERIFIED = "unverified"  # could not be read, or a variable claims what the ancestry does not show


@dataclass(frozen=True, slots=True)
class Placement:
    place: Place
    agent: str | None = None


async def place_call(
    home: Home,
    roster: Roster,
    *,
    pid: int | None = None,
    host: str | None = None,
) -> Placement:
    """Where the process ``pid`` of this host (default: this one) stands."""
    here = host or this_host()
    sockets = sockets_of(roster, here)
    listings = await asyncio.gather(*(Tmux(socket).list_panes() for socket in sockets))
    panes = agent_panes(roster, listings, here)
    complete = all(listing.state is not Listing.FAILED for listing in listings)
    asked = os.getpid() if pid is None else pid
    return await asyncio.to_thread(_place, asked, panes, str(home.root), complete)


def _place(pid: int, panes: Mapping[int, str], home: str, complete: bool) -> Placement:
    env = procs.environ_of(pid)
    claimed = env.get("MOSAIC_AGENT_NAME") if env.get("MOSAIC_HOME") == home else None
    return placement_of(pid, panes, claimed=claimed, complete=complete)


def agent_panes(roster: Roster, listings: Iterable[PaneListing], host: str) -> dict[int, str]:
    """The pid of each pane of each agent of this host → the agent's name."""
    found: dict[int, str] = {}
    for listing in listings:
        names = {a.name for a in roster.agents if a.socket == listing.socket and is_here(a.host, host)}
        found.update({p.pid: p.session for p in listing.panes if p.session in names and not p.dead})
    return found


def agent_of_pid(pid: int, panes: Mapping[int, str]) -> str | None:
    """The agent in whose pane ``pid`` runs, by its ancestors; None for none or when they cannot be read."""
    chain = procs.ancestry(pid)
    return next((panes[process.pid] for process in chain or () if process.pid in panes), None)


def placement_of(
    pid: int, panes: Mapping[int, str], *, claimed: str | None = None, complete: bool = True
) -> Placement:
    """Judge one process. ``claimed`` is the agent name that its environment bears; a claim without an
    ancestry to it, or panes that could not all be read (``complete``), leave it unverified."""
    chain = procs.ancestry(pid)
    if chain is None:
        return Placement(Place.UNVERIFIED)
    for process in chain:
        if process.pid in panes:
            return Placement(Place.AGENT, panes[process.pid])
    group = procs.cgroup_of(pid)
    unit = _UNIT.search(group)
    if unit:
        return Placement(Place.AGENT, unit.group(1))
    if any(name in group for name in _OTHER_UNITS):
        return Placement(Place.FLEET)
    if claimed or not complete:
        return Placement(Place.UNVERIFIED)
    return Placement(Place.OUTSIDE)
