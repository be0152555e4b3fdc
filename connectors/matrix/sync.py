"""One step of following a homeserver: all that happened since a position, and the position behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from connectors.matrix.convert import Facts, convert
from connectors.matrix.gap import fill, since_joining
from connectors.matrix.rooms import Membership
from connectors.matrix.wire import V3, Reply, Unreachable, Wire
from connectors.protocol import Batch, ChatEvent

HANG_MS = 30_000  # how long the server may hold a sync that has no news
SLACK_S = 15.0
TIMELINE_LIMIT = 100

FILTER = orjson.dumps(
    {
        "presence": {"types": []},
        "account_data": {"types": []},
        "room": {
            "timeline": {"limit": TIMELINE_LIMIT},
            "state": {"types": ["m.room.member"], "lazy_load_members": True},
            "ephemeral": {"types": []},
            "account_data": {"types": []},
        },
    }
).decode()


class Refused(Exception):
    """The server answered a sync with an error of its own."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"the homeserver refused to sync: {reply.error} ({reply.errcode or reply.status})")
        self.reply = reply


async def sync_once(
    wire: Wire, members: Membership, me: str, since: str | None, hang_ms: int = HANG_MS
) -> Batch:
    """Ask, follow invites, fill the gaps, convert. The cursor is only given with everything before it.

    Without ``since`` history is not read: the batch holds the position alone. Raises Unreachable or Refused.
    """
    query: dict[str, Any] = {"filter": FILTER, "timeout": hang_ms if since else 0}
    if since:
        query["since"] = since
    reply = await wire.call("GET", f"{V3}/sync", query=query, limit_s=hang_ms / 1000 + SLACK_S)
    if not reply.ok:
        raise Refused(reply)
    position = reply.body.get("next_batch")
    if not isinstance(position, str):
        raise Unreachable(f"{wire.homeserver} answered a sync without a position: is the address right?")
    rooms = _mapping(reply.body.get("rooms"))
    await members.answer_invites(me, _mapping(rooms.get("invite")))
    if since is None:
        return Batch((), position)
    events: dict[str, ChatEvent] = {}
    for room, body in _mapping(rooms.get("join")).items():
        for event in await _room(wire, members, me, room, _mapping(body), since):
            events.setdefault(event.id, event)
    return Batch(tuple(events.values()), position)


async def _room(
    wire: Wire, members: Membership, me: str, room: str, body: Mapping[str, Any], since: str
) -> list[ChatEvent]:
    timeline = _mapping(body.get("timeline"))
    raw = [event for event in timeline.get("events") or () if isinstance(event, Mapping)]
    limited = timeline.get("limited") is True
    start = timeline.get("prev_batch")
    if limited:
        members.changed(room)
        if isinstance(start, str) and len(since_joining(raw, me)) == len(raw):
            raw = await fill(wire, me, room, start, since) + raw
    raw = since_joining(raw, me)
    if any(event.get("type") == "m.room.member" for event in raw):
        members.changed(room)
    found = [fact for event in raw if (fact := convert(event, Facts(me, room))) is not None]
    if not found:
        return []
    facts = Facts(me, room, await members.count(room))
    return [fact for event in raw if (fact := convert(event, facts)) is not None]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
