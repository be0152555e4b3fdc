"""A fleet on a named socket leaves every other tmux server as it was: compared before and after a whole life.

The default server is one of the test's own: its socket folder is the test's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fleet_support import LiveFleet, wait_for
from node_harness import ROOT

PANES = (
    "#{session_name} #{window_id} #{pane_id} #{pane_pid} #{pane_dead} #{session_attached} #{session_created}"
)


@dataclass(frozen=True, slots=True)
class Server:
    """A tmux server in the socket folder ``folder``; the empty name is the default one."""

    folder: Path
    name: str = ""

    def ask(self, *args: str) -> str:
        named = ["-L", self.name] if self.name else []
        env = {k: v for k, v in os.environ.items() if not k.startswith(("TMUX", "MOSAIC_"))}
        env |= {"TMUX_TMPDIR": str(self.folder), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", *named, *args], capture_output=True, text=True, timeout=20, env=env
        )
        return done.stdout

    def picture(self) -> dict[str, str]:
        """All that a foreign hand could change on it."""
        asked = {
            "panes": ("list-panes", "-a", "-F", PANES),
            "clients": ("list-clients",),
            "buffers": ("list-buffers",),
            "global": ("show-options", "-g"),
            "server": ("show-options", "-s"),
            "window": ("show-options", "-gw"),
            "hooks": ("show-hooks", "-g"),
            "environment": ("show-environment", "-g"),
            "keys": ("list-keys",),
            "screen": ("capture-pane", "-p", "-t", "=coder0:"),
        }
        return {key: self.ask("-N", *words) for key, words in asked.items()}

    def end(self) -> None:
        pid = self.ask("-N", "display-message", "-p", "#{pid}").strip()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
            wait_for(lambda: not self.ask("-N", "display-message", "-p", "#{pid}"), "the end of tmux", 15)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket's may have a hundred bytes."""
    path = Path(tempfile.mkdtemp(prefix="mf-tmux-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def others(folder: Path) -> Iterator[list[Server]]:
    """The default server and a foreign one, both with a session of an agent's name."""
    servers = [Server(folder), Server(folder, "foreign")]
    for server in servers:
        server.ask("new-session", "-d", "-s", "coder0", "-x", "90", "-y", "20", "cat")
        server.ask("new-session", "-d", "-s", "mine", "sleep 600")
    yield servers
    for server in servers:
        server.end()


def test_the_default_and_foreign_servers_are_left_alone(
    live: LiveFleet, folder: Path, others: list[Server]
) -> None:
    before = [server.picture() for server in others]
    assert all("coder0" in picture["panes"] for picture in before)
    mosaic = [sys.executable, "-m", "bot.cli", "--mosaic-home", str(live.home)]
    (live.home / "fleet" / "roster.yaml").write_text(
        f"version: 1\ntransport: tmux\ntmux: {{socket_name: {live.socket}}}\nagents:\n"
        f"  - {{name: coder0, runtime: stub, working_directory: '{live.home}/w'}}\n"
        "  - {name: coder1, runtime: stub}\n"
    )
    programs = str(Path(sys.executable).parent)
    env = live.env(
        TMUX_TMPDIR=str(folder), PATH=f"{programs}:{os.environ['PATH']}", HOME=str(live.home / "user")
    )

    def run(*argv: object) -> str:
        done = subprocess.run(
            [str(word) for word in argv], capture_output=True, text=True, timeout=60, env=env, cwd=ROOT
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    own = Server(folder, live.socket)
    node = subprocess.Popen(
        [*mosaic, "node"], env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        launcher = live.home / "tools" / "fleet" / "start-agent-session.sh"
        run(*mosaic, "fleet", "start", "coder0")
        run(launcher, "coder1")  # by the roster alone: there is no env file yet
        assert {"coder0", "coder1"} <= set(own.ask("-N", "list-sessions", "-F", "#S").split())
        run(live.home / "tools" / "tmux" / "agent-send.sh", "-s", "coder0", "-m", "hello")
        wait_for(lambda: live.transcript("coder0"), "the message in the agent of the named socket")
        run(*mosaic, "agent", "send", "coder0", "again")
        assert "coder0" in run(*mosaic, "fleet", "ps")
        run(*mosaic, "agent", "tail", "coder0")
        run(*mosaic, "fleet", "restart", "coder0", "--yes")
        run(*mosaic, "fleet", "stop", "coder0", "--yes")
        assert "coder0" not in own.ask("-N", "list-sessions", "-F", "#S").split()
    finally:
        node.terminate()
        node.wait(20)
        own.end()
    assert [server.picture() for server in others] == before
