"""Schedules on a real register: once, caught up, retried, and what a crash leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.commands.failures import CommandFailed
from bot.schedule import MISSES, RETRY_S, Schedules
from bot.schedule_times import Definition
from fleet.register import schedules
from fleet.register.engine import Register

T0 = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
DAILY = Definition("morning", "readiness", "reports", cron="0 9 * * *")
OFTEN = Definition("often", "readiness", "reports", every_s=60)


@dataclass
class World:
    """A clock, what was posted, who was called."""

    register: Register
    now: datetime = T0
    posted: list[str] = field(default_factory=list)
    called: list[tuple[str, str]] = field(default_factory=list)
    broken: str | None = None

    async def post(self, report: str, room: str, key: str) -> None:
        if self.broken:
            raise RuntimeError(self.broken)
        self.posted.append(key)

    async def missed(self, schedule: str, reason: str) -> None:
        self.called.append((schedule, reason))

    async def begun(self, *definitions: Definition) -> Schedules:
        """A bot's schedules after its start."""
        made = Schedules(self.register, definitions, self.post, self.missed, now=lambda: self.now)
        await made.start()
        return made


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    holder: list[World] = []
    clock: Callable[[], datetime] = lambda: holder[0].now if holder else T0  # noqa: E731
    register = await Register.open(tmp_path / "register.db", tenant_id="t", host="h", now=clock)
    holder.append(World(register))
    yield holder[0]
    await register.close()


def key(name: str, at: datetime) -> str:
    return f"report:{name}:{int(at.timestamp() * 1000)}"


async def test_it_posts_at_its_time_once_and_not_before(world: World) -> None:
    made = await world.begun(DAILY)
    await made.tick()
    assert world.posted == []
    nine = world.now = T0 + timedelta(hours=1)
    await made.tick()
    await made.tick()
    assert world.posted == [key("morning", nine)]
    shown = (await made.list())[0]
    assert (shown.last_state, shown.next_due) == ("posted", nine + timedelta(days=1))


async def test_a_downtime_is_caught_up_by_one_post(world: World) -> None:
    await world.begun(OFTEN)
    world.now = T0 + timedelta(hours=5, seconds=7)
    made = await world.begun(OFTEN)
    await made.tick()
    assert world.posted == [key("often", T0 + timedelta(hours=5))]
    world.now = T0 + timedelta(hours=5, seconds=60)
    await made.tick()
    assert world.posted[1:] == [key("often", T0 + timedelta(hours=5, minutes=1))]


async def test_a_run_cut_off_is_repeated_under_the_same_key(world: World) -> None:
    await world.begun(DAILY)
    nine = world.now = T0 + timedelta(hours=1)

    def as_before_the_crash(tx: object) -> None:
        schedules.set_next(tx, "morning", nine + timedelta(days=1))  # type: ignore[arg-type]
        assert schedules.begin_run(tx, "morning", nine)  # type: ignore[arg-type]

    await world.register.write(as_before_the_crash)
    world.now += timedelta(minutes=3)
    made = await world.begun(DAILY)
    await made.tick()
    assert world.posted == [key("morning", nine)]
    assert await schedules.unfinished(world.register) == []


async def test_a_clock_set_back_does_not_post_again(world: World) -> None:
    made = await world.begun(DAILY)
    nine = world.now = T0 + timedelta(hours=1)
    await made.tick()
    world.now = T0
    await made.tick()
    world.now = nine + timedelta(minutes=1)
    await made.tick()
    assert len(world.posted) == 1


async def test_a_failure_is_retried_after_a_quarter_and_the_third_calls_people(world: World) -> None:
    made = await world.begun(DAILY)
    nine = world.now = T0 + timedelta(hours=1)
    world.broken = "no snapshot"
    await made.tick()
    world.now += timedelta(seconds=RETRY_S - 1)
    await made.tick()
    runs = await schedules.last_runs(world.register, "morning")
    assert [(r.state, r.attempts) for r in runs] == [("failed", 1)]
    for _ in range(MISSES - 1):
        assert world.called == []
        world.now += timedelta(seconds=RETRY_S)
        await made.tick()
    assert world.called == [("morning", "no snapshot")]
    world.broken = None
    world.now += timedelta(seconds=RETRY_S)
    await made.tick()
    assert world.posted == []  # that morning is given up; people know
    world.now = nine + timedelta(days=1)
    await made.tick()
    assert world.posted == [key("morning", nine + timedelta(days=1))]


async def test_a_retry_survives_a_restart(world: World) -> None:
    made = await world.begun(DAILY)
    nine = world.now = T0 + timedelta(hours=1)
    world.broken = "no snapshot"
    await made.tick()
    world.broken = None
    world.now += timedelta(seconds=60)
    made = await world.begun(DAILY)
    await made.tick()
    assert world.posted == []
    world.now += timedelta(seconds=RETRY_S)
    await made.tick()
    assert world.posted == [key("morning", nine)]


async def test_a_paused_one_stays_quiet_and_makes_nothing_up(world: World) -> None:
    made = await world.begun(OFTEN)
    await made.pause("often", True)
    world.now = T0 + timedelta(minutes=10)
    await made.tick()
    assert (world.posted, (await made.list())[0].paused) == ([], True)
    await made.pause("often", False)
    await made.tick()
    assert world.posted == []
    world.now += timedelta(minutes=1)
    await made.tick()
    assert len(world.posted) == 1


async def test_run_now_posts_besides_its_times(world: World) -> None:
    made = await world.begun(DAILY)
    before = (await made.list())[0].next_due
    assert await made.run_now("morning") == "readiness report posted in reports"
    assert world.posted == [key("morning", T0)]
    assert (await made.list())[0].next_due == before
    with pytest.raises(CommandFailed, match="morning"):
        await made.run_now("evening")


async def test_a_changed_definition_gets_new_times_and_a_removed_one_is_gone(world: World) -> None:
    await world.begun(DAILY, OFTEN)
    made = await world.begun(Definition("morning", "readiness", "reports", cron="30 8 * * *"))
    shown = await made.list()
    assert [(s.id, s.next_due) for s in shown] == [("morning", T0 + timedelta(minutes=30))]


async def test_words_that_say_no_time_call_people_and_spare_the_others(world: World) -> None:
    made = await world.begun(Definition("odd", "readiness", "reports", cron="0 25 * * *"), OFTEN)
    assert [name for name, _ in world.called] == ["odd"]
    assert [s.id for s in await made.list()] == ["often"]
