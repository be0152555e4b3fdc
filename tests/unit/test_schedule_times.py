"""Due times: the wall clock of a zone, its two bad nights, and what a downtime leaves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.schedule_times import Definition, ScheduleError, newest_due, next_due, span

BERLIN = "Europe/Berlin"


def cron(words: str, tz: str = "UTC") -> Definition:
    return Definition("x", "readiness", "reports", tz=tz, cron=words)


def every(seconds: float) -> Definition:
    return Definition("x", "readiness", "reports", every_s=seconds)


def walk(definition: Definition, start: datetime, count: int) -> list[datetime]:
    found: list[datetime] = []
    at: datetime | None = start
    for _ in range(count):
        at = next_due(definition, at) if at else None
        assert at is not None
        found.append(at)
    return found


def local(times: list[datetime], tz: str) -> list[str]:
    return [t.astimezone(ZoneInfo(tz)).strftime("%d %H:%M%z") for t in times]


def test_a_fixed_hour_in_the_missing_hour_of_spring_moves_on_and_stays_one_a_day() -> None:
    times = walk(cron("30 2 * * *", BERLIN), datetime(2026, 3, 27, 12, tzinfo=UTC), 3)
    assert local(times, BERLIN) == ["28 02:30+0100", "29 03:30+0200", "30 02:30+0200"]


def test_a_fixed_hour_in_the_repeated_hour_of_autumn_comes_once() -> None:
    times = walk(cron("30 2 * * *", BERLIN), datetime(2026, 10, 24, 12, tzinfo=UTC), 2)
    assert local(times, BERLIN) == ["25 02:30+0200", "26 02:30+0100"]


@pytest.mark.parametrize(
    "start", [datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 10, 24, 20, tzinfo=UTC)]
)
def test_an_even_schedule_stays_even_through_both_nights(start: datetime) -> None:
    times = walk(cron("*/30 * * * *", BERLIN), start, 24)
    assert {b - a for a, b in pairwise(times)} == {timedelta(minutes=30)}


def test_nine_in_the_morning_is_nine_before_and_after_the_change() -> None:
    times = walk(cron("0 9 * * *", "America/New_York"), datetime(2026, 10, 31, tzinfo=UTC), 3)
    assert [t.hour for t in times] == [13, 14, 14]


def test_weekdays_count_from_sunday_as_cron_does() -> None:
    monday = next_due(cron("0 8 * * 1"), datetime(2026, 11, 24, tzinfo=UTC))
    assert monday is not None
    assert monday.strftime("%A") == "Monday"
    for words in ("0", "7", "sun"):
        sunday = next_due(cron(f"0 8 * * {words}"), datetime(2026, 11, 24, tzinfo=UTC))
        assert sunday is not None
        assert sunday.strftime("%A") == "Sunday"
    times = walk(cron("0 8 * * 1-5"), datetime(2026, 11, 20, 9, tzinfo=UTC), 6)
    assert [t.strftime("%a") for t in times] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Mon"]
    assert [t.strftime("%a") for t in walk(cron("0 8 * * 5-7"), datetime(2026, 11, 23, tzinfo=UTC), 3)] == [
        "Fri",
        "Sat",
        "Sun",
    ]


def test_both_day_fields_restricted_mean_either() -> None:
    times = walk(cron("0 8 1 * 1"), datetime(2026, 11, 24, tzinfo=UTC), 3)
    assert [t.strftime("%a %d") for t in times] == ["Mon 30", "Tue 01", "Mon 07"]


def test_an_interval_keeps_its_phase() -> None:
    anchor = datetime(2026, 1, 1, tzinfo=UTC)
    late = anchor + timedelta(seconds=47)
    assert next_due(every(10), late, anchor) == anchor + timedelta(seconds=50)
    assert next_due(every(10), late) == late + timedelta(seconds=10)


def test_many_missed_times_are_one_and_it_is_the_newest() -> None:
    first = datetime(2026, 11, 20, 9, tzinfo=UTC)
    now = datetime(2026, 11, 24, 13, 20, tzinfo=UTC)
    assert newest_due(cron("0 9 * * *"), first, now) == datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert newest_due(every(3600), first, now) == datetime(2026, 11, 24, 13, tzinfo=UTC)
    assert newest_due(cron("0 9 * * *"), first, first) == first


@given(
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    start=st.integers(0, 700),
    tz=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
@settings(max_examples=60, deadline=None)
def test_a_daily_time_comes_on_every_local_date_once(
    minute: int, hour: int, start: datetime, tz: str
) -> None:
    times = walk(
        cron(f"{minute} {hour} * * *", tz), datetime(2026, 1, 1, 7, tzinfo=UTC) + timedelta(days=start), 4
    )
    dates = [t.astimezone(ZoneInfo(tz)).date() for t in times]
    assert [b - a for a, b in pairwise(dates)] == [timedelta(days=1)] * 3
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("definition", "named"),
    [
        (cron("61 * * * *"), "61"),
        (cron("* * * *"), "4 fields"),
        (cron("0 9 * * 9"), "weekday"),
        (cron("0 9 * * *", "Mars/Base"), "Mars/Base"),
        (every(0), "every_s"),
        (Definition("x", "readiness", "reports"), "either"),
    ],
)
def test_a_definition_without_times_says_which_part(definition: Definition, named: str) -> None:
    with pytest.raises(ScheduleError, match=named):
        definition.check()


def test_a_date_that_never_comes_is_none() -> None:
    assert next_due(cron("0 0 30 2 *"), datetime(2026, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(90, "90 s"), (900, "15 min"), (7200, "2 h"), (86400, "1 d"), (2.5, "2.5 s")]
)
def test_spans_read_well(seconds: float, words: str) -> None:
    assert span(seconds) == words
