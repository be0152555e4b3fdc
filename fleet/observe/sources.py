"""Everything that a snapshot rests on, as read, each piece with the time of its reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from fleet.host.panes import PaneListing
from fleet.host.systemd import Units
from fleet.model import AgentState, Heartbeat
from fleet.observe.heartbeat import DEFAULT_INTERVAL_S, aged


@dataclass(frozen=True, slots=True)
class Seen:
    """What runs in one pane: the runtime that was recognised (None: none of the known ones), the name of
    the process in front, and whether the process tree could be read at all. ``ended``: the pane's process
    is a zombie, which tmux has not noticed yet (positive evidence of its end)."""

    runtime: str | None
    command: str | None
    readable: bool
    ended: bool = False


@dataclass(frozen=True, slots=True)
class SocketRead:
    """One tmux server: the last good listing with its time, and since when reads fail (None: they do not).

    ``unreachable`` is the verdict over several failed reads; one failed read is not one.
    """

    listing: PaneListing
    at: datetime
    problem: str | None = None
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """``units`` None: no user manager answers. ``runtimes`` is keyed by the pid of a pane's first process.
    ``interval_s`` is our own heartbeat interval, for files that name none."""

    at: datetime
    sockets: Mapping[str, SocketRead]
    heartbeats: Mapping[str, Heartbeat]
    states: Mapping[str, AgentState]
    units: Units | None = None
    runtimes: Mapping[int, Seen] = field(default_factory=dict)
    node_alive: bool | None = None
    paused: str | None = None
    interval_s: float = DEFAULT_INTERVAL_S

    def heartbeat(self, name: str, now: datetime) -> Heartbeat:
        """That heartbeat as old as it is at ``now``; no file is an unknown one."""
        return aged(self.heartbeats.get(name, Heartbeat()), now, default_interval_s=self.interval_s)
