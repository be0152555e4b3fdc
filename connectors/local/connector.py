"""The local surface as a connector: what people and the bot say goes through one timeline."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from connectors.local.session import Session
from connectors.local.store import FileStore
from connectors.local.timeline import Line, Timeline
from connectors.protocol import (
    Batch,
    Capabilities,
    ChatEvent,
    Content,
    Edited,
    LinkState,
    MessageReceived,
    Outcome,
    Reacted,
    Redacted,
    Rejected,
    RemoteFile,
    Sent,
    StartError,
    Status,
    Target,
    Unavailable,
)

Completer = Callable[[str], Sequence[str]]


class LocalConnector:
    """``folder`` keeps the timeline and the files. ``rooms`` are the configured names; no others exist here.

    ``complete`` may be set to what proposes endings for a half-typed command.
    """

    name = "local"
    capabilities = Capabilities(html=False, message_limit=100_000)

    def __init__(
        self,
        folder: Path,
        *,
        rooms: Iterable[str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        me: str = "mosaic",
        complete: Completer | None = None,
    ) -> None:
        self.rooms = tuple(rooms)
        self.complete = complete
        self.timeline = Timeline(folder, clock)
        self.files = FileStore(folder / "files")
        self._me = me
        self._clock = clock
        self._status = Status(LinkState.CONNECTING, clock())
        self._seq = 0
        self._open = False
        self._opening = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._sessions: set[Session] = set()

    @property
    def me(self) -> str:
        return self._me

    @property
    def status(self) -> Status:
        return self._status

    async def probe(self) -> str | None:
        """Nothing has to be reached: it is this process itself."""
        return None

    async def start(self, cursor: str | None) -> None:
        """Open the timeline. Without a cursor nothing that stands there is new. Raises StartError."""
        try:
            await self._ensure_open()
        except OSError as problem:
            self._status = Status(LinkState.STOPPED, self._clock(), str(problem))
            raise StartError(
                f"The local surface cannot use {self.timeline.path}: {problem}. "
                "Mend the file's rights or the disk."
            ) from problem
        self._stopping.clear()
        self._seq = self.timeline.seq_of(cursor) if cursor else self.timeline.seq_of(self.timeline.cursor)
        self._status = Status(LinkState.UP, self._clock())

    async def _ensure_open(self) -> None:
        async with self._opening:
            if not self._open:
                await self.timeline.open()
                self._open = True

    async def stop(self) -> None:
        """End :meth:`events` and every attached terminal."""
        self._stopping.set()
        for session in tuple(self._sessions):
            session.end()
        self._status = Status(LinkState.DOWN, self._clock(), "stopped")

    async def events(self) -> AsyncIterator[Batch]:
        """What people said since the cursor, line by line as it comes."""
        yield Batch((), self.timeline.position(self._seq))
        while not self._stopping.is_set():
            lines = self.timeline.after(self._seq)
            if not lines:
                await self._news_or_stop()
                continue
            found = tuple(fact for line in lines if (fact := self._fact(line)) is not None)
            if found:
                yield Batch(found, self.timeline.position(lines[-1].seq))
            self._seq = lines[-1].seq

    async def _news_or_stop(self) -> None:
        news = asyncio.create_task(self.timeline.wait_after(self._seq), name="local news")
        stop = asyncio.create_task(self._stopping.wait(), name="local stop")
        try:
            await asyncio.wait({news, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            stop.cancel()
            await asyncio.wait({news, stop}, timeout=2)

    def _fact(self, line: Line) -> ChatEvent | None:
        if line.by_bot or line.ts is None:
            return None
        base = (line.id, line.room, line.sender, line.ts)
        match line.kind:
            case "message":
                return MessageReceived(
                    *base,
                    text=line.text,
                    thread=line.thread,
                    reply_to=line.reply_to,
                    mentions_me=f"@{self._me}" in line.text,
                    files=tuple(
                        RemoteFile(f["ref"], f["name"], f["mime"], f["size_bytes"]) for f in line.files
                    ),
                )
            case "edit" if line.target:
                return Edited(*base, line.target, line.text)
            case "reaction" if line.target:
                return Reacted(*base, line.target, line.emoji)
            case "redaction" if line.target:
                return Redacted(*base, line.target)
            case _:
                return None

    async def attach(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, user: str) -> None:
        """Serve one terminal until it leaves or the connector stops. ``user`` is known by the caller."""
        await self._ensure_open()
        session = Session(self, reader, writer, user)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)

    async def say(self, line: Line) -> Outcome:
        """Put a line into the timeline, after the rules that hold for everybody."""
        if line.room not in self.rooms:
            return Rejected(f"there is no room {line.room!r} here")
        if not self._open:
            return Unavailable("the local surface is not started")
        if line.thread is not None and self.timeline.get(line.thread) is None:
            return Rejected(f"there is no message {line.thread} to open a thread on")
        if line.target is not None:
            target = self.timeline.get(line.target)
            if target is None:
                return Rejected(f"there is no message {line.target}")
            if line.kind in {"edit", "redaction"} and (target.sender, target.by_bot) != (
                line.sender,
                line.by_bot,
            ):
                return Rejected("only who wrote a message may change it or take it back")
        try:
            return Sent((await self.timeline.add(line)).id)
        except OSError as problem:
            return Unavailable(f"{self.timeline.path} cannot be written: {problem}")

    def _mine(self, kind: str, target: Target, txn: str, content: Content | None = None) -> Line:
        line = Line(kind, target.room, self._me, f"bot:{txn}", by_bot=True, thread=target.thread)
        if content is None:
            return line
        return replace(
            line, text=content.text, reply_to=content.reply_to, ping=content.ping, silent=content.silent
        )

    async def send(self, target: Target, content: Content, txn: str) -> Outcome:
        return await self.say(self._mine("message", target, txn, content))

    async def edit(self, target: Target, ref: str, content: Content, txn: str) -> Outcome:
        return await self.say(replace(self._mine("edit", target, txn, content), target=ref))

    async def react(self, target: Target, ref: str, emoji: str, txn: str) -> Outcome:
        return await self.say(replace(self._mine("reaction", target, txn), target=ref, emoji=emoji))

    async def redact(self, target: Target, ref: str, txn: str) -> Outcome:
        return await self.say(replace(self._mine("redaction", target, txn), target=ref))

    async def upload(self, target: Target, content: Content, txn: str) -> Outcome:
        """Keep a copy of the file and post it with its caption, or with the sentence that stands for it."""
        file = content.file
        if file is None:
            return await self.send(target, content, txn)
        try:
            kept = await self.files.keep(file.path, file.name, file.mime, key=f"bot:{txn}")
        except OSError as problem:
            return Unavailable(f"the file {file.name} cannot be kept: {problem}")
        line = self._mine("message", target, txn, content)
        return await self.say(replace(line, text=content.text or file.alt or file.name, files=(kept,)))

    async def typing(self, room: str, on: bool) -> None:
        for session in tuple(self._sessions):
            with contextlib.suppress(ConnectionError):
                session.show({"event": "typing", "room": room, "on": on})

    async def download(self, file: RemoteFile, to: Path, limit_bytes: int) -> bool:
        source = self.files.path(file.ref)
        if source is None:
            return False

        def copy() -> bool:
            if source.stat().st_size > limit_bytes:
                return False
            shutil.copyfile(source, to)
            return True

        try:
            return await asyncio.to_thread(copy)
        except OSError:
            return False
