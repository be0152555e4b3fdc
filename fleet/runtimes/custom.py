"""Any program with a prompt that the roster names by its command: little is known of its screen.

Also what programs get whose own adapter does not exist yet; so the words of well-known dialogs are known
here, because an Enter there would answer them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleet.home import Home
from fleet.runtimes.base import Prompt, Screen, Submitted

_DIALOG = re.compile(
    "Do you want to |Would you like to |Permission (?:required|needed)|Trust this folder|Quick safety check"
    "|Detected a custom API key|Bypass Permissions mode|Hooks need review|Folder access|Enter to confirm"
    "|Press enter to |[Ee]sc to cancel|Sign in with|Approaching rate limits"
)
_BUSY = re.compile(r"esc (?:to )?interrupt")


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
        found = _DIALOG.search(screen)
        if found:
            return Screen(Prompt.DIALOG, reason=found[0].strip())
        if _BUSY.search(screen):
            return Screen(Prompt.BUSY, busy=True)
        return Screen(Prompt.UNKNOWN)

    def shows(self, screen: Screen, text: str) -> bool:
        return False

    def neutralise(self, text: str) -> str:
        return text

    def transcript_end(self, home: Home, agent: str) -> int | None:
        return None

    def submitted_since(self, home: Home, agent: str, offset: int) -> tuple[Submitted, ...]:
        return ()
