"""What a sync left out: the events of a room between two positions, fetched backwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.matrix.wire import Unreachable, Wire, room_path

PAGE = 100
MAX_PAGES = 500  # 50,000 events of one room; a server that never says "end" must not hold us for ever


async def fill(wire: Wire, me: str, room: str, prev_batch: str, since: str) -> list[Mapping[str, Any]]:
    """The missing events, oldest first: from ``prev_batch`` back to ``since`` or to our own joining.

    Raises Unreachable when they cannot be had now: the caller must not go on without them.
    """
    found: list[Mapping[str, Any]] = []
    position: str | None = prev_batch
    for _ in range(MAX_PAGES):
        query = {"from": position, "to": since, "dir": "b", "limit": PAGE}
        reply = await wire.call("GET", room_path(room, "messages"), query=query)
        if reply.status in (403, 404) and reply.errcode:
            break  # no longer ours to read
        if not reply.ok:
            raise Unreachable(f"the history of {room} cannot be read now: {reply.error}")
        page = [event for event in reply.body.get("chunk", []) if isinstance(event, Mapping)]
        found += page
        position = reply.body.get("end")
        if not position or not page or any(is_own_join(event, me) for event in page):
            break
    found.reverse()
    return found


def since_joining(events: list[Mapping[str, Any]], me: str) -> list[Mapping[str, Any]]:
    """Only what came after our last joining: what people said before we were there was not said to us."""
    joined = [at for at, event in enumerate(events) if is_own_join(event, me)]
    return events[joined[-1] + 1 :] if joined else events


def is_own_join(event: Mapping[str, Any], me: str) -> bool:
    """Whether this is the moment we came in (a change of our name looks alike, but has a past)."""
    if event.get("type") != "m.room.member" or event.get("state_key") != me:
        return False
    content, unsigned = event.get("content"), event.get("unsigned")
    if not isinstance(content, Mapping) or content.get("membership") != "join":
        return False
    before = unsigned.get("prev_content") if isinstance(unsigned, Mapping) else None
    return not (isinstance(before, Mapping) and before.get("membership") == "join")
