"""The words of the fleet, as frozen types. Everything else in `fleet` speaks in these.

Times are aware UTC datetimes, durations are floats of seconds whose names end in ``_s``; unknown is ``None``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class MessageClass(StrEnum):
    """Triage class of a message; absent on the wire means ``actionable``."""

    TERMINAL_LOG = "terminal-log"
    ACTIONABLE = "actionable"
    HUMAN = "human"
    REACTION = "reaction"


class Readiness(StrEnum):
    WORKING = "working"
    AVAILABLE = "available"
    STUCK = "stuck"
    STALE = "stale"
    DEAD = "dead"
    UNKNOWN = "unknown"


class Health(StrEnum):
    """Health of a heartbeat file: fresh, too old, or not readable as one."""

    HEALTHY = "healthy"
    STALE = "stale"
    UNKNOWN = "unknown"


class Lifecycle(StrEnum):
    CORE = "core"
    EPHEMERAL = "ephemeral"


@dataclass(frozen=True, slots=True)
class AgentDef:
    """One roster entry, every default applied.

    ``socket`` is the tmux socket name; the empty string is the literal default socket (no ``-L``).
    ``host``/``ssh`` are ``None`` for this host. ``yolo``/``command``/``channels`` stay ``None`` when the
    roster does not have the key, because then the env file must not have it either (ENV-02, ENV-24).
    """

    name: str
    runtime: str
    agent_class: str = "code"
    alias: str | None = None
    model_hint: str | None = None
    host: str | None = None
    ssh: str | None = None
    socket: str = ""
    working_directory: str = "~/src"
    yolo: bool | None = None
    command: str | None = None
    channels: str | None = None
    account: str | None = None
    lifecycle: Lifecycle = Lifecycle.CORE
    restart: str = "on-failure"
    on_restart: str = "resume"
    permissions: str = "yolo"
    reset_command: str | None = None
    tenant_id: str = ""

    @property
    def shown_as(self) -> str:
        """The friendly name for people; never an address."""
        return self.alias or self.name


@dataclass(frozen=True, slots=True)
class Roster:
    """The one definition of the fleet, loaded."""

    agents: tuple[AgentDef, ...]
    tenant_id: str
    socket: str = ""
    holder_session: str = "_holder"
    notes: tuple[str, ...] = ()

    def get(self, name: str) -> AgentDef | None:
        """The agent of exactly this name (aliases are not addresses), or None."""
        return next((a for a in self.agents if a.name == name), None)

    @property
    def orchestrator(self) -> AgentDef | None:
        return next((a for a in self.agents if a.agent_class == "orchestrator"), None)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What `fleet/run/<agent>.hb` says, judged. Unreadable files give ``Health.UNKNOWN`` and Nones."""

    ts: datetime | None = None
    pid: int | None = None
    status: str | None = None
    interval_s: float | None = None
    model: str | None = None
    task: str | None = None
    task_since: datetime | None = None
    age_s: float | None = None
    health: Health = Health.UNKNOWN


@dataclass(frozen=True, slots=True)
class AgentState:
    """What the program itself reported, as the node wrote it to `fleet/run/<agent>.state` (JSON).

    ``status``: idle | busy | blocked | ended. ``evidence`` names the event it rests on. ``node_start`` is
    the id of the node run that wrote it: a question is bound to it. ``question`` is the open block.
    """

    status: str
    ts: datetime
    evidence: str
    node_start: str
    runtime: str | None = None
    model: str | None = None
    session_id: str | None = None
    turn_id: str | None = None
    task: str | None = None
    task_since: datetime | None = None
    blocked_reason: str | None = None
    question: Mapping[str, Any] | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Pane:
    """One tmux pane as `list-panes -a` saw it. ``idle_s`` rests on ``idle_source``: pane, window, or (only
    where both are empty, because it moves on every attach) session activity."""

    session: str
    pane_id: str
    pid: int
    dead: bool
    in_mode: bool
    command: str | None
    idle_s: float | None
    server_start: int | None = None
    idle_source: str | None = None


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One row of `fleet ps`: every verdict with its evidence and age; what is not known is None."""

    name: str
    host: str
    tenant_id: str
    socket: str
    managed: bool
    readiness: Readiness
    alias: str | None = None
    agent_class: str | None = None
    runtime: str | None = None
    runtime_seen: str | None = None
    model: str | None = None
    systemd_active: str | None = None
    systemd_enabled: str | None = None
    pane_id: str | None = None
    pane_alive: bool | None = None
    pane_pid: int | None = None
    pane_command: str | None = None
    idle_s: float | None = None
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    state: AgentState | None = None
    state_age_s: float | None = None
    task: str | None = None
    flags: tuple[str, ...] = ()
    blocked_reason: str | None = None
    evidence_age_s: float | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostRow:
    host: str
    reachable: bool | None
    age_s: float | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The fleet at one moment. ``paused`` is the reason (may be empty) or None when not paused."""

    ts: datetime
    hosts: tuple[HostRow, ...]
    agents: tuple[AgentRow, ...]
    paused: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A stored file that goes with a message; ``path`` is absolute on the host that reads it."""

    name: str
    path: str
    mime: str = "application/octet-stream"
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message in a spool or mailbox file (`<ULID>.json`), the same shape in both.

    ``kind``: message | turn-ended | block | system. ``src``/``dst`` are the labels of the preamble
    (``host:session``, ``operator:mosaic-cli``, ``matrix:@ana:hs/<handle>.<n>``, ``chat:<address>``).
    ``token`` is what proof and settlement match (a person's ``<handle>.<number>``), never the body.
    ``verified`` is decided by the receiver, never by the sender. ``data`` is for kinds other than message.
    """

    id: str
    ts: datetime
    tenant_id: str
    host: str
    src: str
    dst: str
    body: str
    message_class: MessageClass | None = None
    thread: str | None = None
    reply_to: str | None = None
    mirror: bool = False
    kind: str = "message"
    token: str | None = None
    now: bool = False
    attachments: tuple[Attachment, ...] = ()
    verified: bool | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def triage_class(self) -> MessageClass:
        """The class that routing uses: an absent one is actionable (MSG-03)."""
        return self.message_class or MessageClass.ACTIONABLE


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a delivery into a pane: accepted | draft | held | unknown, with its proof.

    ``evidence`` is one word: event, transcript, screen, dialog, busy, dead, nopane, mark…; ``ms`` the time
    from taking the message up to the verdict.
    """

    verdict: str
    evidence: str
    ms: int

    def line(self) -> str:
        """The wire form: one line of `cur/<ULID>.result` (06-interfaces)."""
        return f"{self.verdict} {self.evidence} {self.ms}"

    @classmethod
    def parse(cls, line: str) -> Receipt:
        """Read :meth:`line`; raises ValueError for anything else."""
        verdict, evidence, ms = line.split()
        if verdict not in {"accepted", "draft", "held", "unknown"}:
            raise ValueError(f"no receipt: {line!r}")
        return cls(verdict, evidence, int(ms))
