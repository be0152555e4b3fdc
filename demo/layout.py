"""Where the demo keeps everything: one folder, one tmux socket of its own, one mark on its processes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from fleet.home import Home

MARK = "MOSAIC_DEMO"  # in the environment of every process of the demo, with the folder as value
PROJECT = Path(__file__).resolve().parent.parent
AGENTS = ("orchestrator", "enhancer", "coder0", "coder1", "reviewer0")


@dataclass(frozen=True, slots=True)
class Layout:
    """``root`` is absolute and belongs to the demo alone."""

    root: Path

    @property
    def home(self) -> Home:
        return Home(self.root / "home")

    @property
    def homeserver(self) -> Path:
        return self.root / "homeserver"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def person(self) -> Path:
        """`$HOME` of the demo's programs, so that none writes into the real one."""
        return self.root / "person"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def connection(self) -> Path:
        return self.root / "connection.json"

    @property
    def tmux_socket(self) -> str:
        """The socket's name; another folder has another one, so that two demos never meet."""
        return f"mosaic-demo-{hashlib.sha256(os.fsencode(self.root)).hexdigest()[:8]}"

    @property
    def tmux_socket_file(self) -> Path:
        return Path(os.environ.get("TMUX_TMPDIR") or "/tmp") / f"tmux-{os.getuid()}" / self.tmux_socket

    def environment(self) -> dict[str, str]:
        """What the demo's programs see: the caller's environment without its fleet, plus this one."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MOSAIC_", "AGENT_SEND_", "STUB_")) and name not in {"TMUX", "TMUX_PANE"}
        }
        tools = (PROJECT / ".venv" / "bin", self.home.tools / "tmux")
        fonts = PROJECT / ".cache" / "matplotlib"  # a list of fonts that the setup made
        return {
            **({"MPLCONFIGDIR": str(fonts)} if fonts.is_dir() else {}),
            **kept,
            MARK: str(self.root),
            "HOME": str(self.person),
            "LC_ALL": "C.UTF-8",
            "PATH": os.pathsep.join([*map(str, tools), kept.get("PATH", os.defpath)]),
            "MOSAIC_HOME": str(self.home.root),
            "PYTHONUNBUFFERED": "1",
        }
