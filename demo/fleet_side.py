"""The fleet of the demo: node, agents in their panes, and what the panes show."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from demo.layout import AGENTS, PROJECT, Layout
from demo.processes import DemoError, Programs
from fleet.files import is_locked

READY_LIMIT_S = 45.0
MOSAIC = str(PROJECT / ".venv" / "bin" / "mosaic")


class FleetSide:
    """Started in order: node, then the agents through the launch tool."""

    def __init__(self, layout: Layout, programs: Programs) -> None:
        self._layout = layout
        self._programs = programs

    async def start(self, progress: Callable[[str], None]) -> None:
        """Raises DemoError when the node or an agent does not come up."""
        await self._programs.start("node", [MOSAIC, "node"])
        await self._until(lambda: is_locked(self._layout.home.node_lock), "the node", program="node")
        progress("node runs")
        code, said = await self._programs.run(MOSAIC, "fleet", "start")
        if code != 0:
            raise DemoError(f"`mosaic fleet start` ended with code {code}:\n{said}")
        await asyncio.gather(*(self._until_prompt(name) for name in AGENTS))
        progress(f"agents at their prompts: {', '.join(AGENTS)}")

    async def _until_prompt(self, name: str) -> None:
        until = time.monotonic() + READY_LIMIT_S
        while "❯" not in (screen := await self.screen(name)):
            if time.monotonic() > until:
                raise DemoError(f"The agent {name} shows no prompt. Its pane:\n{screen or '(no pane)'}")
            await asyncio.sleep(0.1)

    async def _until(self, ready: Callable[[], bool], words: str, *, program: str) -> None:
        until = time.monotonic() + READY_LIMIT_S
        while not ready():
            self._programs.check(program)
            if time.monotonic() > until:
                raise DemoError(
                    f"{words} was not ready within {READY_LIMIT_S:.0f} s; see {self._layout.logs}"
                )
            await asyncio.sleep(0.05)

    async def bot_ready(self) -> None:
        """Wait until the bot says that it follows the homeserver. Raises DemoError.

        What people wrote before its very first sync is history to it.
        """
        await self._until(self._layout.home.bot_json.exists, "the bot", program="bot")
        address = json.loads(self._layout.home.bot_json.read_text())["http"]
        until = time.monotonic() + READY_LIMIT_S
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
            while True:
                self._programs.check("bot")
                async with http.get(f"http://{address}/healthz") as reply:
                    states = (await reply.json())["connectors"]
                if states.get("matrix") == "up":
                    return
                if time.monotonic() > until:
                    raise DemoError(
                        f"The bot is not connected: {states}; see {self._layout.logs / 'bot.log'}"
                    )
                await asyncio.sleep(0.05)

    async def screen(self, name: str) -> str:
        """All that the agent's pane shows and has scrolled, wrapped lines joined; empty without a pane."""
        code, said = await self._tmux("capture-pane", "-p", "-J", "-S", "-", "-t", f"={name}:0.0")
        return said if code == 0 else ""

    async def wait_screen(self, name: str, wanted: str, timeout_s: float) -> float:
        """Until the pane shows ``wanted`` (line breaks of the program do not count); when it did, monotonic.

        Raises TimeoutError with the end of the pane.
        """
        until = time.monotonic() + timeout_s
        squeezed = "".join(wanted.split())
        while True:
            screen = await self.screen(name)
            if squeezed in "".join(screen.split()):
                return time.monotonic()
            if time.monotonic() > until:
                tail = "\n".join(screen.rstrip().splitlines()[-12:])
                raise TimeoutError(f"the pane of {name} did not show {wanted!r}; it shows:\n{tail}")
            await asyncio.sleep(0.15)

    async def tmux_pid(self) -> int | None:
        """The pid of the tmux server of the demo's socket; None when there is none."""
        code, said = await self._tmux("display-message", "-p", "#{pid}")
        return int(said) if code == 0 and said.isdigit() else None

    async def end_agents(self) -> None:
        """End the tmux server of the demo's socket, by pid, and wait until it is gone (up to 5 s)."""
        pid = await self.tmux_pid()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 5.0
        while True:
            if not Path(f"/proc/{pid}").exists() or time.monotonic() > until:
                return
            await asyncio.sleep(0.05)

    async def tell(self, agent: str, text: str) -> None:
        """What an operator types in a terminal: `mosaic agent send`. Raises DemoError."""
        code, said = await self._programs.run(MOSAIC, "agent", "send", agent, text)
        if code != 0:
            raise DemoError(f"`mosaic agent send {agent}` ended with code {code}:\n{said}")

    async def mosaic(self, *words: str) -> tuple[int, str]:
        """Any command in a terminal."""
        return await self._programs.run(MOSAIC, *words)

    async def _tmux(self, *words: str) -> tuple[int, str]:
        if not self._layout.tmux_socket_file.exists():
            return 1, ""
        return await self._programs.run("tmux", "-L", self._layout.tmux_socket, "-N", *words, limit_s=20)

    def remove_sockets(self) -> None:
        """Socket files outside the demo's folder, left by programs that are gone."""
        self._layout.tmux_socket_file.unlink(missing_ok=True)
        for path in (self._layout.home.bot_socket, self._layout.home.node_socket):
            if not path.is_relative_to(self._layout.root):
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # not there, or another socket still is
                    path.parent.rmdir()
