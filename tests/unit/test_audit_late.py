"""What terminals did without the bot comes into the chain: all of it, once, marked late."""

from __future__ import annotations

import asyncio
import os

from command_world import World, world

from bot.commands.audit_file import append_line
from bot.commands.audit_late import chain_late
from bot.commands.context import Caller
from bot.roles import Role
from fleet.register import audit

__all__ = ["world"]


async def test_what_a_terminal_did_is_chained_late_and_once(world: World) -> None:
    owner = Caller("cli", "local:ana", Role.ADMIN)
    terminal = world.dispatcher(terminal=True)
    await terminal.run(["fleet", "pause", "x"], owner)
    await terminal.run(["fleet", "ps"], owner)
    await terminal.run(["fleet", "stop"], Caller("cli", "agent:coder0", Role.VIEWER, agent="coder0"))
    assert await chain_late(world.home, world.register) == 2
    assert await chain_late(world.home, world.register) == 0
    rows = await audit.tail(world.register, 10)
    assert [(r.who, r.what, r.outcome, r.late) for r in rows] == [
        ("local:ana", "fleet pause x", "done", True),
        ("agent:coder0", "fleet stop", "refused: no right", True),
    ]
    assert await audit.verify(world.register) is None


async def test_terminals_at_the_same_time_lose_no_line(world: World) -> None:
    await asyncio.gather(
        *(
            asyncio.to_thread(append_line, world.home, world.at, who=f"w{n}", what="x" * 900)
            for n in range(60)
        )
    )
    assert await chain_late(world.home, world.register) == 60
    assert {row.who for row in await audit.tail(world.register, 100)} == {f"w{n}" for n in range(60)}


async def test_a_torn_line_does_not_stop_the_chain(world: World) -> None:
    append_line(world.home, world.at, who="ana", what="fleet pause", outcome="done")
    (file,) = (world.home.run / "audit.d").iterdir()
    file.write_text(file.read_text() + '{"at": "2026-0')
    assert await chain_late(world.home, world.register) == 1
    assert os.listdir(world.home.run / "audit.d") == []
