"""From a network into the register: every fact is recorded, then the position, and only then acted on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from connectors.protocol import (
    Batch,
    ChatEvent,
    Connector,
    Edited,
    MessageReceived,
    Reacted,
    Redacted,
    StartError,
    Undecryptable,
)
from fleet.register import inbox

if TYPE_CHECKING:
    from fleet.register.engine import Register, Tx

log = structlog.get_logger("inbound")

_KINDS: dict[type[Any], str] = {
    MessageReceived: "message",
    Edited: "edit",
    Redacted: "redact",
    Reacted: "react",
    Undecryptable: "undecryptable",
}


def encode_event(event: ChatEvent) -> str:
    """An event → the JSON of its inbox row."""
    return orjson.dumps(asdict(event)).decode()


def record(tx: Tx, source: str, batch: Batch) -> int:
    """Journal a batch and move the cursor behind it, in the caller's transaction; how many were new."""
    new = 0
    for event in batch.events:
        known = inbox.record(
            tx,
            source=source,
            external_id=event.id,
            kind=_KINDS[type(event)],
            room=event.room,
            sender=event.sender,
            body=encode_event(event),
            event_ts=event.ts,
        )
        new += known is not None
    if batch.cursor is not None:
        inbox.set_cursor(tx, source, "cursor", batch.cursor)
    return new


async def listen(register: Register, connector: Connector, wake: Callable[[], None]) -> None:
    """Until the connector stops for good. A connector that cannot start never takes the others with it."""
    cursor = await inbox.get_cursor(register, connector.name, "cursor")
    try:
        await connector.start(cursor)
    except StartError as problem:
        log.error("connector stopped", connector=connector.name, reason=str(problem))
        return
    async for batch in connector.events():
        if not batch.events and batch.cursor is None:
            continue
        new = await register.write(lambda tx, b=batch: record(tx, connector.name, b))  # type: ignore[misc]
        if new:
            wake()
        await asyncio.sleep(0)
