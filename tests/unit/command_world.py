"""Commands on a real register, with the real parts of the bot; time stands still until a test moves it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest_asyncio

from bot.commands.context import Caller
from bot.commands.dispatch import Dispatcher
from bot.config import Config, Room
from bot.document import Document
from bot.escalations import Escalations
from bot.posts import Posts
from bot.render.plain import document_lines
from bot.reports.service import Reports
from bot.roles import Role
from bot.rooms import Rooms
from bot.schedule import Schedules
from bot.services import Services
from fleet.home import Home
from fleet.messages.ids import new_id
from fleet.model import AgentDef, AgentRow, Readiness, Roster, Snapshot
from fleet.register import audit
from fleet.register.engine import Register

ANA = Caller("matrix", "@ana:hs", Role.OPERATOR, "ops", "!ops")
BEN = replace(ANA, person="@ben:hs")
OWNER = Caller("cli", "local:ana", Role.ADMIN)
VERA = replace(ANA, person="@vera:hs", role=Role.VIEWER)


@dataclass
class World:
    """A bot's commands over a real register; time stands still until a test moves it."""

    home: Home
    register: Register
    roster: Roster
    services: Services | None = None
    at: datetime = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    rows: list[AgentRow] = field(default_factory=list)
    paused: str | None = "freeze"

    def now(self) -> datetime:
        return self.at

    async def get_roster(self) -> Roster:
        return self.roster

    async def snapshot(self) -> Snapshot:
        return Snapshot(self.at, (), tuple(self.rows), self.paused)

    def dispatcher(self, *, terminal: bool = False, ask: object = None) -> Dispatcher:
        return Dispatcher(
            home=self.home,
            now=self.now,
            roster=self.get_roster,
            snapshot=self.snapshot,
            services=None if terminal else self.services,
            ask=ask,  # type: ignore[arg-type]
            new_ref=lambda: "8f2a",
        )

    async def say(self, *words: str, by: Caller = ANA) -> Document:
        return await self.dispatcher().run(list(words), by)

    async def trail(self) -> list[tuple[str, str, str]]:
        return [(row.who, row.what, row.outcome) for row in await audit.tail(self.register, 50)]


def text_of(document: Document) -> str:
    return "\n".join(document_lines(document, narrow=True))


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    home = Home(tmp_path)
    home.bot.mkdir()
    home.run.mkdir(parents=True)
    home.paused.write_text("freeze\n")
    clock: list[World] = []
    register = await Register.open(
        home.register, tenant_id="ana", host="here", now=lambda: clock[0].at if clock else datetime.now(UTC)
    )
    try:
        roster = Roster(
            agents=(
                AgentDef("coder0", "stub", socket="nowhere-at-all"),
                AgentDef("ops0", "stub", "operator", alias="Oz", socket="nowhere-at-all"),
            ),
            tenant_id="ana",
        )
        made = World(home, register, roster)
        clock.append(made)
        made.rows = [
            AgentRow(a.name, "here", "ana", a.socket, True, Readiness.WORKING, agent_class=a.agent_class)
            for a in roster.agents
        ]
        config = Config(rooms={"ops": Room(mode="ops"), "reports": Room(mode="reports")})
        posts = Posts(Rooms(config, []), new_id, home.bot / "attachments")
        calls = Escalations(
            register, posts, config, alias=str, on_call=lambda _c: (), now=made.now, wake=lambda: None
        )
        reports = Reports(posts, register, made.snapshot, home.bot / "reports", now=made.now)

        async def missed(schedule: str, reason: str) -> None:
            raise AssertionError(f"{schedule}: {reason}")

        schedules = Schedules(register, (), reports.post_due, missed, now=made.now)
        made.services = Services(config, register, {}, calls, reports, schedules, made.at, lambda: None)
        yield made
    finally:
        await register.close()
