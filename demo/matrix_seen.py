"""One Matrix event as a client received it, with the questions that a check asks of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as this client received it. ``at`` is the local monotonic time in seconds of its arrival."""

    room: str
    id: str
    sender: str
    type: str
    content: dict[str, Any]
    raw: dict[str, Any]
    at: float

    @property
    def text(self) -> str:
        """The plain body; of an edit, the new one."""
        new = self.content.get("m.new_content")
        return str((new if isinstance(new, dict) else self.content).get("body", ""))

    @property
    def html(self) -> str:
        new = self.content.get("m.new_content")
        return str((new if isinstance(new, dict) else self.content).get("formatted_body", ""))

    @property
    def msgtype(self) -> str:
        return str(self.content.get("msgtype", ""))

    @property
    def _relation(self) -> dict[str, Any]:
        relation = self.content.get("m.relates_to")
        return relation if isinstance(relation, dict) else {}

    @property
    def thread(self) -> str | None:
        """The root of the thread this stands in."""
        return self._relation.get("event_id") if self._relation.get("rel_type") == "m.thread" else None

    @property
    def reply_to(self) -> str | None:
        """What it quotes; the stand-in that threads carry for old clients does not count."""
        if self._relation.get("is_falling_back"):
            return None
        quoted = self._relation.get("m.in_reply_to")
        return quoted.get("event_id") if isinstance(quoted, dict) else None

    @property
    def edits(self) -> str | None:
        """The event that this one replaces."""
        return self._relation.get("event_id") if self._relation.get("rel_type") == "m.replace" else None

    @property
    def reaction(self) -> tuple[str, str] | None:
        """(event reacted to, emoji)."""
        if self.type != "m.reaction":
            return None
        return str(self._relation.get("event_id", "")), str(self._relation.get("key", ""))

    @property
    def redacts(self) -> str | None:
        """The event that this one takes back."""
        if self.type != "m.room.redaction":
            return None
        return self.content.get("redacts") or self.raw.get("redacts")

    @property
    def pings(self) -> list[str]:
        """Who this asks to notify."""
        mentions = self.content.get("m.mentions")
        return list(mentions.get("user_ids", [])) if isinstance(mentions, dict) else []


def read_event(room: str, raw: dict[str, Any]) -> Seen:
    """The JSON of an event, stamped with the moment of its arrival."""
    return Seen(
        room=room,
        id=str(raw.get("event_id", "")),
        sender=str(raw.get("sender", "")),
        type=str(raw.get("type", "")),
        content=raw.get("content") or {},
        raw=raw,
        at=time.monotonic(),
    )
