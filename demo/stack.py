"""Everything the demo runs, from an empty folder to a bot in its rooms, and back to nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

from bot.homeserver import Homeserver, HomeserverError
from demo.fleet_side import MOSAIC, FleetSide
from demo.layout import PROJECT, Layout
from demo.matrix_client import MatrixClient
from demo.processes import DemoError, Programs, end_marked
from demo.settings import Accounts, seed_home, write_config
from fleet.files import write_atomic

ROOMS = {"ops": "Fleet ops", "conversation": "Talk to Mos", "log": "Fleet log", "reports": "Fleet reports"}
SERVER_NAME = "mosaic.localhost"
JOIN_LIMIT_S = 30.0
STOP_LIMIT_S = 15.0


class Stack:
    """``progress`` gets a line for each thing that is ready."""

    def __init__(self, layout: Layout, progress: Callable[[str], None]) -> None:
        self.layout = layout
        self.accounts = Accounts()
        self.programs = Programs(layout)
        self.fleet = FleetSide(layout, self.programs)
        self.rooms: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        self._progress = progress
        self._homeserver = Homeserver(layout.homeserver, PROJECT / ".synapse" / "bin" / "python")
        self.operator: MatrixClient | None = None
        self.outsider: MatrixClient | None = None

    @property
    def people(self) -> tuple[MatrixClient, MatrixClient]:
        """Operator and outsider, signed in. Raises DemoError before :meth:`start`."""
        if self.operator is None or self.outsider is None:
            raise DemoError("the demo is not started")
        return self.operator, self.outsider

    @property
    def url(self) -> str:
        """The homeserver's address. Raises HomeserverError before it has one."""
        return self._homeserver.url

    async def register(self, user: str, password: str) -> str:
        """One more account; its id."""
        return await self._homeserver.register(user, password)

    async def start(self) -> None:
        """Raises DemoError or HomeserverError, with words for people."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._chat_side(), name="chat side")
                group.create_task(self._fleet_side(), name="fleet side")
        except BaseExceptionGroup as several:
            # The first that failed made the other stop; it is the one to tell of.
            known = several.subgroup((DemoError, HomeserverError))
            if known is not None:
                raise known.exceptions[0] from None
            raise

    async def _fleet_side(self) -> None:
        await asyncio.to_thread(seed_home, self.layout)
        self._progress(f"home seeded in {self.layout.home.root}")
        await self.fleet.start(self._progress)

    async def _chat_side(self) -> None:
        await asyncio.to_thread(self._homeserver.write_config, _free_port(), SERVER_NAME)
        await self._homeserver.start(self._progress)
        self._progress(f"homeserver answers on {self._homeserver.url}")
        who = {
            "bot": self.accounts.bot,
            "operator": self.accounts.operator,
            "outsider": self.accounts.outsider,
        }
        made = await asyncio.gather(*(self._homeserver.register(*account) for account in who.values()))
        self.ids = dict(zip(who, made, strict=True))
        operator = self.operator = MatrixClient(self._homeserver.url, *self.accounts.operator)
        self.outsider = MatrixClient(self._homeserver.url, *self.accounts.outsider)
        await operator.login()
        invited = (self.ids["bot"], self.ids["outsider"])
        power = {self.ids["bot"]: 50}
        made = await asyncio.gather(
            *(operator.create_room(n, invite=invited, power=power) for n in ROOMS.values())
        )
        self.rooms = dict(zip(ROOMS, made, strict=True))
        # The home appears meanwhile: writing into it before it is seeded is fine, seeding keeps it.
        write_config(self.layout, self._homeserver.url, self.ids, self.rooms, self.accounts.bot[1])
        self._progress("accounts and rooms made: " + ", ".join(ROOMS.values()))
        await self.programs.start("bot", [MOSAIC, "bot", "run"])
        await asyncio.gather(self.fleet.bot_ready(), operator.follow(), self._outsider_joins(self.outsider))
        await self._all_joined(operator)
        self._progress("bot runs and has joined its rooms")

    async def _outsider_joins(self, outsider: MatrixClient) -> None:
        await outsider.login()
        await asyncio.gather(*(outsider.join(room) for room in self.rooms.values()))
        await outsider.follow()

    async def _all_joined(self, operator: MatrixClient) -> None:
        everybody = set(self.ids.values())
        until = time.monotonic() + JOIN_LIMIT_S
        for name, room in self.rooms.items():
            while missing := everybody - await operator.members(room):
                if time.monotonic() > until:
                    raise DemoError(f"{', '.join(missing)} did not join the room {ROOMS[name]}.")
                await asyncio.sleep(0.1)

    async def write_connection(self) -> None:
        """`connection.json`: all that another client needs to join by script."""
        pids = {
            "homeserver": self._homeserver.running(),
            **self.programs.pids,
            "tmux": await self.fleet.tmux_pid(),
        }
        record = {
            "homeserver": self._homeserver.url,
            "operator": {"user_id": self.ids["operator"], "password": self.accounts.operator[1]},
            "outsider": {"user_id": self.ids["outsider"], "password": self.accounts.outsider[1]},
            "bot": {"user_id": self.ids["bot"]},
            "rooms": dict(self.rooms),
            "mosaic_home": str(self.layout.home.root),
            "tmux_socket": self.layout.tmux_socket,
            "pids": pids,
        }
        write_atomic(self.layout.connection, json.dumps(record, indent=2).encode() + b"\n")

    async def stop(self) -> None:
        """End all of it, the bot first so that it can say good-bye to the rest. Raises DemoError."""
        try:
            for client in (self.operator, self.outsider):
                if client is not None:
                    await client.close()
            async with asyncio.timeout(STOP_LIMIT_S):
                # The agents while the node lives: their last report is taken at once, so they end at once.
                await asyncio.gather(self.programs.stop("bot"), self.fleet.end_agents())
                await asyncio.gather(self.programs.stop("node"), self._homeserver.stop())
        except TimeoutError:
            self._progress("asked to end without effect; ending what is left")
        finally:
            # Whatever went wrong above (somebody removed the folder, say), nothing is left running.
            await asyncio.to_thread(end_marked, self.layout)
            self.fleet.remove_sockets()


def clear(layout: Layout) -> list[int]:
    """End what an earlier run left and empty the folder (the lock stays); the pids that were ended.

    Blocks. Raises DemoError when something does not end.
    """
    ended = end_marked(layout)
    FleetSide(layout, Programs(layout)).remove_sockets()
    for entry in layout.root.iterdir():
        if entry == layout.lock:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for folder in (layout.logs, layout.person, layout.root / "work"):
        folder.mkdir(parents=True, exist_ok=True)
    return ended


def missing_programs() -> str | None:
    """One paragraph about what the machine lacks, or None."""
    lacking = [name for name in ("tmux", "git", "flock") if shutil.which(name) is None]
    if lacking:
        return (
            f"Missing on this machine: {', '.join(lacking)}. The agents live in tmux panes. Install it "
            f"(Debian: apt-get install {' '.join('util-linux' if n == 'flock' else n for n in lacking)}) "
            "and run this again."
        )
    if not Path(MOSAIC).exists():
        return f"{MOSAIC} is missing: run scripts/bootstrap.sh run (or make demo) first."
    return None


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
