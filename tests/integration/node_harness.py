"""A home with stub agents on a tmux server of its own, and a real node process over it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from fleet.home import Home
from fleet.messages import mailbox, spool
from fleet.messages.envelope import decode
from fleet.messages.ids import new_id
from fleet.model import Envelope, MessageClass, Receipt

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 40.0

_NODE = """
import asyncio, sys
from pathlib import Path
from fleet.home import Home
from fleet.node.app import run_node
sys.exit(asyncio.run(run_node(Home(Path(sys.argv[1])), supervise=sys.argv[2] == "1", host="here")))
"""


def until(what: Callable[[], T], *, why: str = "", limit_s: float = PATIENCE_S) -> T:
    """The first true value of ``what()``; an assertion error after ``limit_s`` seconds."""
    end = time.monotonic() + limit_s
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"did not come within {limit_s:g} s: {why or what}")
        time.sleep(0.05)


class Fleet:
    """Everything of one test; :meth:`close` ends it by recorded pids."""

    def __init__(self, folder: Path, *agents: str, think_s: float = 0.2) -> None:
        self.home = Home(folder / "home")
        self.socket = f"mf-node-{uuid.uuid4().hex[:10]}"
        self.agents = agents
        self.think_s = think_s
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.log = folder / "node.log"
        self.home.fleet.mkdir(parents=True)
        entries = "".join(f"  - {{name: {name}, class: code, runtime: stub}}\n" for name in agents)
        self.home.roster.write_text(
            f"version: 1\ntransport: tmux\ntmux: {{socket_name: {self.socket}}}\nagents:\n{entries}"
        )
        spool.prepare(self.home.spool)
        self.tmux("new-session", "-d", "-s", "_holder", "sleep 3600", first=True)
        self.server = int(self.tmux("display-message", "-p", "#{pid}"))
        self.socket_file = self.tmux("display-message", "-p", "#{socket_path}").strip()

    # --- tmux and agents ---------------------------------------------------------------------------------

    def tmux(self, *args: str, first: bool = False, text: str | None = None) -> str:
        env = {k: v for k, v in os.environ.items() if k not in {"TMUX", "TMUX_PANE"}} | {"LC_ALL": "C.UTF-8"}
        opening = ["-f", "/dev/null"] if first else ["-N"]
        done = subprocess.run(
            ["tmux", *opening, "-L", self.socket, *args],
            input=text,
            capture_output=True,
            text=True,
            env=env,
            timeout=20,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str, **env: str) -> None:
        """The stub in a session of its name, ready for input."""
        settings = {
            "MOSAIC_HOME": str(self.home.root),
            "MOSAIC_AGENT_NAME": name,
            "MOSAIC_TMUX_SOCKET": self.socket,
            "STUB_THINK_S": str(self.think_s),
        } | env
        pairs = [word for key, value in settings.items() for word in ("-e", f"{key}={value}")]
        stub = ROOT / "framework" / "agents" / "stub-agent"
        command = f"exec {sys.executable} {stub}"
        self.tmux("new-session", "-d", "-s", name, "-x", "120", "-y", "40", *pairs, command)
        until(lambda: "· idle" in self.screen(name), why="the stub's prompt")

    def screen(self, name: str) -> str:
        return self.tmux("capture-pane", "-p", "-t", f"={name}:0.0")

    def took(self, name: str) -> list[str]:
        """Prompts that the program took, from its own transcript."""
        path = self.home.run / "stub" / f"{name}.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [item["text"] for item in map(json.loads, lines) if item["type"] == "user"]

    # --- the node ----------------------------------------------------------------------------------------

    def start_node(self, *, supervise: bool = False) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            node = subprocess.Popen(
                [sys.executable, "-c", _NODE, str(self.home.root), "1" if supervise else "0"],
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        self.nodes.append(node)
        count = self.log.read_bytes().count(b"node runs")
        until(
            lambda: node.poll() is not None or self.log.read_bytes().count(b"node runs") > count,
            why="the node",
        )
        assert node.poll() is None, self.log.read_text()
        return node

    @staticmethod
    def kill(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> int:
        if process.poll() is None:
            process.send_signal(number)
        return process.wait(20)

    def state(self, name: str) -> dict[str, Any]:
        try:
            return dict(json.loads(self.home.state(name).read_bytes()))
        except OSError:
            return {}

    def told(self, kind: str) -> list[Envelope]:
        """What the node put into the spool."""
        found = [decode(path.read_bytes()) for path in spool.take_new(self.home.spool)]
        return [envelope for envelope in found if envelope.kind == kind]

    # --- mail --------------------------------------------------------------------------------------------

    def mail(self, name: str, body: str, **more: Any) -> Envelope:
        """A message on its way to ``name`` (not yet put)."""
        return Envelope(
            id=new_id(),
            ts=datetime.now(UTC),
            tenant_id="t",
            host="here",
            src=more.pop("src", "here:other"),
            dst=f"here:{name}",
            body=body,
            **more,
        )

    def put(self, name: str, body: str, **more: Any) -> Envelope:
        envelope = self.mail(name, body, **more)
        assert mailbox.put(self.home.mailbox(name), envelope)
        return envelope

    def ask(self, name: str, body: str, token: str) -> Envelope:
        """A person's message."""
        src = f"matrix:@ana:hs/{token}"
        return self.put(name, body, src=src, token=token, message_class=MessageClass.HUMAN)

    def receipt(self, name: str, envelope: Envelope) -> Receipt | None:
        return mailbox.result(self.home.mailbox(name), envelope.id)

    def settled(self, name: str, envelope: Envelope, limit_s: float = PATIENCE_S) -> Receipt:
        box = self.home.mailbox(name)
        until(lambda: mailbox.is_settled(box, envelope.id), why=f"a verdict; {self.log}", limit_s=limit_s)
        receipt = mailbox.result(box, envelope.id)
        assert receipt is not None
        return receipt

    def held(self, name: str, envelope: Envelope, evidence: str) -> None:
        wanted = ("held", evidence)

        def is_held() -> bool:
            receipt = self.receipt(name, envelope)
            return receipt is not None and (receipt.verdict, receipt.evidence) == wanted

        until(is_held, why=f"held {evidence}")

    def close(self) -> None:
        for node in self.nodes:
            self.kill(node)
        os.kill(self.server, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{self.server}").exists(), why="the end of tmux")
        Path(self.socket_file).unlink(missing_ok=True)
