"""The conversation as it really happened, printed as people would tell it: when, where, who, what."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from demo.matrix_seen import Seen

WIDTH = 104
MAX_LINES = 18  # of one message; the rest is counted


@dataclass(slots=True)
class Transcript:
    """``rooms`` is id → name, ``people`` is id → short name. Times are the server's, of each event."""

    rooms: Mapping[str, str]
    people: Mapping[str, str]
    out: list[str] = field(default_factory=list)
    _texts: dict[str, str] = field(default_factory=dict)

    def heading(self, words: str) -> None:
        self._print(f"\n── {words} " + "─" * max(3, WIDTH - len(words) - 4))

    def line(self, words: str) -> None:
        self._print(words)

    def pane(self, agent: str, shown: str) -> None:
        """What a pane showed, as evidence."""
        self._block(f"{datetime.now(UTC):%H:%M:%S}  pane {agent:<10} │ ", shown)

    def events(self, seen: Iterable[Seen]) -> None:
        """Print what a client received; what says nothing to a reader (joins, room settings) is left out."""
        for event in seen:
            if event.room in self.rooms:
                self._event(event)

    def _event(self, event: Seen) -> None:
        stamp = datetime.fromtimestamp(event.raw.get("origin_server_ts", time.time() * 1000) / 1000, UTC)
        who = self.people.get(event.sender, event.sender)
        head = f"{stamp:%H:%M:%S}  #{self.rooms[event.room]:<12} {who:<8} │ "
        if event.reaction is not None:
            target, emoji = event.reaction
            self._texts[event.id] = emoji
            self._block(head, f"{emoji} on “{self._quote(target)}”")
        elif event.type == "m.room.redaction":
            self._block(head, f"(took back “{self._quote(event.redacts or '')}”)")
        elif event.type == "m.room.message":
            marks = ("(edit) " if event.edits else "") + ("↳ in thread: " if event.thread else "")
            picture = "[picture] " if event.msgtype == "m.image" else ""
            pinged = [self.people.get(one, one) for one in event.pings]
            told = f"   (pings {', '.join(pinged)})" if pinged else ""
            self._texts[event.id] = event.text
            self._block(head, f"{marks}{picture}{event.text}{told}")

    def _quote(self, event_id: str) -> str:
        return textwrap.shorten(self._texts.get(event_id, "…"), 40, placeholder="…")

    def _block(self, head: str, body: str) -> None:
        lines: list[str] = []
        for line in body.splitlines() or [""]:
            lines += textwrap.wrap(line, WIDTH - 24, drop_whitespace=False, replace_whitespace=False) or [""]
        if len(lines) > MAX_LINES:
            lines = [*lines[: MAX_LINES - 1], f"… {len(lines) - MAX_LINES + 1} more lines"]
        for number, line in enumerate(lines):
            self._print((head if number == 0 else " " * (len(head) - 2) + "│ ") + line)

    def _print(self, words: str) -> None:
        self.out.append(words)
        print(words, flush=True)
