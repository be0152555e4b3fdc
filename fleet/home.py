"""Where everything lies under a Mosaic home: paths only, no I/O except resolving the home itself."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SOCKET_PATH_LIMIT = 100  # bytes; a Unix socket path may hold 107, some programs append to it


@dataclass(frozen=True, slots=True)
class Home:
    """A Mosaic home (`$MOSAIC_HOME`, default `~/.config/mosaic`). All paths are absolute."""

    root: Path

    @classmethod
    def resolve(
        cls, given: str | os.PathLike[str] | None = None, env: Mapping[str, str] | None = None
    ) -> Home:
        """``given`` wins over ``$MOSAIC_HOME``, that over the default."""
        environ = os.environ if env is None else env
        chosen = given or environ.get("MOSAIC_HOME") or "~/.config/mosaic"
        return cls(Path(chosen).expanduser().absolute())

    @property
    def fleet(self) -> Path:
        return self.root / "fleet"

    @property
    def roster(self) -> Path:
        return self.fleet / "roster.yaml"

    @property
    def agents(self) -> Path:
        return self.fleet / "agents"

    @property
    def run(self) -> Path:
        return self.fleet / "run"

    @property
    def paused(self) -> Path:
        return self.run / "PAUSED"

    @property
    def spool(self) -> Path:
        return self.run / "spool"

    @property
    def node_json(self) -> Path:
        return self.fleet / "node.json"

    @property
    def node_lock(self) -> Path:
        return self.run / "node.lock"

    @property
    def node_socket(self) -> Path:
        return self.socket_path("node.sock", self.run)

    @property
    def bot(self) -> Path:
        return self.root / "bot"

    @property
    def config(self) -> Path:
        return self.bot / "config.yaml"

    @property
    def register(self) -> Path:
        return self.bot / "register.db"

    @property
    def register_lock(self) -> Path:
        return self.bot / "register.lock"

    @property
    def bot_socket(self) -> Path:
        return self.socket_path("bot.sock", self.bot)

    @property
    def bot_json(self) -> Path:
        return self.run / "bot.json"

    @property
    def tools(self) -> Path:
        return self.root / "tools"

    @property
    def send_tool(self) -> Path:
        return self.tools / "tmux" / "agent-send.sh"

    @property
    def start_tool(self) -> Path:
        return self.tools / "fleet" / "start-agent-session.sh"

    def env_file(self, agent: str) -> Path:
        return self.agents / f"{agent}.env"

    def heartbeat(self, agent: str) -> Path:
        return self.run / f"{agent}.hb"

    def state(self, agent: str) -> Path:
        return self.run / f"{agent}.state"

    def lock(self, agent: str) -> Path:
        return self.run / "lock" / agent

    def mailbox(self, agent: str) -> Path:
        return self.run / "mail" / agent

    def socket_path(self, name: str, folder: Path) -> Path:
        """``folder/name``, or a short path under the runtime folder when that is over 100 bytes."""
        path = folder / name
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
            return path
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/mosaic-run-{os.getuid()}"  # noqa: S108 - made 0700 by whoever binds
        return Path(runtime) / f"mosaic-{digest}" / name
