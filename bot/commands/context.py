"""What a command may use. Each handler takes what it needs from here and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bot.roles import Role
from fleet.home import Home
from fleet.model import Roster, Snapshot

if TYPE_CHECKING:
    from bot.services import Services


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks and from where. ``person`` is the exact id on that surface (``@ana:hs``; a terminal is
    ``local:<user>``; an agent's pane is ``agent:<name>``), ``agent`` is set when a fleet pane asks."""

    surface: str  # matrix | local | cli
    person: str
    role: Role
    room: str | None = None  # configured room name
    room_id: str | None = None
    thread: str | None = None
    event: str | None = None
    agent: str | None = None

    @property
    def label(self) -> str:
        """Who, for the audit: ``matrix:@ana:hs``, ``local:ana``, ``agent:coder0``."""
        known = ("agent:", "local:", "unverified:")
        return self.person if self.person.startswith(known) else f"{self.surface}:{self.person}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command would do, before it does it. ``effect`` is one sentence that names what is really
    touched. ``fingerprint`` changes whenever that sentence would no longer be true. ``wide``: the whole
    fleet, or for good. ``idle``: nothing would change, so nobody is asked."""

    effect: str
    fingerprint: str = ""
    targets: tuple[str, ...] = ()
    wide: bool = False
    idle: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """``snapshot`` answers from memory in the bot and reads once in a terminal. ``services`` is None in a
    terminal (only commands that need FLEET run there without the bot)."""

    home: Home
    caller: Caller
    now: Callable[[], datetime]
    roster: Callable[[], Awaitable[Roster]]
    snapshot: Callable[[], Awaitable[Snapshot]]
    services: Services | None = None
    prefix: str = "mosaic "  # what stands before a command on this surface
    extra: dict[str, Any] = field(default_factory=dict)
