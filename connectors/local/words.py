"""What a typed line means, and how a fact is shown in a terminal. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

HELP = (
    "/room NAME · /rooms · /thread ID text · /reply ID text · /react ID EMOJI · /edit ID text · /redact ID · "
    "/file PATH [text] · /history [N] · /quit · //text sends a line that begins with a slash"
)


@dataclass(frozen=True, slots=True)
class Typed:
    """One line as a request: an op of the surface, or room | quit | help | wrong | nothing."""

    op: str
    fields: Mapping[str, Any] = field(default_factory=dict)


def understand(line: str, room: str) -> Typed:
    """The request that a typed line makes in the current room."""
    text = line.rstrip("\r\n")
    if not text.strip():
        return Typed("nothing")
    if not text.startswith("/") or text.startswith("//"):
        return Typed(
            "send", {"room": room, "text": text.removeprefix("/") if text.startswith("//") else text}
        )
    verb, _, rest = text[1:].partition(" ")
    first, _, tail = rest.strip().partition(" ")
    tail = tail.strip()
    match verb:
        case "quit" | "q":
            return Typed("quit")
        case "help":
            return Typed("help")
        case "rooms":
            return Typed("rooms")
        case "room" if first:
            return Typed("room", {"name": first})
        case "history":
            return Typed("history", {"room": room, "limit": int(first) if first.isdigit() else 50})
        case "thread" if tail:
            return Typed("send", {"room": room, "text": tail, "thread": first})
        case "reply" if tail:
            return Typed("send", {"room": room, "text": tail, "reply_to": first})
        case "react" if tail:
            return Typed("react", {"target": first, "emoji": tail})
        case "edit" if tail:
            return Typed("edit", {"target": first, "text": tail})
        case "redact" if first:
            return Typed("redact", {"target": first})
        case "file" if first:
            return Typed("send", {"room": room, "text": tail, "files": [first]})
    return Typed("wrong", {"text": f"not understood: {line.strip()}. {HELP}"})


def plain(text: str) -> str:
    """Text that cannot steer a terminal: no control characters but newline and tab, no direction tricks."""
    kept = (c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"})
    return "".join(c for c in kept if c not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def shown(fact: Mapping[str, Any], room: str) -> str | None:
    """A fact as lines of text for somebody who sits in ``room``; None for what is not worth a line."""
    where = "" if fact.get("room") == room else f"#{plain(str(fact.get('room')))} "
    number = str(fact.get("id", "")).partition("-")[0]
    who = plain(str(fact.get("sender", "")))
    head = f"{_clock(fact.get('ts'))} {where}[{number}] "
    match fact.get("event"):
        case "message":
            thread = f" (thread {str(fact['thread']).partition('-')[0]})" if fact.get("thread") else ""
            files = "".join(f"\n  file: {plain(str(f.get('name')))}" for f in fact.get("files") or ())
            return f"{head}{who}{thread}: {plain(str(fact.get('text', '')))}{files}"
        case "edit":
            return f"{head}{who} changed {_target(fact)}: {plain(str(fact.get('text', '')))}"
        case "reaction":
            return f"{head}{who} {plain(str(fact.get('emoji', '')))} on {_target(fact)}"
        case "redaction":
            return f"{head}{who} took back {_target(fact)}"
        case "error":
            return f"! {plain(str(fact.get('text', '')))}"
        case "rooms":
            return "rooms: " + ", ".join(plain(str(name)) for name in fact.get("rooms") or ())
        case _:
            return None


def is_final(fact: Mapping[str, Any], asked: str, ref: str, prefix: str = "!") -> bool:
    """Whether a fact is the answer to the message ``ref``.

    A command has one answer, which quotes it. Plain words may first get notices ("waiting for …"), which are
    silent; the answer itself is not.
    """
    if fact.get("event") != "message" or not fact.get("bot") or fact.get("reply_to") != ref:
        return False
    return asked.startswith(prefix) or not fact.get("silent", True)


def _target(fact: Mapping[str, Any]) -> str:
    return f"[{str(fact.get('target', '')).partition('-')[0]}]"


def _clock(ts: object) -> str:
    """Local time of day; a dash for none."""
    try:
        return datetime.fromisoformat(str(ts)).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return "-"
