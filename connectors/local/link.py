"""A terminal's end of the local surface: a connection to the bot's socket, requests and facts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson
from ulid import ULID

LINE_LIMIT_BYTES = 8_000_000
HELLO_LIMIT_S = 10.0
ANSWER_LIMIT_S = 15.0


class NoBot(Exception):
    """Nobody serves the surface; the text says what to do."""


class Refused(Exception):
    """The surface refused a request; the text is its reason."""


class Link:
    """``async with Link(socket, user) as link``: :meth:`ask` for answers, :meth:`facts` for what happens."""

    def __init__(self, socket: Path, user: str) -> None:
        self._socket = socket
        self._asked_as = user
        self._facts: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self.user = user
        self.rooms: tuple[str, ...] = ()

    async def __aenter__(self) -> Link:
        try:
            self._reader, self._writer = await asyncio.open_unix_connection(
                str(self._socket), limit=LINE_LIMIT_BYTES
            )
            self._put({"op": "chat", "user": self._asked_as})
            raw = await asyncio.wait_for(self._reader.readline(), HELLO_LIMIT_S)
        except (OSError, TimeoutError) as problem:
            why = getattr(problem, "strerror", None) or str(problem) or "no answer"
            raise NoBot(
                f"The bot does not answer on {self._socket} ({why}). "
                "Start it: mosaic bot run (or: systemctl --user start mosaic-bot)."
            ) from problem
        hello = _decode(raw)
        if hello.get("event") != "hello":
            await self._close()
            raise NoBot(f"The bot does not offer the local surface: {hello.get('error') or 'it hung up'}.")
        self.user = str(hello["user"])
        self.rooms = tuple(str(name) for name in hello["rooms"])
        self._task = asyncio.create_task(self._read(self._reader), name="local link")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=2)
        await self._close()

    async def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._writer.wait_closed(), 2)

    def _put(self, request: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(orjson.dumps(request) + b"\n")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while raw := await reader.readline():
                fact = _decode(raw)
                answers = self._waiting.pop(str(fact.get("id")), None) if _is_answer(fact) else None
                if answers is not None and not answers.done():
                    answers.set_result(fact)
                elif fact:
                    self._facts.put_nowait(fact)
        except OSError:
            return
        finally:
            self._facts.put_nowait(None)
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(NoBot("The bot hung up."))
            self._waiting.clear()

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """A request and its answer (``receipt``, ``history``, ``rooms``, ``completions``).

        Raises Refused with the surface's reason, NoBot when it is gone or silent for 15 s.
        """
        key = str(ULID())
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if self._task is None or self._task.done():
            raise NoBot("The bot hung up.")
        self._waiting[key] = future
        self._put({"op": op, "id": key, **{k: v for k, v in fields.items() if v is not None}})
        try:
            answer = await asyncio.wait_for(future, ANSWER_LIMIT_S)
        except TimeoutError:
            raise NoBot(f"The bot did not answer within {ANSWER_LIMIT_S:.0f} s.") from None
        finally:
            self._waiting.pop(key, None)
        if answer.get("event") == "error":
            raise Refused(str(answer.get("text")))
        return answer

    async def facts(self) -> AsyncIterator[dict[str, Any]]:
        """What happens in the rooms, as it happens; ends when the bot hangs up."""
        while (fact := await self._facts.get()) is not None:
            yield fact


def _is_answer(fact: dict[str, Any]) -> bool:
    return fact.get("event") in {"receipt", "error", "history", "rooms", "completions"}


def _decode(raw: bytes) -> dict[str, Any]:
    try:
        fact = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return fact if isinstance(fact, dict) else {}
