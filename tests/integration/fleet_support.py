"""A real fleet for one test: a seeded home, a tmux server of its own, stub agents, the shipped tools."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
LIMIT_S = 40.0


def wait_for(what: Callable[[], T], why: str, limit_s: float = LIMIT_S) -> T:
    """The first true answer of ``what``; fails the test with ``why`` after the limit."""
    end = time.monotonic() + limit_s
    while True:
        if found := what():
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit_s:g} s: {why}")
        time.sleep(0.05)


def clean_env(**more: str) -> dict[str, str]:
    """Our environment without anything of a fleet or a tmux that the tests may run in."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("MOSAIC_", "TMUX", "STUB_", "AGENT_SEND"))
    }
    return {**kept, "LC_ALL": "C.UTF-8", **more}


def tmux(socket: str, *args: str) -> str:
    """What that server says; the empty string when it does not live."""
    assert socket
    done = subprocess.run(
        ["tmux", "-N", "-L", socket, *args], capture_output=True, text=True, timeout=20, env=clean_env()
    )
    return done.stdout


@contextlib.contextmanager
def own_socket(name: str) -> Iterator[str]:
    """A socket name whose server, if one comes up, is ended by its pid and leaves no file."""
    try:
        yield name
    finally:
        pid = tmux(name, "display-message", "-p", "#{pid}").strip()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
            wait_for(lambda: not Path(f"/proc/{pid}").exists() or _zombie(pid), f"the end of tmux {name}", 15)
        folder = Path(os.environ.get("TMUX_TMPDIR") or "/tmp") / f"tmux-{os.getuid()}"
        (folder / name).unlink(missing_ok=True)


def _zombie(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@dataclass(frozen=True, slots=True)
class LiveFleet:
    home: Path
    socket: str

    def env(self, **more: str) -> dict[str, str]:
        return clean_env(**{"MOSAIC_HOME": str(self.home), "STUB_THINK_S": "0.05", **more})

    def define(self, name: str, *, runtime: str = "stub", command: str | None = None, **extra: str) -> Path:
        """Write the agent's env file; by default it runs the stub program directly."""
        lines = [f"MOSAIC_AGENT_NAME={name}", f"MOSAIC_AGENT_RUNTIME={runtime}", "MOSAIC_AGENT_MODEL="]
        lines += [f"MOSAIC_AGENT_WORKDIR='{self.home}/work'", f"MOSAIC_TMUX_SOCKET={self.socket}"]
        if command != "":
            program = command or 'exec "$MOSAIC_HOME/agents/stub-agent"'
            lines.append(f"MOSAIC_AGENT_COMMAND='{program}'")
        lines += [f"{key}={value}" for key, value in extra.items()]
        file = self.home / "fleet" / "agents" / f"{name}.env"
        file.write_text("\n".join(lines) + "\n")
        return file

    def launch(self, name: str, **env: str) -> subprocess.CompletedProcess[str]:
        tool = self.home / "tools" / "fleet" / "start-agent-session.sh"
        return subprocess.run([tool, name], capture_output=True, text=True, timeout=60, env=self.env(**env))

    def start(self, name: str, **env: str) -> None:
        """Define and launch a stub, and wait until its prompt stands."""
        if not (self.home / "fleet" / "agents" / f"{name}.env").exists():
            self.define(name)
        done = self.launch(name, **env)
        assert done.returncode == 0, done.stderr
        wait_for(lambda: "❯" in self.screen(name), f"the prompt of {name}")

    def tool(
        self, name: str, *args: str, stdin: str | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.home / "tools" / "tmux" / name, *args],
            capture_output=True,
            text=True,
            timeout=60,
            env=self.env(**env),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            cwd="/",
        )

    def send(self, *args: str, stdin: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        return self.tool("agent-send.sh", *args, stdin=stdin, **env)

    def screen(self, name: str) -> str:
        return tmux(self.socket, "capture-pane", "-p", "-t", f"={name}:")

    def pane(self, name: str) -> tuple[str, int]:
        pane, pid = tmux(
            self.socket, "list-panes", "-s", "-t", f"={name}:", "-F", "#{pane_id} #{pane_pid}"
        ).split()
        return pane, int(pid)

    def transcript(self, name: str, kind: str = "user") -> list[str]:
        """The texts of the stub's transcript lines of that kind, in order."""
        try:
            lines = (self.home / "fleet" / "run" / "stub" / f"{name}.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [body["text"] for body in map(json.loads, lines) if body["type"] == kind]

    def spool(self) -> list[dict[str, Any]]:
        return _envelopes(self.home / "fleet" / "run" / "spool" / "new")

    def mail(self, name: str, part: str = "new") -> list[dict[str, Any]]:
        return _envelopes(self.home / "fleet" / "run" / "mail" / name / part)

    def beat(self, name: str) -> dict[str, str]:
        try:
            text = (self.home / "fleet" / "run" / f"{name}.hb").read_text()
        except FileNotFoundError:
            return {}
        return dict(line.split("=", 1) for line in text.splitlines())


def _envelopes(folder: Path) -> list[dict[str, Any]]:
    """Every envelope there, oldest first, its body as text under ``body``."""
    if not folder.is_dir():
        return []
    found = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    return [{**one, "body": base64.b64decode(one["body_b64"]).decode()} for one in found]
