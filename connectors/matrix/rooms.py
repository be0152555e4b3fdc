"""Which rooms the bot is in: joining what is configured, following invites, counting members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import structlog

from connectors.matrix.wire import V3, Reply, Unreachable, Wire, room_path

log = structlog.get_logger("matrix.rooms")


class Membership:
    """``rooms`` are joined wherever possible; others only when one of ``allowed_inviters`` asks."""

    def __init__(self, wire: Wire, rooms: frozenset[str], allowed_inviters: frozenset[str]) -> None:
        self._wire = wire
        self._rooms = rooms
        self._allowed = allowed_inviters
        self._counts: dict[str, int] = {}
        self.missing: dict[str, str] = {}  # configured room → why the bot is not in it

    async def join_configured(self) -> None:
        """Enter every configured room that the bot is not in. Raises Unreachable.

        A refusal (not invited yet) is kept in :attr:`missing`; an invite later mends it.
        """
        reply = _answered(await self._wire.call("GET", f"{V3}/joined_rooms"))
        inside = reply.body.get("joined_rooms")
        joined = set(inside) if isinstance(inside, list) else set()
        self.missing = {}
        for room in sorted(self._rooms - joined):
            await self._join(room)

    async def _join(self, room: str) -> None:
        reply = _answered(await self._wire.call("POST", f"{V3}/join/{quote(room, safe='')}", {}))
        if reply.ok:
            self.missing.pop(room, None)
            return
        log.warning("cannot join", room=room, reason=reply.error)
        if room in self._rooms:
            self.missing[room] = f"{reply.error} ({reply.errcode})"

    async def answer_invites(self, me: str, invites: Mapping[str, Any]) -> None:
        """Follow those that are allowed and leave the others unanswered. Raises Unreachable."""
        for room, invite in invites.items():
            inviter = find_inviter(me, invite)
            if inviter is None:
                continue
            if inviter in self._allowed or room in self._rooms:
                await self._join(room)
            else:
                log.warning("invite ignored", room=room, inviter=inviter)

    def changed(self, room: str) -> None:
        """Somebody came or went: count again when next asked."""
        self._counts.pop(room, None)

    async def count(self, room: str) -> int | None:
        """How many are in the room, None when the server does not say. Raises Unreachable."""
        if room not in self._counts:
            reply = _answered(await self._wire.call("GET", room_path(room, "joined_members")))
            joined = reply.body.get("joined")
            if not isinstance(joined, Mapping):
                return None
            self._counts[room] = len(joined)
        return self._counts[room]

    def trouble(self) -> str:
        """A sentence for the status on configured rooms that the bot is not in, or nothing."""
        if not self.missing:
            return ""
        told = "; ".join(f"{room}: {why}" for room, why in sorted(self.missing.items()))
        return f"not in every configured room, invite the bot there ({told})"


def find_inviter(me: str, invite: object) -> str | None:
    """Who invites us, from the stripped state that comes with it (which holds others' membership too)."""
    state = invite.get("invite_state") if isinstance(invite, Mapping) else None
    events = state.get("events") if isinstance(state, Mapping) else None
    for event in events if isinstance(events, list) else ():
        if (
            not isinstance(event, Mapping)
            or event.get("type") != "m.room.member"
            or event.get("state_key") != me
        ):
            continue
        content, sender = event.get("content"), event.get("sender")
        if isinstance(content, Mapping) and content.get("membership") == "invite" and isinstance(sender, str):
            return sender
    return None


def _answered(reply: Reply) -> Reply:
    """A busy server, a proxy's page or a dead sign-in are no answer about a room."""
    if reply.ok or (reply.errcode and reply.status < 500 and reply.status != 429 and not reply.token_is_dead):
        return reply
    raise Unreachable(f"the homeserver answered {reply.status}: {reply.error}")
