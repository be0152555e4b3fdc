"""The adapter of `stub-agent`, the program without a model that the demo and the tests use."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fleet.home import Home
from fleet.runtimes.base import Prompt, Screen, Submitted, squeeze

TRANSCRIPT_LIMIT_BYTES = 32 * 1024 * 1024  # read at most this much behind an offset

_RULE = re.compile(r"─{10,}")
_STATUS = re.compile(r"\s*stub · .* · (idle|busy|waiting)\b")
_ABOVE = re.compile(r"(?:❯ |  )… (\d+) lines above$")
_CHOICE = re.compile(r"\s[❯ ] \d+\. (.+)")


@dataclass(frozen=True, slots=True)
class StubRuntime:
    """It draws, from the bottom: a status line, a rule, the prompt or a dialog, a rule, the work line."""

    name: str = "stub"
    has_events: bool = True
    has_transcript: bool = True
    interrupt_keys: tuple[str, ...] = ("Escape",)
    reset_command: str | None = "/clear"

    def read_screen(self, screen: str) -> Screen:
        """The last two rules hold the prompt or the question between them."""
        lines = [line.rstrip() for line in screen.rstrip().split("\n")]
        rules = [n for n, line in enumerate(lines) if _RULE.fullmatch(line)]
        status = _STATUS.match(lines[-1]) if lines else None
        if status is None or len(rules) < 2 or rules[-1] != len(lines) - 2:
            return Screen(Prompt.UNKNOWN)
        inside = lines[rules[-2] + 1 : rules[-1]]
        busy = status[1] == "busy"
        if inside and inside[0].strip() == "Permission needed":
            options = tuple(found[1].lower() for line in inside if (found := _CHOICE.match(line)))
            reason = inside[1].strip() if len(inside) > 1 else None
            return Screen(Prompt.DIALOG, reason=reason, options=options, busy=True)
        if not inside or not inside[0].startswith("❯"):
            return Screen(Prompt.UNKNOWN)
        draft = "\n".join(line if _ABOVE.match(line) else line[2:] for line in inside)
        if draft.strip():
            return Screen(Prompt.DRAFT, draft=draft, busy=busy)
        return Screen(Prompt.BUSY if busy else Prompt.IDLE, busy=busy)

    def shows(self, screen: Screen, text: str) -> bool:
        """Its prompt shows a text whole, or the end of a long one under a line that says so."""
        head, _, rest = screen.draft.partition("\n")
        if _ABOVE.match(head):
            return bool(rest.strip()) and squeeze(text).endswith(squeeze(rest))
        return squeeze(screen.draft) == squeeze(text)

    def neutralise(self, text: str) -> str:
        """Only `/clear` and `/exit` are its own words."""
        return f" {text}" if text.startswith("/") else text

    def transcript_end(self, home: Home, agent: str) -> int | None:
        try:
            return _path(home, agent).stat().st_size
        except FileNotFoundError:
            return 0
        except OSError:
            return None

    def submitted_since(self, home: Home, agent: str, offset: int) -> tuple[Submitted, ...]:
        try:
            with _path(home, agent).open("rb") as file:
                size = file.seek(0, 2)
                file.seek(offset if offset <= size else 0)
                data = file.read(TRANSCRIPT_LIMIT_BYTES)
        except OSError:
            return ()
        taken = (_submitted(line) for line in data.split(b"\n"))
        return tuple(one for one in taken if one is not None)


def _path(home: Home, agent: str) -> Path:
    return home.run / "stub" / f"{agent}.jsonl"


def _submitted(line: bytes) -> Submitted | None:
    """A transcript line of a prompt; None for others, and for one that is still being written."""
    try:
        body: Any = json.loads(line)
        if body["type"] != "user":
            return None
        ts = datetime.fromisoformat(body["ts"])
        return Submitted(str(body["text"]), ts, body.get("turn_id"), body.get("session_id"))
    except (ValueError, KeyError, TypeError):
        return None
