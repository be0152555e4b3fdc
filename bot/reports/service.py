"""Makes reports and puts them into the outbox: on demand, or for a due time under a key that posts once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import structlog

from bot.commands.failures import CommandFailed
from bot.document import Document, Picture
from bot.posts import Posts, plain
from bot.reports import readiness
from bot.reports.picture import PictureError, draw
from fleet.files import write_atomic

if TYPE_CHECKING:
    from fleet.model import Snapshot
    from fleet.register.engine import Register
    from fleet.register.tx import Tx

log = structlog.get_logger("reports")

NAMES = ("readiness",)
MAKE_LIMIT_S = 90.0
PICTURES_KEPT = 20  # per report; older ones were posted long ago


class ReportError(Exception):
    """A report that could not be made or posted; the text says why, with a reference into the log."""


class Reports:
    """``snapshot`` reads the fleet, ``folder`` keeps pictures and what the last report said.

    ``zone`` is the readers' time zone; None is this machine's.
    """

    def __init__(
        self,
        posts: Posts,
        register: Register,
        snapshot: Callable[[], Awaitable[Snapshot]],
        folder: Path,
        *,
        now: Callable[[], datetime],
        zone: tzinfo | None = None,
    ) -> None:
        self._posts = posts
        self._register = register
        self._snapshot = snapshot
        self._folder = folder
        self._now = now
        self._zone = zone

    async def post_due(self, report: str, room: str, key: str) -> None:
        """Post the report of one due time. The same ``key`` again shows nothing twice.

        Raises ReportError after saying in the room that it failed (once for a key).
        """
        try:
            async with asyncio.timeout(MAKE_LIMIT_S):
                await self._post(report, room, key, keep=True)
        except Exception as problem:
            reference = secrets.token_hex(2)
            log.exception("report failed", report=report, room=room, key=key, ref=reference)
            reason = str(problem) or type(problem).__name__
            await self._say_failed(report, room, key, reference)
            raise ReportError(f"{reason} (ref {reference})") from problem

    async def post(self, report: str, room: str | None) -> str:
        """Post one now; what happened in words. ``room`` None: the first room for reports, else for ops.

        Raises CommandFailed for a report or room that is not there.
        """
        if report not in NAMES:
            raise CommandFailed(f"There is no report {report!r}; there is: {', '.join(NAMES)}.", 1)
        chosen = room or self._posts.rooms.with_mode("reports") or self._posts.rooms.with_mode("ops")
        if chosen is None or chosen not in self._posts.rooms:
            raise CommandFailed(f"There is no room {chosen or 'for reports'!r} in the configuration.", 1)
        await self._post(report, chosen, f"report:now:{secrets.token_hex(8)}", keep=False)
        return f"{report} report posted in {chosen}"

    async def make(self, report: str, *, asked: bool = True) -> tuple[Document, readiness.Facts]:
        """The report as a document with its picture, and its facts. Raises ReportError for an unknown one.

        One that nobody ``asked`` for has no picture when nothing changed: one line says so.
        """
        if report not in NAMES:
            raise ReportError(f"there is no report {report!r}; there is: {', '.join(NAMES)}")
        snapshot = await self._snapshot()
        last = await asyncio.to_thread(self._last)
        facts = readiness.facts_of(snapshot)
        local = snapshot.ts.astimezone(self._zone)
        picture, note = None, None
        if not asked and last is not None and not readiness.changes(last, facts):
            return readiness.document(snapshot, last, local=local, picture=None), facts
        name = f"readiness-{snapshot.ts:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}.png"
        try:
            path = await draw(readiness.chart(facts, local), self._folder / name, self._folder / "cache")
            picture = Picture(path, readiness.alt_text(facts))
        except (PictureError, OSError) as problem:
            log.warning("no picture", report=report, reason=str(problem))
            note = f"No picture this time: {problem}"
        return readiness.document(snapshot, last, local=local, picture=picture, note=note), facts

    async def _post(self, report: str, room: str, key: str, *, keep: bool) -> None:
        if room not in self._posts.rooms:
            raise ReportError(f"there is no room {room!r} in the configuration")
        document, facts = await self.make(report, asked=not keep)

        def put(tx: Tx) -> None:
            for place in self._posts.rooms.places(room):
                self._posts.document(tx, place, document, dedup=key, lane="normal")

        await self._register.write(put)
        if keep:
            await asyncio.to_thread(self._keep, facts)

    async def _say_failed(self, report: str, room: str, key: str, reference: str) -> None:
        target = room if room in self._posts.rooms else self._posts.rooms.with_mode("ops")
        if target is None:
            return
        local = self._now().astimezone(self._zone)
        text = (
            f"⚠️ The {report} report of {local:%H:%M} failed (ref {reference}); it is tried again in 15 min."
        )
        await self._register.write(
            lambda tx: self._posts.put_all(tx, target, lambda _place: plain(text), dedup=f"{key}:failed")
        )

    def _last(self) -> readiness.Facts | None:
        try:
            return readiness.Facts.read(orjson.loads((self._folder / "readiness.json").read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as problem:
            log.warning("the last report's facts cannot be read", reason=str(problem))
            return None

    def _keep(self, facts: readiness.Facts) -> None:
        write_atomic(self._folder / "readiness.json", orjson.dumps(facts.record()))
        for old in sorted(self._folder.glob("readiness-*.png"))[:-PICTURES_KEPT]:
            old.unlink(missing_ok=True)
