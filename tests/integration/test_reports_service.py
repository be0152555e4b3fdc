"""Reports on a real register: what lands in the outbox, once for a due time, and what a failure says."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.commands.failures import CommandFailed
from bot.config import Config, Room
from bot.posts import Posts, decode
from bot.reports.service import ReportError, Reports
from bot.rooms import Rooms
from connectors.protocol import Content
from fleet.model import AgentRow, HostRow, Readiness, Snapshot
from fleet.register import outbox
from fleet.register.engine import Register

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@dataclass
class Desk:
    register: Register
    reports: Reports
    snapshot: Snapshot
    broken: bool = False

    async def posts(self, connector: str = "matrix") -> list[Content]:
        """What would be sent there, in order: each head is taken as sent."""
        found = []
        while rows := await outbox.ready(self.register, connector, NOW + timedelta(days=1), 10):
            for row in rows:
                found.append(decode(row.content))
                await self.register.write(lambda tx, row=row: outbox.sent(tx, row.id, f"ref-{row.id}"))
        return found


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    register = await Register.open(tmp_path / "r.db", tenant_id="t", host="h", now=lambda: NOW)
    config = Config(
        rooms={"ops": Room(mode="ops", matrix="!o:hs"), "reports": Room(mode="reports", matrix="!r:hs")}
    )
    numbers = itertools.count()
    posts = Posts(
        Rooms(config, ("matrix", "local")), lambda: f"id{next(numbers):04}", tmp_path / "attachments"
    )
    row = AgentRow("a", "h", "t", "s", managed=True, readiness=Readiness.WORKING)
    snapshot = Snapshot(NOW, (HostRow("h", True, 0.0),), (row,))

    async def look() -> Snapshot:
        if made.broken:
            raise RuntimeError("tmux does not answer")
        return made.snapshot

    made = Desk(
        register, Reports(posts, register, look, tmp_path / "reports", now=lambda: NOW, zone=UTC), snapshot
    )
    yield made
    await register.close()


async def test_a_due_time_shows_once_on_every_network(desk: Desk) -> None:
    for _ in range(2):
        await desk.reports.post_due("readiness", "reports", "report:x:1")
    for connector in ("matrix", "local"):
        text, picture = await desk.posts(connector)
        assert text.text.startswith("All 1 agent fine: 1 working.")
        assert text.silent
        assert picture.file is not None
        assert picture.file.path.read_bytes().startswith(b"\x89PNG")
        assert "1 working (a)" in picture.file.alt


async def test_the_next_one_knows_what_the_last_one_said(desk: Desk) -> None:
    await desk.reports.post_due("readiness", "reports", "report:x:1")
    await desk.reports.post_due("readiness", "reports", "report:x:2")
    assert [p.text.splitlines()[0] for p in await desk.posts() if not p.file][1].startswith("No change since")
    stuck = replace(desk.snapshot.agents[0], readiness=Readiness.STUCK)
    desk.snapshot = replace(desk.snapshot, agents=(stuck,))
    await desk.reports.post_due("readiness", "reports", "report:x:3")
    assert "a working → failed" in (await desk.posts())[0].text


async def test_one_asked_for_is_not_what_the_next_scheduled_compares_with(desk: Desk) -> None:
    assert await desk.reports.post("readiness", None) == "readiness report posted in reports"
    await desk.reports.post_due("readiness", "reports", "report:x:1")
    assert "First report" in (await desk.posts())[-2].text


async def test_a_failure_is_said_once_in_the_room_and_raised(desk: Desk) -> None:
    desk.broken = True
    for _ in range(2):
        with pytest.raises(ReportError, match="tmux does not answer"):
            await desk.reports.post_due("readiness", "reports", "report:x:1")
    said = [p.text for p in await desk.posts()]
    assert len(said) == 1
    assert "failed" in said[0]
    assert "15 min" in said[0]
    assert "Traceback" not in said[0]


async def test_a_room_or_report_that_is_not_there_is_named(desk: Desk) -> None:
    with pytest.raises(CommandFailed, match="spend"):
        await desk.reports.post("spend", None)
    with pytest.raises(CommandFailed, match="attic"):
        await desk.reports.post("readiness", "attic")
    with pytest.raises(ReportError, match="attic"):
        await desk.reports.post_due("readiness", "attic", "report:x:9")


async def test_without_a_picture_the_words_still_come_and_say_so(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file where the folder should be")
    document, _ = await desk.reports.make("readiness")
    assert "No picture this time" in str(document.blocks)
