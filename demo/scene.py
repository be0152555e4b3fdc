"""What a flow of the demo has at hand, and how it is judged: by what was received and what panes show."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from demo.fleet_side import FleetSide
from demo.matrix_client import MatrixClient, MatrixRefused
from demo.matrix_seen import Seen
from demo.processes import DemoError
from demo.transcript import Transcript

WAIT_S = 45.0  # generous: a loaded machine is slow, and nothing here is judged by speed


class FlowFailedError(Exception):
    """What was received is not what had to be."""


@dataclass(frozen=True, slots=True)
class Result:
    """``latency_s`` from the cause to its last effect; ``said`` is one line, on failure the reason."""

    name: str
    ok: bool
    latency_s: float | None
    said: str


@dataclass(slots=True)
class Scene:
    """The stage. ``rooms`` is name → id; ``bot`` is the id of the bot's account."""

    operator: MatrixClient
    outsider: MatrixClient
    fleet: FleetSide
    rooms: dict[str, str]
    bot: str
    transcript: Transcript
    bot_started: float
    results: list[Result] = field(default_factory=list)
    _printed: int = 0

    def now_at(self) -> int:
        """The place in the operator's events from which a wait should look."""
        return len(self.operator.seen)

    async def from_bot(
        self, room: str, wanted: Callable[[Seen], bool], *, after: int = 0, timeout_s: float = WAIT_S
    ) -> Seen:
        """The bot's first event in that room that is wanted. Raises TimeoutError."""
        return await self.operator.wait_for(
            lambda e: e.room == self.rooms[room] and e.sender == self.bot and wanted(e), timeout_s, after
        )

    def show(self) -> None:
        """Print what arrived since the last call."""
        fresh = self.operator.seen[self._printed :]
        self._printed += len(fresh)
        self.transcript.events(fresh)

    async def play(
        self, name: str, words: str, flow: Callable[[Scene], Awaitable[tuple[float | None, str]]]
    ) -> None:
        """One flow, its conversation and its verdict. Failures are recorded, and the next flow is played."""
        self.transcript.heading(words)
        began = time.monotonic()
        try:
            latency, said = await flow(self)
            result = Result(name, True, latency, said)
        except (TimeoutError, FlowFailedError, DemoError, MatrixRefused, OSError) as problem:
            result = Result(name, False, None, str(problem) or type(problem).__name__)
        # What belongs to the same moment (receipts, edits) is let in before it is printed.
        await asyncio.sleep(0.1)
        self.show()
        self.results.append(result)
        if result.ok:
            took = "" if result.latency_s is None else f" · {result.latency_s:.2f} s"
            self.transcript.line(f"✔ {name}: {result.said}{took}")
        else:
            self.transcript.line(f"✘ {name} FAILED after {time.monotonic() - began:.1f} s: {result.said}")


def need(true: bool, words: str) -> None:
    """Raises FlowFailedError with the words when it is not so."""
    if not true:
        raise FlowFailedError(words)


def shows(screen: str, wanted: str) -> bool:
    """Whether a pane shows it; where its program broke the lines does not count."""
    return "".join(wanted.split()) in "".join(screen.split())


def excerpt(screen: str, wanted: str, lines: int = 8) -> str:
    """The lines of a pane from the one that holds ``wanted`` on (its first eight letters decide)."""
    rows = screen.rstrip().splitlines()
    for place, row in enumerate(rows):
        if wanted[:24] in row:
            shown = rows[place : place + lines]
            # The prompt and the status line below are no part of what was written.
            end = next(
                (n for n, line in enumerate(shown) if line.startswith(("─", "✻", "✽", "✶", "✢"))), lines
            )
            return "\n".join(shown[:end])
    return "\n".join(rows[-lines:])
