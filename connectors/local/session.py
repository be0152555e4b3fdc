"""One attached terminal: requests in, one JSON object a line; facts out, one JSON object a line."""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from ulid import ULID

from connectors.local.timeline import Line
from connectors.protocol import Outcome, Sent

if TYPE_CHECKING:
    from connectors.local.connector import LocalConnector

WRITE_LIMIT_S = 10.0
HISTORY_LIMIT = 1000
BUFFER_LIMIT_BYTES = 4_000_000  # a terminal that stopped reading is let go, not waited for
TEXT_LIMIT = 100_000  # characters


class BadRequest(Exception):
    """The terminal asked for something that cannot be; the text goes back to it."""


class Session:
    """Serves one stream. Facts are taken from the timeline in order, so a terminal misses none."""

    def __init__(
        self, surface: LocalConnector, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, user: str
    ) -> None:
        self._surface = surface
        self._reader = reader
        self._writer = writer
        self._user = user
        self._over = asyncio.Event()

    def end(self) -> None:
        """Let the terminal go."""
        self._over.set()

    async def run(self) -> None:
        """Until the terminal leaves, or :meth:`end`."""
        timeline = self._surface.timeline
        seq = timeline.seq_of(timeline.cursor)
        self.show(
            {"event": "hello", "user": self._user, "me": self._surface.me, "rooms": list(self._surface.rooms)}
        )
        work = [
            asyncio.create_task(self._listen(), name=f"local requests of {self._user}"),
            asyncio.create_task(self._tell(seq), name=f"local facts for {self._user}"),
            asyncio.create_task(self._over.wait(), name="local session end"),
        ]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in work:
                task.cancel()
            done, _ = await asyncio.wait(work, timeout=2)
        for task in done:
            problem = None if task.cancelled() else task.exception()
            if problem is not None and not isinstance(problem, ConnectionError | TimeoutError | ValueError):
                raise problem

    def show(self, fact: dict[str, Any]) -> None:
        """Queue one line for the terminal."""
        transport = self._writer.transport
        if transport.is_closing() or transport.get_write_buffer_size() > BUFFER_LIMIT_BYTES:
            self._over.set()
            return
        self._writer.write(orjson.dumps(fact) + b"\n")

    async def _tell(self, seq: int) -> None:
        while True:
            await self._surface.timeline.wait_after(seq)
            for line in self._surface.timeline.after(seq):
                self.show(shown(line))
                seq = line.seq
            await asyncio.wait_for(self._writer.drain(), WRITE_LIMIT_S)

    async def _listen(self) -> None:
        while raw := await self._reader.readline():
            request: dict[str, Any] = {}
            try:
                request = _parse(raw)
                await self._answer(request)
            except BadRequest as problem:
                self.show({"event": "error", "id": request.get("id"), "text": str(problem)})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._writer.drain(), WRITE_LIMIT_S)

    async def _answer(self, request: dict[str, Any]) -> None:
        match request.get("op"):
            case "send":
                files = await self._files(request)
                text = _word(request, "text", default="" if files else None)[:TEXT_LIMIT]
                line = self._line("message", request, text=text, files=files)
                await self._say(request, line)
            case "edit":
                line = self._line(
                    "edit", request, target=self._ref(request, "target"), text=_word(request, "text")
                )
                await self._say(request, line)
            case "react":
                line = self._line(
                    "reaction", request, target=self._ref(request, "target"), emoji=_word(request, "emoji")
                )
                await self._say(request, line)
            case "redact":
                await self._say(
                    request, self._line("redaction", request, target=self._ref(request, "target"))
                )
            case "history":
                limit = request.get("limit", 50)
                count = min(limit, HISTORY_LIMIT) if isinstance(limit, int) and limit > 0 else 50
                room = _word(request, "room")
                events = [shown(line) for line in self._surface.timeline.room(room, count)]
                self.show({"event": "history", "id": request.get("id"), "room": room, "events": events})
            case "rooms":
                self.show({"event": "rooms", "id": request.get("id"), "rooms": list(self._surface.rooms)})
            case "complete":
                text = _word(request, "text")
                found = list(self._surface.complete(text)) if self._surface.complete else []
                self.show({"event": "completions", "id": request.get("id"), "text": text, "choices": found})
            case other:
                raise BadRequest(f"unknown op {other!r}: send, edit, react, redact, history, rooms, complete")

    def _line(self, kind: str, request: dict[str, Any], **more: Any) -> Line:
        target = more.get("target")
        about = self._surface.timeline.get(target) if target else None
        room = about.room if about else _word(request, "room")
        given = request.get("id")
        txn = str(given) if given else str(ULID())
        return Line(
            kind,
            room,
            self._user,
            f"{self._user}:{txn}",
            thread=self._ref(request, "thread", optional=True),
            reply_to=self._ref(request, "reply_to", optional=True),
            **more,
        )

    def _ref(self, request: dict[str, Any], key: str, *, optional: bool = False) -> str | None:
        """The id of an existing line, which may be given by its number alone."""
        given = request.get(key)
        if given is None and optional:
            return None
        line = self._surface.timeline.find(str(given))
        if line is None:
            raise BadRequest(f"there is no message {given!r} ({key})")
        return line.id

    async def _files(self, request: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        kept = []
        for number, given in enumerate(request.get("files") or ()):
            path = Path(str(given))
            mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            key = f"{self._user}:{request.get('id') or ULID()}:{number}"
            try:
                kept.append(await self._surface.files.keep(path, path.name, mime, key=key))
            except OSError as problem:
                raise BadRequest(f"the file {given} cannot be sent: {problem}") from problem
        return tuple(kept)

    async def _say(self, request: dict[str, Any], line: Line) -> None:
        outcome: Outcome = await self._surface.say(line)
        if isinstance(outcome, Sent):
            self.show({"event": "receipt", "id": request.get("id"), "ref": outcome.ref})
        else:
            raise BadRequest(outcome.reason)


def shown(line: Line) -> dict[str, Any]:
    """A line as terminals get it."""
    fact: dict[str, Any] = {
        "event": line.kind,
        "id": line.id,
        "room": line.room,
        "sender": line.sender,
        "bot": line.by_bot,
        "ts": line.ts.isoformat() if line.ts else None,
    }
    match line.kind:
        case "message":
            fact |= {
                "text": line.text,
                "thread": line.thread,
                "reply_to": line.reply_to,
                "silent": line.silent,
            }
            fact |= {"ping": list(line.ping), "files": list(line.files)}
        case "edit":
            fact |= {"target": line.target, "text": line.text}
        case "reaction":
            fact |= {"target": line.target, "emoji": line.emoji}
        case _:
            fact |= {"target": line.target}
    return fact


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        request = orjson.loads(raw)
    except orjson.JSONDecodeError as problem:
        raise BadRequest(f"not JSON: {problem}") from problem
    if not isinstance(request, dict):
        raise BadRequest("a request is one JSON object on a line")
    return request


def _word(request: dict[str, Any], key: str, default: str | None = None) -> str:
    value = request.get(key, default)
    if not isinstance(value, str) or (not value and default is None):
        raise BadRequest(f"{key} is missing")
    return value
