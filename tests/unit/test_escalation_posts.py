"""What people see of an escalation's life: every step is a post of its own, and a return pings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest_asyncio

from bot.config import Config, Room
from bot.escalations import Escalations
from bot.posts import Posts, decode
from bot.rooms import Rooms
from connectors.protocol import Content
from fleet.messages.ids import new_id
from fleet.register import outbox
from fleet.register.engine import Register
from fleet.register.outbox import OutboxRow


@dataclass
class Desk:
    register: Register
    calls: Escalations
    at: datetime

    async def open(self, body: str) -> int:
        cause = new_id()
        return await self.register.write(
            lambda tx: self.calls.open(tx, agent="coder0", kind="message", body=body, cause=cause)
        )

    async def posts(self) -> list[tuple[OutboxRow, Content]]:
        """What is new and no reaction, in order; it counts as sent from here on."""
        found: list[tuple[OutboxRow, Content]] = []
        while rows := await outbox.ready(self.register, "matrix", self.at, 50):
            for row in rows:
                await self.register.write(lambda tx, i=row.id: outbox.sent(tx, i, f"${i}"))  # type: ignore[misc]
                if row.kind != "react":
                    found.append((row, decode(row.content)))
        return sorted(found, key=lambda one: one[0].id)


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made: list[Desk] = []
    start = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def now() -> datetime:
        return made[0].at if made else start

    register = await Register.open(tmp_path / "register.db", tenant_id="ana", host="here", now=now)
    try:
        config = Config(rooms={"ops": Room(mode="ops", matrix="!ops:hs")})
        posts = Posts(Rooms(config, ["matrix"]), new_id, tmp_path)
        calls = Escalations(
            register, posts, config, alias=str, on_call=lambda _c: ("@ana:hs",), now=now, wake=lambda: None
        )
        made.append(Desk(register, calls, start))
        yield made[0]
    finally:
        await register.close()


async def test_a_resolve_shows_on_the_root_and_is_told_in_the_thread(desk: Desk) -> None:
    number = await desk.open("disk is full")
    root = (await desk.posts())[0][0]
    await desk.calls.resolve(number, "@ana:hs", "cleaned")
    seen = {row.kind: (row, content) for row, content in await desk.posts()}
    assert seen["edit"][0].refers_to == root.id
    note, content = seen["send"]
    assert note.thread_of == root.id
    assert "resolved by @ana:hs: cleaned" in content.text
    assert content.silent


async def test_what_comes_back_soon_keeps_its_number_and_pings_again(desk: Desk) -> None:
    number = await desk.open("disk is full")
    await desk.calls.resolve(number, "@ana:hs")
    await desk.posts()
    desk.at += timedelta(minutes=10)
    assert await desk.open("disk is full") == number
    pings = [content for _, content in await desk.posts() if content.ping]
    assert [(one.ping, one.silent) for one in pings] == [(("@ana:hs",), False)]
    assert "reopened" in pings[0].text


async def test_the_same_again_while_it_is_open_counts_without_a_ping(desk: Desk) -> None:
    number = await desk.open("disk is full")
    await desk.posts()
    desk.at += timedelta(minutes=1)
    assert await desk.open("disk is full") == number
    seen = await desk.posts()
    assert any("×2" in content.text for _, content in seen)
    assert not any(content.ping for _, content in seen)
