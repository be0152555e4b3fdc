"""`mosaic chat` on a real terminal (a tmux pane on a server of the test's own)."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from contract import eventually, running
from test_local import LocalSurface

from connectors.protocol import Content, Target

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]
ROOT = Path(__file__).parents[2]
RUN = "import asyncio,sys;from pathlib import Path;from connectors.local.client import chat_main;"
RUN += "sys.exit(asyncio.run(chat_main(Path(sys.argv[1]), room='ops')))"


class Terminal:
    """One pane. Everything is addressed by the server's own socket name."""

    def __init__(self) -> None:
        self.name = f"chat-test-{secrets.token_hex(4)}"
        self.screen = ""

    async def tmux(self, *words: str) -> str:
        env = {**os.environ, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
        start = () if words[0] == "new-session" else ("-N",)
        process = await asyncio.create_subprocess_exec(
            "tmux",
            *start,
            "-L",
            self.name,
            "-f",
            "/dev/null",
            *words,
            stdout=asyncio.subprocess.PIPE,
            env=env,
        )
        out, _ = await process.communicate()
        return out.decode()

    async def shows(self, text: str) -> None:
        for _ in range(300):
            self.screen = await self.tmux("capture-pane", "-p", "-t", "ui:0.0")
            if text in self.screen:
                return
            await asyncio.sleep(0.1)
        pytest.fail(f"{text!r} did not appear on:\n{self.screen}")

    async def types(self, text: str) -> None:
        await self.tmux("send-keys", "-t", "ui:0.0", "-l", text)
        await self.tmux("send-keys", "-t", "ui:0.0", "Enter")


@pytest_asyncio.fixture(loop_scope="session")
async def surface(tmp_path: Path) -> AsyncIterator[LocalSurface]:
    made = LocalSurface(tmp_path)
    server = await asyncio.start_unix_server(made.serve, str(made.socket), limit=4_000_000)
    yield made
    await made.current.stop()
    server.close()


async def test_a_person_talks_switches_rooms_completes_and_leaves(surface: LocalSurface) -> None:
    connector, terminal = surface.connector(), Terminal()
    async with running(connector) as reading:
        await surface.say("from yesterday")
        command = (sys.executable, "-c", RUN, str(surface.socket))
        await terminal.tmux("new-session", "-d", "-s", "ui", "-x", "100", "-y", "30", "--", *command)
        path = (await terminal.tmux("display-message", "-p", "-t", "ui:0.0", "#{socket_path}")).strip()
        try:
            await terminal.shows("from yesterday")
            await terminal.types("good morning")
            event = await reading.text("good morning")
            await connector.send(Target("ops"), Content("and to you\x1b[2J", reply_to=event.id), "u1")
            await terminal.shows("mosaic: and to you[2J")
            await terminal.tmux("send-keys", "-t", "ui:0.0", "-l", "flee")
            await terminal.tmux("send-keys", "-t", "ui:0.0", "Tab")
            await terminal.shows("flee done")
            await terminal.tmux("send-keys", "-t", "ui:0.0", "C-u")
            await terminal.types("/room log")
            await terminal.shows("#log>")
            await terminal.types("/quit")
            ended: list[str] = []

            async def look() -> None:
                while "ui" in await terminal.tmux("list-sessions", "-F", "#{session_name}"):
                    await asyncio.sleep(0.1)
                ended.append("yes")

            watching = asyncio.create_task(look())
            await eventually(lambda: bool(ended))
            await watching
        finally:
            await terminal.tmux("kill-server")
            Path(path).unlink(missing_ok=True)
