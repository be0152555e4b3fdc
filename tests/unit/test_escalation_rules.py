"""When an escalation is raised again, and what its root says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from bot.escalation_rules import (
    ASKED_LEVEL,
    RAISE_AFTER_MIN,
    AskAfter,
    RaiseAgain,
    Reopen,
    due_after,
    duration,
    key_of,
    next_step,
    root_text,
    title_of,
)

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@dataclass
class Row:
    """The columns that the rules read."""

    number: int = 12
    kind: str = "asked"
    state: str = "open"
    level: int = 0
    title: str = "DB password missing"
    count: int = 1
    opened_at: datetime = START
    acked_at: datetime | None = None
    acked_by: str | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    reason: str | None = None
    next_due: datetime | None = None


def test_it_is_raised_at_5_15_30_minutes_then_hourly_five_times_and_then_no_more() -> None:
    times = []
    level, now = 0, START + timedelta(minutes=RAISE_AFTER_MIN[0])
    while True:
        step = next_step(Row(level=level), now)  # type: ignore[arg-type]
        assert isinstance(step, RaiseAgain)
        times.append(int((now - START).total_seconds() // 60))
        level = step.level
        if step.next_due is None:
            break
        now = step.next_due
    assert times == [5, 15, 30, 90, 150, 210, 270, 330]


def test_steps_missed_in_a_downtime_are_one_ping_and_the_next_stays_on_its_time() -> None:
    step = next_step(Row(), START + timedelta(minutes=40))  # type: ignore[arg-type]
    assert step == RaiseAgain(3, START + timedelta(minutes=90))


def test_an_acknowledged_one_is_asked_after_and_then_opened_again() -> None:
    now = START + timedelta(hours=1)
    asked = next_step(Row(state="acknowledged"), now)  # type: ignore[arg-type]
    assert asked == AskAfter(now + timedelta(minutes=15))
    again = next_step(Row(state="acknowledged", level=ASKED_LEVEL), now)  # type: ignore[arg-type]
    assert isinstance(again, Reopen)


def test_a_resolved_one_is_left_alone() -> None:
    assert next_step(Row(state="resolved"), START + timedelta(days=3)) is None  # type: ignore[arg-type]


def test_the_last_level_has_no_successor() -> None:
    assert due_after(START, len(RAISE_AFTER_MIN)) is None


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Row(), ("🔴", "E-12 coder", "DB password missing", "Reply in thread")),
        (Row(count=4), ("×4",)),
        (Row(kind="blocked"), ("🔴", "Answer at its pane")),
        (
            Row(state="acknowledged", acked_at=START + timedelta(seconds=14), acked_by="@ana:hs"),
            ("🟡", "acknowledged by ana after 14 s"),
        ),
        (
            Row(
                state="resolved",
                resolved_at=START + timedelta(minutes=42),
                resolved_by="coder",
                reason="found it",
            ),
            ("✅", "resolved by coder after 42 min: found it"),
        ),
    ],
)
def test_the_root_always_says_the_state(row: Row, words: tuple[str, ...]) -> None:
    text = root_text(row, "coder", START)  # type: ignore[arg-type]
    for word in words:
        assert word in text


def test_the_same_words_are_the_same_escalation() -> None:
    assert key_of("a", "asked", "DB  Password\nmissing") == key_of("a", "asked", "db password missing ")
    assert key_of("a", "asked", "x") != key_of("b", "asked", "x")


def test_a_title_is_one_short_line() -> None:
    assert title_of("first\nsecond") == "first"
    assert len(title_of("x" * 500)) == 120
    assert title_of("  ") == "(no text)"


def test_durations_are_short_words() -> None:
    assert [duration(timedelta(seconds=s)) for s in (5, 90, 7500)] == ["5 s", "1 min", "2 h 5 min"]
