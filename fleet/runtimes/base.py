"""The shape of a runtime adapter: what the fleet must know of one agent program.

An adapter is a pure description plus codecs; whoever uses it does the I/O (screen text comes from the
caller, keys are pressed by the caller). Reading the program's own transcript file is the one exception,
because only the adapter knows where it lies and how it is written. Programs with a door of their own (a
socket, an HTTP endpoint) add a ``door`` that is given its transport; without one, text is pasted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from fleet.home import Home

_BLANKS = re.compile(r"\s+")


class Prompt(StrEnum):
    """What stands on the program's screen where a message would go."""

    IDLE = "idle"  # an empty prompt, nothing runs
    BUSY = "busy"  # an empty prompt while a turn runs
    DIALOG = "dialog"  # a question or a start-up screen: an Enter there would answer it
    DRAFT = "draft"  # text that nobody submitted
    UNKNOWN = "unknown"  # starting, or a screen this adapter does not know


@dataclass(frozen=True, slots=True)
class Screen:
    """One visible screen, read. ``draft`` is the text in the prompt as far as it shows, ``reason`` what a
    dialog asks and ``options`` its choices; ``busy`` whether a turn runs, None where it does not show."""

    prompt: Prompt
    draft: str = ""
    reason: str | None = None
    options: tuple[str, ...] = ()
    busy: bool | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """One prompt that the program took, as its transcript has it."""

    text: str
    ts: datetime | None = None
    turn_id: str | None = None
    session_id: str | None = None


class Runtime(Protocol):
    """One agent program. All members are facts or pure functions except the two transcript readers,
    which read files (blocking; callers use ``asyncio.to_thread``) and never raise."""

    @property
    def name(self) -> str: ...

    @property
    def has_events(self) -> bool:
        """Whether it reports to the node what it does."""
        ...

    @property
    def has_transcript(self) -> bool:
        """Whether what it was given can be read back, so that a delivery can be settled after a crash."""
        ...

    @property
    def interrupt_keys(self) -> tuple[str, ...]:
        """Keys that end a running turn."""
        ...

    @property
    def reset_command(self) -> str | None:
        """What to submit for a fresh context; None when it has no such command."""
        ...

    def read_screen(self, screen: str) -> Screen:
        """Judge the visible screen. Total: what it does not know is ``Prompt.UNKNOWN``."""
        ...

    def shows(self, screen: Screen, text: str) -> bool:
        """Whether the draft on the screen is ``text`` (or the visible part of it), and nothing else."""
        ...

    def neutralise(self, text: str) -> str:
        """``text`` so that the program does not take its beginning as a command of its own."""
        ...

    def transcript_end(self, home: Home, agent: str) -> int | None:
        """Where the transcript ends now, in bytes; None when there is none."""
        ...

    def submitted_since(self, home: Home, agent: str, offset: int) -> tuple[Submitted, ...]:
        """Prompts that the program took after ``offset``, oldest first. A transcript that became shorter
        is read from its beginning."""
        ...


def squeeze(text: str) -> str:
    """Text without any blanks: programs wrap, indent and retab what they show."""
    return _BLANKS.sub("", text)


def same_draft(draft: str, text: str) -> bool:
    """Whether a visible draft is ``text``, or such a part of it as a small screen can show."""
    seen, wanted = squeeze(draft), squeeze(text)
    if not seen:
        return False
    if seen == wanted:
        return True
    return len(seen) >= min(40, len(wanted)) and seen.strip("…") in wanted
