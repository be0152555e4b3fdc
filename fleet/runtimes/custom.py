"""Any program with a prompt that the roster names by its command: nothing is known of its screen."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.home import Home
from fleet.runtimes.base import Prompt, Screen, Submitted


@dataclass(frozen=True, slots=True)
class CustomRuntime:
    """No events, no transcript, no screens: delivery pastes when the pane is quiet and can only see that
    the screen moved."""

    name: str = "custom"
    has_events: bool = False
    has_transcript: bool = False
    interrupt_keys: tuple[str, ...] = ("Escape",)
    reset_command: str | None = None

    def read_screen(self, screen: str) -> Screen:
        return Screen(Prompt.UNKNOWN)

    def shows(self, screen: Screen, text: str) -> bool:
        return False

    def neutralise(self, text: str) -> str:
        return text

    def transcript_end(self, home: Home, agent: str) -> int | None:
        return None

    def submitted_since(self, home: Home, agent: str, offset: int) -> tuple[Submitted, ...]:
        return ()
