"""Document ↔ JSON, for the bot's socket. Unknown keys are ignored, so a newer bot may say more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.document import (
    Block,
    Bullets,
    Code,
    Column,
    Document,
    Footer,
    Heading,
    Pairs,
    Picture,
    Table,
    Text,
    Tone,
)


class WireError(Exception):
    """What came over the socket is no document; ``str()`` says which part."""


def encode_document(document: Document) -> dict[str, Any]:
    """The JSON-able form."""
    return {
        "blocks": [_encode(block) for block in document.blocks],
        "data": document.data,
        "ok": document.ok,
        "exit_code": document.exit_code,
    }


def decode_document(wire: Mapping[str, Any]) -> Document:
    """What :func:`encode_document` made. Raises WireError."""
    try:
        return Document(
            tuple(_decode(block) for block in wire["blocks"]),
            data=wire.get("data"),
            ok=bool(wire.get("ok", True)),
            exit_code=int(wire.get("exit_code", 0)),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise WireError(f"not a document: {type(problem).__name__} {problem}") from problem


def _encode(block: Block) -> dict[str, Any]:
    match block:
        case Text(text, tone):
            return {"type": "text", "text": text, "tone": tone.value}
        case Heading(text):
            return {"type": "heading", "text": text}
        case Bullets(items):
            return {"type": "bullets", "items": list(items)}
        case Pairs(items):
            return {"type": "pairs", "items": [list(pair) for pair in items]}
        case Code(text, language):
            return {"type": "code", "text": text, "language": language}
        case Table(columns, rows, narrow):
            return {
                "type": "table",
                "columns": [{"key": c.key, "title": c.title, "right": c.right} for c in columns],
                "rows": [list(row) for row in rows],
                "narrow": list(narrow),
            }
        case Picture(path, alt):
            return {"type": "picture", "path": str(path), "alt": alt}
        case Footer(text):
            return {"type": "footer", "text": text}


def _decode(block: Mapping[str, Any]) -> Block:
    match block["type"]:
        case "text":
            return Text(str(block["text"]), Tone(block.get("tone", "plain")))
        case "heading":
            return Heading(str(block["text"]))
        case "bullets":
            return Bullets(tuple(map(str, block["items"])))
        case "pairs":
            return Pairs(tuple((str(key), str(value)) for key, value in block["items"]))
        case "code":
            return Code(str(block["text"]), str(block.get("language", "")))
        case "table":
            columns = tuple(Column(c["key"], c["title"], bool(c.get("right"))) for c in block["columns"])
            rows = tuple(tuple(map(str, row)) for row in block["rows"])
            return Table(columns, rows, tuple(map(str, block["narrow"])))
        case "picture":
            return Picture(Path(block["path"]), str(block["alt"]))
        case "footer":
            return Footer(str(block["text"]))
        case other:
            raise WireError(f"unknown block {other!r}")
