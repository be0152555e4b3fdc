"""A small Matrix client of its own, straight on HTTP: the foreign eye that sees what a person's client would.

It shares no code with the bot's connector on purpose, so that a mistake there cannot hide itself here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from demo.matrix_seen import Seen, read_event

CALL_LIMIT_S = 60.0
POLL_MS = 10_000  # how long one sync may hang on the server


class MatrixRefused(Exception):
    """The homeserver said no. ``status`` is the HTTP status, ``errcode`` Matrix's own word."""

    def __init__(self, status: int, errcode: str, text: str) -> None:
        super().__init__(f"{status} {errcode}: {text}")
        self.status = status
        self.errcode = errcode


@dataclass(slots=True)
class MatrixClient:
    """One person. ``async with MatrixClient(url, "ana", "…") as ana:`` signs in and follows the rooms."""

    base: str
    user: str
    password: str
    user_id: str = ""
    device_id: str = ""
    token: str = ""
    seen: list[Seen] = field(default_factory=list)
    sync_problem: str | None = None
    _http: aiohttp.ClientSession | None = None
    _task: asyncio.Task[None] | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _txn: int = 0
    _since: str | None = None

    async def __aenter__(self) -> MatrixClient:
        await self.login()
        await self.follow()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def login(self) -> None:
        """Sign in with the password. Raises MatrixRefused."""
        who = {"type": "m.id.user", "user": self.user}
        body = {"type": "m.login.password", "identifier": who, "password": self.password}
        answer = await self.call("POST", "/_matrix/client/v3/login", body)
        self.token, self.user_id, self.device_id = (
            answer["access_token"],
            answer["user_id"],
            answer["device_id"],
        )

    async def follow(self) -> None:
        """Begin to collect events into :attr:`seen`: the last of each room at first, then all that come."""
        await self._sync_once(0)
        self._task = asyncio.create_task(self._follow(), name=f"follow as {self.user}")

    async def close(self) -> None:
        """Stop following and disconnect."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=5)
        if self._http is not None:
            await self._http.close()

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        mime: str = "application/json",
    ) -> Any:
        """One request. Raises MatrixRefused for any answer but 2xx, aiohttp.ClientError when none comes."""
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_LIMIT_S))
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if raw is not None:
            headers["Content-Type"] = mime
        async with self._http.request(
            method, self.base + path, json=body, data=raw, headers=headers
        ) as reply:
            if reply.status >= 300:
                try:
                    told = await reply.json()
                except (aiohttp.ContentTypeError, ValueError):
                    told = {}
                raise MatrixRefused(reply.status, str(told.get("errcode", "")), str(told.get("error", "")))
            return await reply.json() if reply.content_type == "application/json" else await reply.read()

    async def create_room(
        self,
        name: str,
        *,
        invite: Sequence[str] = (),
        power: dict[str, int] | None = None,
        direct: bool = False,
    ) -> str:
        """A private room; ``power`` gives levels to the invited. Returns its id."""
        body: dict[str, Any] = {
            "name": name,
            "preset": "private_chat",
            "invite": list(invite),
            "is_direct": direct,
        }
        if power:
            body["power_level_content_override"] = {"users": {self.user_id: 100, **power}}
        return str((await self.call("POST", "/_matrix/client/v3/createRoom", body))["room_id"])

    async def join(self, room: str) -> None:
        await self.call("POST", f"/_matrix/client/v3/join/{quote(room, safe='')}", {})

    async def invite(self, room: str, user_id: str) -> None:
        await self.call("POST", f"{_room(room)}/invite", {"user_id": user_id})

    async def members(self, room: str) -> set[str]:
        """The ids that are in the room now."""
        answer = await self.call("GET", f"{_room(room)}/joined_members")
        return set(answer["joined"])

    async def put(self, room: str, kind: str, content: dict[str, Any]) -> str:
        """Send any event; returns its id."""
        self._txn += 1
        where = f"{_room(room)}/send/{kind}/{time.time_ns()}.{self._txn}"
        return str((await self.call("PUT", where, content))["event_id"])

    async def send(
        self,
        room: str,
        text: str,
        *,
        thread: str | None = None,
        reply_to: str | None = None,
        mention: Sequence[str] = (),
        msgtype: str = "m.text",
    ) -> str:
        """Post a message as a person's client would; returns its id."""
        content: dict[str, Any] = {"msgtype": msgtype, "body": text, "m.mentions": {}}
        if mention:
            content["m.mentions"] = {"user_ids": list(mention)}
        relation: dict[str, Any] = {}
        if thread:
            relation = {"rel_type": "m.thread", "event_id": thread, "is_falling_back": reply_to is None}
        if thread or reply_to:
            relation["m.in_reply_to"] = {"event_id": reply_to or thread}
            content["m.relates_to"] = relation
        return await self.put(room, "m.room.message", content)

    async def edit(self, room: str, event_id: str, text: str) -> str:
        """Replace the text of one's own message; returns the id of the edit."""
        relation = {"rel_type": "m.replace", "event_id": event_id}
        new = {"msgtype": "m.text", "body": text}
        content = {"msgtype": "m.text", "body": f"* {text}", "m.new_content": new, "m.relates_to": relation}
        return await self.put(room, "m.room.message", content)

    async def react(self, room: str, event_id: str, emoji: str) -> str:
        relation = {"rel_type": "m.annotation", "event_id": event_id, "key": emoji}
        return await self.put(room, "m.reaction", {"m.relates_to": relation})

    async def redact(self, room: str, event_id: str) -> str:
        self._txn += 1
        where = f"{_room(room)}/redact/{quote(event_id, safe='')}/{time.time_ns()}.{self._txn}"
        return str((await self.call("PUT", where, {}))["event_id"])

    async def send_file(self, room: str, path: Path, mime: str, caption: str = "") -> str:
        """Upload a file and post it; returns the id of the post."""
        data = await asyncio.to_thread(path.read_bytes)
        media = await self.call(
            "POST", f"/_matrix/media/v3/upload?filename={quote(path.name)}", raw=data, mime=mime
        )
        kind = "m.image" if mime.startswith("image/") else "m.file"
        content = {
            "msgtype": kind,
            "body": caption or path.name,
            "filename": path.name,
            "url": media["content_uri"],
            "info": {"mimetype": mime, "size": len(data)},
        }
        return await self.put(room, "m.room.message", content)

    async def fetch(self, mxc: str) -> bytes:
        """The bytes behind an ``mxc://`` address."""
        path = mxc.removeprefix("mxc://")
        content: bytes = await self.call("GET", f"/_matrix/client/v1/media/download/{path}")
        return content

    async def history(self, room: str) -> list[Seen]:
        """The whole room as the server has it, oldest first."""
        found: list[Seen] = []
        start = ""
        while True:
            page = await self.call("GET", f"{_room(room)}/messages?dir=b&limit=1000{start}")
            found += [read_event(room, raw) for raw in page["chunk"]]
            if not page.get("end") or not page["chunk"]:
                return found[::-1]
            start = f"&from={quote(page['end'])}"

    async def wait_for(self, wanted: Callable[[Seen], bool], timeout_s: float = 30.0, after: int = 0) -> Seen:
        """The first event from position ``after`` of :attr:`seen` on that is wanted.

        Raises TimeoutError, naming the last things seen instead.
        """
        until = time.monotonic() + timeout_s
        at = after
        while True:
            self._news.clear()
            while at < len(self.seen):
                if wanted(self.seen[at]):
                    return self.seen[at]
                at += 1
            left = until - time.monotonic()
            if left <= 0:
                last = [f"{s.sender} {s.type}: {s.text[:80]!r}" for s in self.seen[-5:]]
                raise TimeoutError(
                    f"{self.user} did not see it within {timeout_s:.0f} s; "
                    f"last seen: {last}; sync: {self.sync_problem or 'fine'}"
                )
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                continue

    async def _follow(self) -> None:
        while True:
            try:
                await self._sync_once(POLL_MS)
                self.sync_problem = None
            except (aiohttp.ClientError, MatrixRefused, TimeoutError) as problem:
                self.sync_problem = f"{type(problem).__name__}: {problem}"
                await asyncio.sleep(0.5)

    async def _sync_once(self, hang_ms: int) -> None:
        since = f"&since={quote(self._since)}" if self._since else ""
        only = quote('{"room":{"timeline":{"limit":200}}}')
        answer = await self.call("GET", f"/_matrix/client/v3/sync?timeout={hang_ms}&filter={only}{since}")
        self._since = answer["next_batch"]
        for room, body in answer.get("rooms", {}).get("join", {}).items():
            self.seen += [read_event(room, raw) for raw in body.get("timeline", {}).get("events", [])]
        self._news.set()


def _room(room: str) -> str:
    return f"/_matrix/client/v3/rooms/{quote(room, safe='')}"
