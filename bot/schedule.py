"""Runs what is due: the register holds the times and what ran, this loop only wakes and asks for the post.

A due time is begun in the register before anything is posted and closed after; the post's key is made from
the due time. So a crash in between repeats the post under the same key, and it shows once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from bot.commands.failures import CommandFailed
from bot.schedule_times import Definition, ScheduleError, newest_due, next_due
from fleet.register import schedules
from fleet.register.times import to_ms

if TYPE_CHECKING:
    from fleet.register.engine import Register
    from fleet.register.schedules import ScheduleRow

log = structlog.get_logger("schedules")

RETRY_S = 15 * 60.0
MISSES = 3  # failures in a row until people are called
RUN_LIMIT_S = 120.0
LOOK_S = 15.0  # the clock can be set: never sleep past this without looking at it
_FIELDS = ("id", "report", "room", "tz", "cron", "every_s")

Post = Callable[[str, str, str], Awaitable[None]]
Missed = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Shown:
    """One schedule for people. ``when`` in words; ``last_state`` is posted, failed, started or None."""

    id: str
    report: str
    room: str
    when: str
    tz: str
    paused: bool
    source: str
    next_due: datetime | None
    last_due: datetime | None
    last_state: str | None
    last_note: str | None


@dataclass(slots=True)
class _Retry:
    due: datetime
    at: datetime


class Schedules:
    """``post(report, room, key)`` makes the post or raises; ``missed(schedule, reason)`` calls people.

    ``definitions`` have the fields of the configuration: id, report, room, tz, and cron or every_s.
    """

    def __init__(
        self,
        register: Register,
        definitions: Iterable[Any],
        post: Post,
        missed: Missed,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._register = register
        self._given = tuple({name: getattr(d, name, None) for name in _FIELDS} for d in definitions)
        self._post = post
        self._missed = missed
        self._now = now
        self._retries: dict[str, _Retry] = {}
        self._misses: dict[str, int] = {}
        self._wake = asyncio.Event()

    # --- the loop --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        await self.start()
        while True:
            self._wake.clear()
            try:
                await self.tick()
                wait = await self._wait_s()
            except Exception:  # the register may be locked for a moment; schedules must outlive that
                log.exception("schedules could not be looked at")
                wait = LOOK_S
            try:
                await asyncio.wait_for(self._wake.wait(), wait)
            except TimeoutError:
                continue

    async def start(self) -> None:
        """Bring the register in line with the configuration and repeat what a crash cut off."""
        usable = []
        for given in self._given:
            try:
                usable.append(Definition.read(given).record())
            except ScheduleError as problem:
                log.error("schedule not usable", schedule=given["id"], reason=str(problem))
                await self._missed(str(given["id"]), str(problem))
        await self._register.write(lambda tx: schedules.sync_config(tx, usable))
        rows = {row.id: row for row in await schedules.all(self._register)}
        for row in rows.values():
            if row.next_due is None:
                await self._set_next(row.id, next_due(Definition.read(row.definition), self._now()))
            for last in await schedules.last_runs(self._register, row.id, 1):
                if last.state == "failed" and last.attempts < MISSES:
                    self._misses[row.id] = last.attempts
                    self._retries[row.id] = _Retry(last.due_at, last.started_at + timedelta(seconds=RETRY_S))
        for run in await schedules.unfinished(self._register):
            if run.schedule_id in rows:
                await self._do(Definition.read(rows[run.schedule_id].definition), run.due_at)
            else:
                await self._finish(run.schedule_id, run.due_at, "failed", "the schedule was removed")

    async def tick(self) -> None:
        """Run everything that is due now, each once however many of its times went by."""
        now = self._now()
        rows = {row.id: row for row in await schedules.due(self._register, now)}
        work = [self._due(row, now) for row in rows.values()]
        ready = {name: retry for name, retry in self._retries.items() if retry.at <= now and name not in rows}
        if ready:
            known = {row.id: row for row in await schedules.all(self._register)}
            for name, retry in ready.items():
                del self._retries[name]
                if name in known and not known[name].paused:
                    work.append(self._begin(Definition.read(known[name].definition), retry.due, None))
        await asyncio.gather(*work)

    async def _due(self, row: ScheduleRow, now: datetime) -> None:
        definition = Definition.read(row.definition)
        first = row.next_due or now
        due = newest_due(definition, first, now)
        if due != first:
            log.info("caught up", schedule=row.id, missed_since=first.isoformat(), due=due.isoformat())
        await self._begin(definition, due, next_due(definition, now, anchor=due))

    async def _begin(self, definition: Definition, due: datetime, following: datetime | None) -> None:
        def begin(tx: Any) -> bool:
            if following is not None:
                schedules.set_next(tx, definition.id, following)
            return schedules.begin_run(tx, definition.id, due)

        self._retries.pop(definition.id, None)
        if await self._register.write(begin):
            await self._do(definition, due)

    async def _do(self, definition: Definition, due: datetime) -> bool:
        key = f"report:{definition.id}:{to_ms(due)}"
        try:
            async with asyncio.timeout(RUN_LIMIT_S):
                await self._post(definition.report, definition.room, key)
        except Exception as problem:  # noqa: BLE001 - whatever made it fail is recorded, retried, then escalated
            reason = str(problem) or type(problem).__name__
            await self._finish(definition.id, due, "failed", reason[:500])
            await self._failed(definition.id, due, reason)
            return False
        await self._finish(definition.id, due, "posted", None)
        self._misses.pop(definition.id, None)
        log.info("posted", schedule=definition.id, due=due.isoformat())
        return True

    async def _failed(self, name: str, due: datetime, reason: str) -> None:
        misses = self._misses.get(name, 0) + 1
        log.error("report failed", schedule=name, due=due.isoformat(), misses=misses, reason=reason)
        if misses >= MISSES:
            self._misses.pop(name, None)
            await self._missed(name, reason)
            return
        self._misses[name] = misses
        self._retries[name] = _Retry(due, self._now() + timedelta(seconds=RETRY_S))

    async def _finish(self, name: str, due: datetime, state: str, note: str | None) -> None:
        await self._register.write(lambda tx: schedules.finish_run(tx, name, due, state, note))

    async def _set_next(self, name: str, due: datetime | None) -> None:
        await self._register.write(lambda tx: schedules.set_next(tx, name, due))

    async def _wait_s(self) -> float:
        rows = await schedules.all(self._register)
        times = [row.next_due for row in rows if row.next_due is not None and not row.paused]
        times += [retry.at for retry in self._retries.values()]
        if not times:
            return LOOK_S
        return min(LOOK_S, max(0.05, (min(times) - self._now()).total_seconds()))

    # --- for commands ----------------------------------------------------------------------------------

    async def list(self) -> list[Shown]:
        """Every schedule with its next time and its last run, the next one first."""
        found = []
        for row in await schedules.all(self._register):
            definition = Definition.read(row.definition)
            last = next(iter(await schedules.last_runs(self._register, row.id, 1)), None)
            found.append(
                Shown(
                    row.id,
                    definition.report,
                    definition.room,
                    definition.words,
                    definition.tz,
                    row.paused,
                    row.source,
                    row.next_due,
                    last.due_at if last else None,
                    last.state if last else None,
                    last.note if last else None,
                )
            )
        far = max((s.next_due for s in found if s.next_due), default=self._now())
        return sorted(found, key=lambda s: (s.paused, s.next_due is None, s.next_due or far, s.id))

    async def run_now(self, name: str) -> str:
        """Run one now, outside its times (which stay); what happened. Raises CommandFailed."""
        definition = Definition.read((await self._row(name)).definition)
        due = self._now()
        if not await self._register.write(lambda tx: schedules.begin_run(tx, name, due)):
            raise CommandFailed(f"Schedule {name} is running at this moment.", 1)
        if not await self._do(definition, due):
            raise CommandFailed(
                f"Schedule {name} failed; it is tried again in 15 min. See the log of the bot.", 1
            )
        return f"{definition.report} report posted in {definition.room}"

    async def pause(self, name: str, paused: bool) -> str:
        """Pause or go on; times missed while paused are not made up for. Raises CommandFailed."""
        row = await self._row(name)
        following = next_due(Definition.read(row.definition), self._now(), anchor=row.next_due)

        def work(tx: Any) -> None:
            schedules.set_paused(tx, name, paused)
            schedules.set_next(tx, name, following)

        await self._register.write(work)
        self._wake.set()
        return f"schedule {name} {'paused' if paused else 'goes on'}"

    async def _row(self, name: str) -> ScheduleRow:
        rows = {row.id: row for row in await schedules.all(self._register)}
        if name not in rows:
            known = ", ".join(rows) or "none"
            raise CommandFailed(f"There is no schedule {name!r}; there is: {known}.", 1)
        return rows[name]
