"""The JSON of a Matrix event → a fact of the protocol. Pure, and never surprised: anybody may send anything.

Not judged here: whether an :class:`Edited` comes from the author of its target. The reader knows the author.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.protocol import (
    ChatEvent,
    Edited,
    MessageReceived,
    Reacted,
    Redacted,
    RemoteFile,
    Undecryptable,
)

_FILES = frozenset({"m.image", "m.file", "m.audio", "m.video"})
_TEXTS = frozenset({"m.text", "m.emote", "m.notice"})
_BY_PEOPLE = _FILES | {"m.text"}  # a notice is a program talking, an emote is no request
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the text of an event does not say: who reads it, and how many people are in the room."""

    me: str
    room: str
    members: int | None = None


def convert(raw: Mapping[str, Any], facts: Facts) -> ChatEvent | None:
    """The fact, or None for what concerns nobody (state, own posts, unknown kinds, emptied messages)."""
    event_id, sender = raw.get("event_id"), raw.get("sender")
    content = _mapping(raw.get("content"))
    if (
        not isinstance(event_id, str)
        or not isinstance(sender, str)
        or sender == facts.me
        or "state_key" in raw
    ):
        return None
    base = (event_id, facts.room, sender, _moment(raw.get("origin_server_ts")))
    match raw.get("type"):
        case "m.room.message":
            return _message(base, content, facts)
        case "m.reaction":
            relation = _mapping(content.get("m.relates_to"))
            target, key = _text(relation.get("event_id")), _text(relation.get("key"))
            return Reacted(*base, target, key) if target and key else None
        case "m.room.redaction":
            target = _text(content.get("redacts")) or _text(raw.get("redacts"))
            return Redacted(*base, target) if target else None
        case "m.room.encrypted":
            if not content:  # taken back since
                return None
            return Undecryptable(*base, "the message is encrypted and this device has no key for it")
        case _:
            return None


def _message(
    base: tuple[str, str, str, datetime], content: Mapping[str, Any], facts: Facts
) -> MessageReceived | Edited | None:
    relation = _mapping(content.get("m.relates_to"))
    if relation.get("rel_type") == "m.replace":
        target = _text(relation.get("event_id"))
        new = _mapping(content.get("m.new_content"))
        return Edited(*base, target, _text(new.get("body"))) if target and new else None
    kind = content.get("msgtype")
    if not isinstance(kind, str) or not isinstance(content.get("body"), str):
        return None
    thread = _text(relation.get("event_id")) or None if relation.get("rel_type") == "m.thread" else None
    reply_to = _text(_mapping(relation.get("m.in_reply_to")).get("event_id")) or None
    body: str = content["body"]
    if reply_to is not None:
        body = without_quote(body)
    if thread is not None and relation.get("is_falling_back") is True:
        reply_to = None
    files: tuple[RemoteFile, ...] = ()
    if kind in _FILES:
        files = _files(content)
        name = content.get("filename")
        body = body if isinstance(name, str) and name != body else ""
    return MessageReceived(
        *base,
        text=body,
        thread=thread,
        reply_to=reply_to,
        mentions_me=_mentions(content, facts.me),
        is_direct=facts.members == 2,
        is_command_capable=kind in _BY_PEOPLE and not is_ghost(base[2]),
        files=files,
    )


def without_quote(body: str) -> str:
    """The text without the quoted lines that old clients put before a reply."""
    lines = body.split("\n")
    first = next((at for at, line in enumerate(lines) if not line.startswith(">")), len(lines))
    if first == 0:
        return body
    return "\n".join(lines[first:]).lstrip("\n")


def is_ghost(user_id: str) -> bool:
    """Whether the id is of the reserved kind that bridges speak through."""
    return user_id.startswith("@_")


def _files(content: Mapping[str, Any]) -> tuple[RemoteFile, ...]:
    url = content.get("url")
    if not isinstance(url, str) or not url.startswith("mxc://"):
        return ()  # an encrypted file has its address elsewhere, and no key of ours
    info = _mapping(content.get("info"))
    size = info.get("size")
    name = _text(content.get("filename")) or _text(content.get("body")) or "file"
    mime = _text(info.get("mimetype")) or "application/octet-stream"
    known = size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None
    return (RemoteFile(url, name, mime, known),)


def _mentions(content: Mapping[str, Any], me: str) -> bool:
    listed = content.get("m.mentions")
    if isinstance(listed, Mapping):
        users = listed.get("user_ids")
        return isinstance(users, list) and me in users
    return me in _text(content.get("body"))  # clients from before m.mentions


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _moment(value: object) -> datetime:
    """The sender's server wrote it, so it may be anything; what is no time becomes 1970."""
    if not isinstance(value, int):
        return _EPOCH
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return _EPOCH
