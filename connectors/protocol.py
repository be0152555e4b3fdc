"""What the bot asks of a chat network, and what it gets back. Every connector passes one contract suite.

Facts come out of :meth:`Connector.events` in the order of the network, each with the network's own id, so
that the reader can journal it before acting. Posts go in with a transaction id: the same id twice shows once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Target:
    """Where a post goes: a room of this network, and the root message of a thread in it, if any."""

    room: str
    thread: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A local file to post. ``alt`` is the sentence that stands for it where it cannot be seen."""

    path: Path
    name: str
    mime: str
    alt: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """One post, already rendered for this network.

    ``text`` is the plain body, ``html`` the formatted one where the network has it. ``ping`` is the exact
    user ids that this post may notify; empty means nobody, never "whoever is named in the text". ``silent``
    asks the network not to push at all (Matrix: m.notice). ``reply_to`` quotes a message of the same room.
    """

    text: str
    html: str | None = None
    ping: tuple[str, ...] = ()
    silent: bool = True
    reply_to: str | None = None
    file: File | None = None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that came with a message; :meth:`Connector.download` fetches it."""

    ref: str
    name: str
    mime: str
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What every fact of the network has. ``id`` is the network's own, unique within the connector."""

    id: str
    room: str
    sender: str
    ts: datetime


@dataclass(frozen=True, slots=True)
class MessageReceived(Event):
    """A message. ``is_command_capable`` is False for notices, bots, bridged ghosts: they never command."""

    text: str
    thread: str | None = None
    reply_to: str | None = None
    mentions_me: bool = False
    is_direct: bool = False
    is_command_capable: bool = True
    files: tuple[RemoteFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Edited(Event):
    """``target`` now reads ``text``."""

    target: str
    text: str


@dataclass(frozen=True, slots=True)
class Redacted(Event):
    """``target`` was taken back (a message, or a reaction by its own id)."""

    target: str


@dataclass(frozen=True, slots=True)
class Reacted(Event):
    """An emoji on ``target``."""

    target: str
    emoji: str


@dataclass(frozen=True, slots=True)
class Undecryptable(Event):
    """A message that this device cannot read; it must be answered, never dropped silently."""

    reason: str


ChatEvent: TypeAlias = MessageReceived | Edited | Redacted | Reacted | Undecryptable


@dataclass(frozen=True, slots=True)
class Batch:
    """Facts that belong together, and the position that stands behind them.

    The reader journals every event, then stores ``cursor``, then acts. A connector that is started with
    the stored cursor gives again whatever was not covered by it.
    """

    events: tuple[ChatEvent, ...]
    cursor: str | None = None


class LinkState(StrEnum):
    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"  # retrying by itself
    STOPPED = "stopped"  # needs a person: wrong password, dead token


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one connector, in words a person can act on. ``since`` is when it became so."""

    state: LinkState
    since: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the network can do; limits in characters (None: no limit that matters)."""

    threads: bool = True
    edits: bool = True
    reactions: bool = True
    files: bool = True
    html: bool = False
    message_limit: int = 30_000


@dataclass(frozen=True, slots=True)
class Sent:
    """The network took it; ``ref`` is its message id."""

    ref: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The network refused it for good (too large, no such room, forbidden): sending again cannot help."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Not now. Send the same transaction again after ``retry_after_s`` (None: as the sender sees fit)."""

    reason: str
    retry_after_s: float | None = None


Outcome: TypeAlias = Sent | Rejected | Unavailable


class StartError(Exception):
    """The connector cannot start and retrying cannot help; the text says what happened and the mend."""


class Connector(Protocol):
    """One chat network. Methods never raise for what a network does; they return an :data:`Outcome`.

    ``name`` is ``matrix`` | ``discord`` | ``local``. ``me`` is the bot's own id there after start.
    """

    name: str
    capabilities: Capabilities

    @property
    def me(self) -> str: ...

    @property
    def status(self) -> Status: ...

    async def probe(self) -> str | None:
        """Try to reach the network and sign in: None when it works, else what is wrong and the mend."""

    async def start(self, cursor: str | None) -> None:
        """Connect. Raises :class:`StartError` where only a person can mend it."""

    async def stop(self) -> None:
        """Disconnect within 5 s; a running :meth:`events` ends."""

    def events(self) -> AsyncIterator[Batch]:
        """Facts since the cursor, in order, for ever. Own messages are left out."""

    async def send(self, target: Target, content: Content, txn: str) -> Outcome: ...

    async def edit(self, target: Target, ref: str, content: Content, txn: str) -> Outcome: ...

    async def react(self, target: Target, ref: str, emoji: str, txn: str) -> Outcome: ...

    async def redact(self, target: Target, ref: str, txn: str) -> Outcome: ...

    async def upload(self, target: Target, content: Content, txn: str) -> Outcome:
        """Post ``content.file`` with ``content.text`` as caption."""

    async def typing(self, room: str, on: bool) -> None: ...

    async def download(self, file: RemoteFile, to: Path, limit_bytes: int) -> bool:
        """Fetch into ``to``; False when too large or gone."""
