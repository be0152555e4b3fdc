"""The envelope file of spool and mailbox: one JSON object, `<ULID>.json` (20-messaging, *The spool*).

Bash writes its first twelve keys; what is absent has its default, what is unknown is left aside.
Stdlib only: the send verbs of the CLI import this.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fleet.messages.ids import is_id
from fleet.model import Attachment, Envelope, MessageClass

VERSION = 1
BODY_LIMIT_BYTES = 1024 * 1024
FILE_LIMIT_BYTES = 4 * BODY_LIMIT_BYTES
LABEL_LIMIT = 512  # characters of src, dst, thread, reply_to


class EnvelopeError(ValueError):
    """The bytes are no envelope, or one that is too large; the text says why."""


def encode(envelope: Envelope) -> bytes:
    """The file's bytes. Raises EnvelopeError for a body over 1 MiB or an id that is no ULID."""
    body = envelope.body.encode("utf-8", "replace")
    if len(body) > BODY_LIMIT_BYTES:
        raise EnvelopeError(
            f"the body has {len(body)} bytes, at most {BODY_LIMIT_BYTES} are taken; send a file path"
        )
    if not is_id(envelope.id):
        raise EnvelopeError(f"the id {envelope.id!r} is not a ULID")
    fields: dict[str, Any] = {
        "v": VERSION,
        "id": envelope.id,
        "ts": envelope.ts.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "tenant_id": envelope.tenant_id,
        "host": envelope.host,
        "src": envelope.src,
        "dst": envelope.dst,
        "class": envelope.message_class.value if envelope.message_class else None,
        "thread": envelope.thread,
        "reply_to": envelope.reply_to,
        "mirror": envelope.mirror,
        "body_b64": base64.b64encode(body).decode(),
        "attachments": [asdict(attachment) for attachment in envelope.attachments],
        "kind": envelope.kind,
        "token": envelope.token,
        "now": envelope.now,
        "verified": envelope.verified,
        "data": dict(envelope.data),
    }
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def decode(data: bytes) -> Envelope:
    """Read :func:`encode`'s bytes, or those of the send tool. Raises EnvelopeError with the reason."""
    if len(data) > FILE_LIMIT_BYTES:
        raise EnvelopeError(f"the file has {len(data)} bytes, at most {FILE_LIMIT_BYTES} are read")
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise EnvelopeError(f"not JSON in UTF-8 ({problem})") from None
    if not isinstance(raw, dict):
        raise EnvelopeError("not a JSON object")
    if raw.get("v") != VERSION:
        raise EnvelopeError(f"v is {raw.get('v')!r}, this version reads {VERSION}")
    number = _text(raw, "id", 64)
    if not is_id(number):
        raise EnvelopeError(f"the id {number!r} is not a ULID")
    return Envelope(
        id=number,
        ts=_time(raw),
        tenant_id=_text(raw, "tenant_id", LABEL_LIMIT, default=""),
        host=_text(raw, "host", LABEL_LIMIT, default=""),
        src=_text(raw, "src", LABEL_LIMIT),
        dst=_text(raw, "dst", LABEL_LIMIT),
        body=_body(raw),
        message_class=_class(raw),
        thread=_optional(raw, "thread"),
        reply_to=_optional(raw, "reply_to"),
        mirror=_flag(raw, "mirror") or False,
        kind=_text(raw, "kind", 32, default="message"),
        token=_optional(raw, "token"),
        now=_flag(raw, "now") or False,
        attachments=_attachments(raw),
        verified=_flag(raw, "verified"),
        data=_mapping(raw, "data"),
    )


def _text(raw: Mapping[str, Any], key: str, limit: int, default: str | None = None) -> str:
    value = raw.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise EnvelopeError(f"{key} is missing" if value is None else f"{key} is not text")
    if len(value) > limit:
        raise EnvelopeError(f"{key} has {len(value)} characters, at most {limit} are taken")
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise EnvelopeError(f"{key} holds a control character")
    return value


def _optional(raw: Mapping[str, Any], key: str) -> str | None:
    return _text(raw, key, LABEL_LIMIT, default="") or None


def _flag(raw: Mapping[str, Any], key: str) -> bool | None:
    value = raw.get(key)
    if value is not None and not isinstance(value, bool):
        raise EnvelopeError(f"{key} is not true or false")
    return value


def _time(raw: Mapping[str, Any]) -> datetime:
    text = _text(raw, "ts", 64)
    try:
        ts = datetime.fromisoformat(text)
    except ValueError:
        raise EnvelopeError(f"ts {text!r} is not an RFC 3339 time") from None
    if ts.tzinfo is None:
        raise EnvelopeError(f"ts {text!r} names no time zone")
    return ts.astimezone(UTC)


def _class(raw: Mapping[str, Any]) -> MessageClass | None:
    text = _optional(raw, "class")
    if text is None:
        return None
    try:
        return MessageClass(text)
    except ValueError:
        known = ", ".join(item.value for item in MessageClass)
        raise EnvelopeError(f"class {text!r} is not one of {known}") from None


def _body(raw: Mapping[str, Any]) -> str:
    value = raw.get("body_b64", "")
    if not isinstance(value, str):
        raise EnvelopeError("body_b64 is not text")
    try:
        body = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise EnvelopeError("body_b64 is not base64") from None
    if len(body) > BODY_LIMIT_BYTES:
        raise EnvelopeError(f"the body has {len(body)} bytes, at most {BODY_LIMIT_BYTES} are taken")
    return body.decode("utf-8", "replace")


def _mapping(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise EnvelopeError(f"{key} is not an object")
    return value


def _attachments(raw: Mapping[str, Any]) -> tuple[Attachment, ...]:
    value = raw.get("attachments")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise EnvelopeError("attachments is not a list of objects")
    return tuple(
        Attachment(
            name=_text(item, "name", 255),
            path=_text(item, "path", 4096),
            mime=_text(item, "mime", 255, default="application/octet-stream"),
            size_bytes=_size(item),
        )
        for item in value
    )


def _size(item: Mapping[str, Any]) -> int:
    value = item.get("size_bytes", 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise EnvelopeError("size_bytes is not a number of bytes")
    return value
