"""The edge to a homeserver: one request with a time limit, and what came back. No retries, no judgement.

matrix-nio carries the requests. Its own loops are not used: they retry for ever, advance the sync position
before an event was handled, and refuse a whole response for one event that is not as they expect.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import nio
from aiohttp import ClientError

CALL_LIMIT_S = 30.0
MEDIA_LIMIT_S = 120.0
CHUNK_BYTES = 64 * 1024
V3 = "/_matrix/client/v3"


class Unreachable(Exception):
    """Nobody answered, or what answered is no homeserver. The text is for people."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the homeserver said. ``errcode`` is empty for a success and for what is no Matrix error."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def errcode(self) -> str:
        return "" if self.ok else str(self.body.get("errcode", ""))

    @property
    def error(self) -> str:
        return str(self.body.get("error", "")) or f"HTTP {self.status}"

    @property
    def token_is_dead(self) -> bool:
        return self.errcode in {"M_UNKNOWN_TOKEN", "M_MISSING_TOKEN"}

    @property
    def retry_after_s(self) -> float | None:
        """How long the server asks to wait, or None where it does not say."""
        asked = self.body.get("retry_after_ms")
        return asked / 1000 if isinstance(asked, int | float) and asked >= 0 else None


class Wire:
    """Requests to one homeserver with the token of the moment."""

    def __init__(self, homeserver: str, user_id: str) -> None:
        self.homeserver = homeserver.rstrip("/")
        self.token: str | None = None
        self._user_id = user_id
        self._client: nio.AsyncClient | None = None

    def _http(self) -> nio.AsyncClient:
        if self._client is None:
            settings = nio.AsyncClientConfig(
                max_limit_exceeded=0, max_timeouts=0, request_timeout=MEDIA_LIMIT_S
            )
            self._client = nio.AsyncClient(self.homeserver, self._user_id, config=settings)
        return self._client

    async def close(self) -> None:
        """Drop the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        limit_s: float = CALL_LIMIT_S,
    ) -> Reply:
        """One request with a JSON body. Raises Unreachable."""
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode(errors="replace")
        return await self._ask(method, _with(path, query), data, "application/json", limit_s)

    async def upload(self, data: bytes, name: str, mime: str) -> Reply:
        """Store a file; the body of the reply has ``content_uri``. Raises Unreachable."""
        path = _with("/_matrix/media/v3/upload", {"filename": name})
        return await self._ask("POST", path, data, mime, MEDIA_LIMIT_S)

    async def _ask(self, method: str, path: str, data: bytes | None, mime: str, limit_s: float) -> Reply:
        try:
            async with asyncio.timeout(limit_s):
                response = await self._http().send(method, path, data, self._headers(mime), None, limit_s)
                async with response:
                    return _reply(response.status, await response.read())
        except TimeoutError:
            raise Unreachable(f"{self.homeserver} did not answer within {limit_s:.0f} s") from None
        except (ClientError, OSError) as problem:
            raise Unreachable(f"{self.homeserver} cannot be reached ({_reason(problem)})") from problem

    async def download(self, server: str, media: str, to: Path, limit_bytes: int) -> bool:
        """Fetch a file into ``to``; False when it is refused, gone or over the limit. Raises Unreachable."""
        path = f"/_matrix/client/v1/media/download/{quote(server, safe='')}/{quote(media, safe='')}"
        try:
            async with asyncio.timeout(MEDIA_LIMIT_S):
                response = await self._http().send(
                    "GET", path, None, self._headers(None), None, MEDIA_LIMIT_S
                )
                async with response:
                    if response.status != 200 or (response.content_length or 0) > limit_bytes:
                        return False
                    content = bytearray()
                    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                        content += chunk
                        if len(content) > limit_bytes:
                            return False
        except TimeoutError:
            raise Unreachable(
                f"{self.homeserver} did not send the file within {MEDIA_LIMIT_S:.0f} s"
            ) from None
        except (ClientError, OSError) as problem:
            raise Unreachable(f"{self.homeserver} cannot be reached ({_reason(problem)})") from problem
        await asyncio.to_thread(to.write_bytes, content)
        return True

    def _headers(self, mime: str | None) -> dict[str, str]:
        headers = {"Content-Type": mime} if mime else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers


def room_path(room: str, *more: str) -> str:
    """The address of something in a room, every part quoted."""
    return "/".join((f"{V3}/rooms", *(quote(part, safe="") for part in (room, *more))))


def _with(path: str, query: Mapping[str, Any] | None) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _reason(problem: Exception) -> str:
    """In the system's words where it has some: the library's own name sockets and TLS settings."""
    number = getattr(problem, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    # A name that does not resolve has a number below zero, which strerror does not know.
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__


def _reply(status: int, raw: bytes) -> Reply:
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        body = None
    if not isinstance(body, dict):
        if status < 300:
            raise Unreachable("the answer is not Matrix: is the address right?")
        body = {}
    return Reply(status, body)
