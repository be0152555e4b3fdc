"""When a schedule is due: pure, over cron words or an interval, right across daylight saving changes.

Cron works on the wall clock of its zone. A fixed hour happens once a day: in the repeated hour of autumn the
first time counts, in the missing hour of spring the time moves on by the gap. An hour field that begins with
``*`` means "evenly": it fires in both passes of a repeated hour and knows no missing ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Longer than any change of a zone's offset, so that every wall time near an instant is looked at.
_SLACK = timedelta(hours=3)


class _Trigger(Protocol):
    """The part of APScheduler's trigger that is used; it ships no types."""

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None: ...


class ScheduleError(ValueError):
    """The definition says no times; the text says which part of it, and what would."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One schedule as configured. Exactly one of ``cron`` (five fields) and ``every_s`` (seconds) is set."""

    id: str
    report: str
    room: str
    tz: str = "UTC"
    cron: str | None = None
    every_s: float | None = None

    def record(self) -> dict[str, str | float | None]:
        """As the register keeps it."""
        return {
            "id": self.id,
            "report": self.report,
            "room": self.room,
            "tz": self.tz,
            "cron": self.cron,
            "every_s": self.every_s,
        }

    @classmethod
    def read(cls, record: Mapping[str, object]) -> Definition:
        """From :meth:`record`, or from any object's fields of these names. Raises ScheduleError."""
        every, cron = record.get("every_s"), record.get("cron")
        found = cls(
            str(record["id"]),
            str(record["report"]),
            str(record["room"]),
            str(record.get("tz") or "UTC"),
            None if cron is None else str(cron),
            None if every is None else float(str(every)),
        )
        found.check()
        return found

    def check(self) -> None:
        """Raises ScheduleError when no times follow from it."""
        if (self.cron is None) == (self.every_s is None):
            raise ScheduleError(f"schedule {self.id}: give either cron or every_s")
        if self.every_s is not None and self.every_s < 1:
            raise ScheduleError(f"schedule {self.id}: every_s is {self.every_s:g}; at least 1 second")
        zone(self.tz)
        if self.cron is not None:
            _triggers(self.cron)

    @property
    def words(self) -> str:
        """How often, for people."""
        if self.every_s is not None:
            return f"every {span(self.every_s)}"
        return f"cron {self.cron} ({self.tz})"


def span(seconds: float) -> str:
    """A length of time in its largest whole unit: 90 s, 15 min, 2 h, 1 d."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def zone(name: str) -> ZoneInfo:
    """The time zone of this name. Raises ScheduleError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise ScheduleError(f"no time zone {name!r}; use a name like Europe/Berlin or UTC") from problem


def next_due(definition: Definition, after: datetime, anchor: datetime | None = None) -> datetime | None:
    """The first due time later than ``after`` (aware, UTC out); None when there is none within years.

    ``anchor`` is a former due time of an interval: the steps keep its phase. Raises ScheduleError.
    """
    if definition.every_s is not None:
        step = timedelta(seconds=definition.every_s)
        begin = after if anchor is None else anchor
        steps = (after - begin) // step + 1
        return (begin + steps * step).astimezone(UTC)
    if definition.cron is None:
        raise ScheduleError(f"schedule {definition.id}: give either cron or every_s")
    return _next_cron(definition.cron, zone(definition.tz), after)


def newest_due(definition: Definition, first: datetime, now: datetime) -> datetime:
    """The last due time that is not after ``now``, where ``first`` was the first one missed.

    Many missed times are made up for by one run; its time is this one. Of cron words only the last day is
    searched, then ``first`` stands for all.
    """
    if definition.cron is None:
        step = timedelta(seconds=definition.every_s or 1)
        return first + (now - first) // step * step if now > first else first
    tz = zone(definition.tz)
    for window in (timedelta(hours=1), timedelta(hours=25)):
        past = [t for t in _between(definition.cron, tz, max(first, now - window), now) if t >= first]
        if past:
            return max(past)
    return first


def _between(cron: str, tz: ZoneInfo, begin: datetime, end: datetime) -> list[datetime]:
    """Every due time from ``begin`` to ``end``, both included."""
    evenly = cron.split()[1].startswith("*")
    last = end.astimezone(tz).replace(tzinfo=None) + _SLACK
    found: list[datetime] = []
    for wall in _walls(cron, begin.astimezone(tz).replace(tzinfo=None) - _SLACK):
        if wall > last:
            break
        found += [t for t in _instants(wall, tz, evenly=evenly) if begin <= t <= end]
    return found


def _next_cron(cron: str, tz: ZoneInfo, after: datetime) -> datetime | None:
    evenly = cron.split()[1].startswith("*")
    start = after.astimezone(tz).replace(tzinfo=None)
    best: datetime | None = None
    end: datetime | None = None
    for wall in _walls(cron, start - (timedelta(0) if _steady(after, tz) else _SLACK)):
        if end is not None and wall > end:
            break
        for instant in _instants(wall, tz, evenly=evenly):
            if instant > after and (best is None or instant < best):
                best = instant
        if best is not None and end is None:
            if _steady(best, tz):
                break
            end = wall + _SLACK  # near a change a later wall time can be an earlier instant
    return best


def _steady(at: datetime, tz: ZoneInfo) -> bool:
    """Whether the zone's offset changes nowhere near."""
    return len({(at + d).astimezone(tz).utcoffset() for d in (-_SLACK, timedelta(0), _SLACK)}) == 1


def _walls(cron: str, start: datetime) -> Iterator[datetime]:
    """Wall clock times (naive) from ``start`` on, in order."""
    triggers = _triggers(cron)
    # The trigger knows nothing of zones here: wall times are dressed as UTC, where every one exists once.
    at = start.replace(tzinfo=UTC)
    while True:
        found = [t for trigger in triggers if (t := trigger.get_next_fire_time(None, at)) is not None]
        if not found:
            return
        first = min(found)
        yield first.replace(tzinfo=None)
        at = first + timedelta(seconds=1)


def _instants(wall: datetime, tz: ZoneInfo, *, evenly: bool) -> list[datetime]:
    first, second = (wall.replace(tzinfo=tz, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return [first]
    missing = first.astimezone(tz).replace(tzinfo=None) != wall
    if missing:
        # fold=0 reads the wall with the offset from before the gap: the time moved on by the gap.
        return [] if evenly else [first]
    return [first, second] if evenly else [first]


def _triggers(cron: str) -> list[_Trigger]:
    """One trigger, or two where both day fields are restricted: cron fires when either fits."""
    from apscheduler.triggers.cron import CronTrigger

    fields = cron.split()
    if len(fields) != 5:
        raise ScheduleError(
            f"cron {cron!r} has {len(fields)} fields; five are needed: minute hour day month weekday"
        )
    minute, hour, day, month, weekday = fields
    weekdays = _weekdays(weekday, cron)
    pairs = [(day, weekdays)]
    if not day.startswith("*") and not weekday.startswith("*"):
        pairs = [(day, "*"), ("*", weekdays)]
    try:
        return [
            CronTrigger(minute=minute, hour=hour, day=d, month=month, day_of_week=w, timezone=UTC)
            for d, w in pairs
        ]
    except ValueError as problem:
        raise ScheduleError(f"cron {cron!r}: {problem}") from problem


def _weekdays(field: str, cron: str) -> str:
    """Cron counts weekdays from Sunday (0 and 7), APScheduler from Monday: give it names."""
    if field == "*":
        return field
    chosen: list[str] = []
    for part in field.lower().split(","):
        body, _, step = part.partition("/")
        first, _, last = body.partition("-")
        try:
            low = 0 if body == "*" else _weekday(first)
            high = 6 if body == "*" or (step and not last) else _weekday(last or first)
            if high < low:
                high += 7
            chosen += [_NAMES[n % 7] for n in range(low, high + 1, int(step or 1))]
        except ValueError as problem:
            raise ScheduleError(
                f"cron {cron!r}: {part!r} is no weekday; 0-7 (0 and 7 are Sunday) or sun, mon, …"
            ) from problem
    return ",".join(dict.fromkeys(chosen))


def _weekday(word: str) -> int:
    if word in _NAMES:
        return _NAMES.index(word)
    number = int(word)
    if not 0 <= number <= 7:
        raise ValueError(word)
    return number
