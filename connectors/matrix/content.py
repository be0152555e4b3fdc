"""A post → the JSON of a Matrix event. Pure.

``m.mentions`` stands in every message: empty means "notify nobody", absent would mean "whoever is named".
"""

from __future__ import annotations

import json
from typing import Any

from connectors.protocol import Content, Target

EVENT_LIMIT_BYTES = 60_000  # of 65,536 for the whole event, which the server still signs and wraps
FALLBACK_CHARS = 200  # of an edit, for clients that do not know edits
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def message(target: Target, content: Content) -> dict[str, Any]:
    """The ``m.room.message`` of a new post, made to fit."""
    event = _fit(_body(content), EVENT_LIMIT_BYTES)
    relation = _relation(target, content.reply_to)
    return {**event, "m.relates_to": relation} if relation else event


def edit(ref: str, content: Content) -> dict[str, Any]:
    """The ``m.room.message`` that replaces ``ref``.

    The outer text is for clients without edits and kept short, since everything else stands there twice.
    A thread is not named again: the replaced message keeps its place.
    """
    new = _fit(_body(content), EVENT_LIMIT_BYTES - 4 * FALLBACK_CHARS - 1000)
    text = new["body"]
    outer = text if len(text) <= FALLBACK_CHARS else text[: FALLBACK_CHARS - 1] + "…"
    return {
        "msgtype": new["msgtype"],
        "body": f"* {outer}",
        "m.mentions": {},  # whom the first version notified needs no second call
        "m.new_content": new,
        "m.relates_to": {"rel_type": "m.replace", "event_id": ref},
    }


def reaction(ref: str, emoji: str) -> dict[str, Any]:
    """The ``m.reaction`` on ``ref``."""
    return {"m.relates_to": {"rel_type": "m.annotation", "event_id": ref, "key": emoji}}


def media(target: Target, content: Content, mxc: str, data: bytes) -> dict[str, Any]:
    """The ``m.room.message`` of a stored file. Raises ValueError without one.

    The body is the caption, or the sentence that stands for the picture; the name is told apart from it.
    """
    file = content.file
    if file is None:
        raise ValueError("a media event needs a file")
    info: dict[str, Any] = {"mimetype": file.mime, "size": len(data)}
    size = png_size(data)
    if size is not None:
        info["w"], info["h"] = size
    event = _fit(_body(content, content.text or file.alt or file.name), EVENT_LIMIT_BYTES)
    event |= {"msgtype": _media_type(file.mime), "filename": file.name, "url": mxc, "info": info}
    relation = _relation(target, content.reply_to)
    return {**event, "m.relates_to": relation} if relation else event


def png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels of a PNG; None for everything else."""
    if not data.startswith(PNG_MAGIC) or len(data) < 24:
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _media_type(mime: str) -> str:
    kind = mime.partition("/")[0]
    return f"m.{kind}" if kind in {"image", "audio", "video"} else "m.file"


def _body(content: Content, text: str | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "msgtype": "m.notice" if content.silent else "m.text",
        "body": content.text if text is None else text,
        "m.mentions": {"user_ids": list(content.ping)} if content.ping else {},
    }
    if content.html is not None and content.text:
        body["format"] = "org.matrix.custom.html"
        body["formatted_body"] = content.html
    return body


def _relation(target: Target, reply_to: str | None) -> dict[str, Any] | None:
    if target.thread is not None:
        return {
            "rel_type": "m.thread",
            "event_id": target.thread,
            "is_falling_back": reply_to is None,
            "m.in_reply_to": {"event_id": reply_to or target.thread},
        }
    return {"m.in_reply_to": {"event_id": reply_to}} if reply_to else None


def _size(event: dict[str, Any]) -> int:
    return len(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode(errors="replace"))


def _fit(event: dict[str, Any], limit: int) -> dict[str, Any]:
    """Within ``limit`` bytes: the formatted twin goes first, then the end of the text, and both are said."""
    if _size(event) <= limit:
        return event
    event = {k: v for k, v in event.items() if k not in {"format", "formatted_body"}}
    if _size(event) <= limit:
        return event
    text: str = event["body"]
    low, high = 0, len(text)
    while low < high:  # the longest start that fits, by halving: escapes make bytes hard to foresee
        middle = (low + high + 1) // 2
        if _size({**event, "body": _cut(text, middle)}) <= limit:
            low = middle
        else:
            high = middle - 1
    return {**event, "body": _cut(text, low)}


def _cut(text: str, keep: int) -> str:
    return (
        f"{text[:keep]}\n[… cut here: {len(text) - keep} more characters did not fit into one Matrix message]"
    )
