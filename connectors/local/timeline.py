"""The durable log of the local surface: one JSON line per fact, in order, never changed afterwards.

A line is on disk before anybody sees it. What a crash leaves half-written at the end is cut off at the next
opening: nobody was told of it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

KEEP_LINES = 20_000
TRIM_ABOVE_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """One fact. ``kind``: message | edit | reaction | redaction. ``seq`` counts from 1 upwards.

    ``txn`` is unique per ``sender``; ``target`` is what an edit, reaction or redaction is about.
    """

    kind: str
    room: str
    sender: str
    txn: str
    by_bot: bool = False
    text: str = ""
    thread: str | None = None
    reply_to: str | None = None
    target: str | None = None
    emoji: str = ""
    ping: tuple[str, ...] = ()
    silent: bool = False
    files: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)
    seq: int = 0
    id: str = ""
    ts: datetime | None = None


class Timeline:
    """``timeline.jsonl`` in ``folder``. Open it once per process (the bot holds the register's lock)."""

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self.path = folder / "timeline.jsonl"
        self._clock = clock
        self._lines: list[Line] = []
        self._by_id: dict[str, Line] = {}
        self._by_txn: dict[tuple[str, str], str] = {}
        self._epoch = ""
        self._seq = 0
        self._news = asyncio.Condition()
        self._writing = asyncio.Lock()

    async def open(self) -> None:
        """Read what is there. Raises OSError."""
        await asyncio.to_thread(self._load)

    def _load(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        raw = self.path.read_bytes() if self.path.exists() else b""
        whole = raw[: raw.rfind(b"\n") + 1]
        first, *rest = whole.split(b"\n") if whole else [b""]
        try:
            self._epoch = orjson.loads(first)["epoch"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            rest = []
            if whole:  # not ours, or damaged at its head: kept aside, never overwritten
                self.path.replace(self.path.with_suffix(f".unreadable-{secrets.token_hex(3)}"))
            self._epoch = secrets.token_hex(3)
            _write_whole(self.path, [orjson.dumps({"v": 1, "epoch": self._epoch})])
            whole = raw = b""
        self._lines, self._by_id, self._by_txn, self._seq = [], {}, {}, 0
        for text in rest:
            line = _decode(text)
            if line is not None:
                self._remember(line)
        if len(raw) > TRIM_ABOVE_BYTES and len(self._lines) > KEEP_LINES:
            self._lines = self._lines[-KEEP_LINES:]
            head = orjson.dumps({"v": 1, "epoch": self._epoch})
            _write_whole(self.path, [head, *(_encode(line) for line in self._lines)])
        elif len(raw) != len(whole):
            os.truncate(self.path, len(whole))

    def _remember(self, line: Line) -> None:
        self._lines.append(line)
        self._by_id[line.id] = line
        self._by_txn[line.sender, line.txn] = line.id
        self._seq = line.seq

    async def add(self, line: Line) -> Line:
        """Append, sync, then show. The same sender and transaction again give the first line back.

        Raises OSError when the disk refuses; then nothing was said.
        """
        async with self._writing:
            known = self._by_txn.get((line.sender, line.txn))
            if known is not None and known in self._by_id:
                return self._by_id[known]
            seq = self._seq + 1
            # The epoch keeps ids apart from those of a timeline that was deleted.
            stored = replace(line, seq=seq, id=f"{seq}-{self._epoch}", ts=self._clock())
            await asyncio.to_thread(self._append, _encode(stored) + b"\n")
            self._remember(stored)
        async with self._news:
            self._news.notify_all()
        return stored

    def _append(self, data: bytes) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            try:
                if os.write(fd, data) != len(data):
                    raise OSError("the disk took only a part of the line")
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, size)
                raise
        finally:
            os.close(fd)

    @property
    def cursor(self) -> str:
        """The position behind everything that is there now."""
        return self.position(self._seq)

    def position(self, seq: int) -> str:
        """The position behind the line of this number."""
        return f"{self._epoch}:{seq}"

    def seq_of(self, cursor: str | None) -> int:
        """The number a position stands behind; 0 (everything is new) for one of another timeline."""
        epoch, _, number = (cursor or "").partition(":")
        return int(number) if epoch == self._epoch and number.isdigit() else 0

    def after(self, seq: int) -> list[Line]:
        """Every kept line behind this number, in order."""
        return self._lines[bisect_right(self._lines, seq, key=lambda line: line.seq) :]

    def get(self, line_id: str) -> Line | None:
        return self._by_id.get(line_id)

    def find(self, given: str) -> Line | None:
        """By id, or by the number before its dash, which is what people type."""
        whole = given if "-" in given else f"{given.lstrip('#')}-{self._epoch}"
        return self._by_id.get(whole)

    def room(self, name: str, limit: int) -> list[Line]:
        """The last ``limit`` lines of a room, oldest first."""
        return list(reversed([line for _, line in zip(range(limit), self._backwards(name), strict=False)]))

    def _backwards(self, name: str) -> Iterator[Line]:
        return (line for line in reversed(self._lines) if line.room == name)

    async def wait_after(self, seq: int) -> None:
        """Until there is a line behind this number."""
        async with self._news:
            await self._news.wait_for(lambda: self._seq > seq)


def _encode(line: Line) -> bytes:
    return orjson.dumps(asdict(line))


def _decode(text: bytes) -> Line | None:
    """A line, or None for an empty or unreadable one (a person may have edited the file)."""
    try:
        data = orjson.loads(text)
        data["ts"] = datetime.fromisoformat(data["ts"])
        data["ping"] = tuple(data.get("ping") or ())
        data["files"] = tuple(data.get("files") or ())
        return Line(**data)
    except (orjson.JSONDecodeError, TypeError, KeyError, ValueError):
        return None


def _write_whole(path: Path, lines: list[bytes]) -> None:
    temp = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as handle:
        handle.write(b"".join(line + b"\n" for line in lines))
        handle.flush()
        os.fsync(handle.fileno())
    temp.replace(path)
