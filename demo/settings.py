"""What the demo writes into its home before anything starts: the bot's configuration and the roster."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from demo.layout import Layout
from fleet.files import write_atomic
from framework.seed import seed

REPORT_EVERY_S = 3
FIRST_REPORT = "first-report"


def _password() -> str:
    return secrets.token_urlsafe(9)


@dataclass(frozen=True, slots=True)
class Accounts:
    """Local names and passwords; made anew for each run."""

    bot: tuple[str, str] = field(default_factory=lambda: ("fleet", _password()))
    operator: tuple[str, str] = field(default_factory=lambda: ("operator", _password()))
    outsider: tuple[str, str] = field(default_factory=lambda: ("outsider", _password()))


def seed_home(layout: Layout) -> None:
    """Tools, roles and the roster of five stub agents, on the demo's own socket. Blocks (many files)."""
    seed(layout.home, roster="demo")
    path = layout.home.roster
    roster = yaml.safe_load(path.read_text())
    tmux = roster.setdefault("tmux", {})
    tmux.pop("socketName", None)
    tmux["socket_name"] = layout.tmux_socket
    for agent in roster["agents"]:
        agent.pop("socket", None)
    roster.setdefault("defaults", {})["working_directory"] = str(layout.root / "work")
    write_atomic(path, yaml.safe_dump(roster, sort_keys=False, allow_unicode=True).encode())


def write_config(
    layout: Layout, homeserver: str, ids: Mapping[str, str], rooms: Mapping[str, str], password: str
) -> None:
    """`bot/config.yaml` and the bot's password beside it. ``ids`` has bot and operator, ``rooms`` all."""
    home = layout.home
    write_atomic(home.bot / "matrix-password", f"{password}\n".encode())
    config: dict[str, Any] = {
        "supervisor": "none",
        "connectors": {
            "local": {"enabled": True},
            "matrix": {
                "homeserver": homeserver,
                "user_id": ids["bot"],
                "password_file": str(home.bot / "matrix-password"),
            },
        },
        "rooms": {
            "ops": {"mode": "ops", "matrix": rooms["ops"]},
            "conversation": {"mode": "conversation", "matrix": rooms["conversation"]},
            "log": {"mode": "log", "matrix": rooms["log"], "mirror": "all"},
            "reports": {"mode": "reports", "matrix": rooms["reports"]},
        },
        "access": {"operator": {"matrix": [ids["operator"]]}},
        "schedules": [
            {"id": FIRST_REPORT, "report": "readiness", "every_s": REPORT_EVERY_S, "room": "reports"},
            {"id": "morning", "report": "readiness", "cron": "0 9 * * *", "tz": "UTC", "room": "reports"},
        ],
        "http": {"listen": "127.0.0.1:0"},
    }
    write_atomic(home.config, yaml.safe_dump(config, sort_keys=False).encode())
