"""`mosaic init`: a working home from flags, without a question. What is there already is kept."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.render.terminal import show_error
from fleet.files import write_atomic

if TYPE_CHECKING:
    from fleet.home import Home

USAGE, FAILED = 3, 1
ROOMS = {"ops": "ops", "talk": "conversation", "log": "log", "reports": "reports"}


def init_main(words: list[str], home: Home, parser: argparse.ArgumentParser) -> int:
    """Seed the home, write roster and configuration where there are none, and check what is in force."""
    parser.add_argument("--local-only", action="store_true", help="no network: the local chat surface alone")
    parser.add_argument(
        "--profile", default="minimal", help="which roster to begin with (mosaic fleet profiles)"
    )
    parser.add_argument("--homeserver", help="Matrix: its address, like http://127.0.0.1:8008")
    parser.add_argument("--user-id", help="Matrix: the bot's own id")
    parser.add_argument("--password-file", help="Matrix: where its password stands")
    parser.add_argument("--token-file", help="Matrix: where its access token stands")
    parser.add_argument(
        "--room",
        action="append",
        default=[],
        metavar="NAME=!ID",
        help=f"Matrix id of a room: {', '.join(ROOMS)}",
    )
    parser.add_argument("--operator", action="append", default=[], help="exact Matrix id of an operator")
    parser.add_argument("--admin", action="append", default=[], help="exact Matrix id of an admin")
    parser.add_argument("--supervisor", choices=["systemd", "none"], default="none")
    given = parser.parse_args(words)
    if not given.local_only and not given.homeserver:
        parser.error("say --local-only, or give --homeserver, --user-id and a secret file")

    import yaml

    from bot.config import ConfigError, load_config
    from framework.seed import SeedError, seed

    rooms = dict(one.partition("=")[::2] for one in given.room)
    unknown = sorted(set(rooms) - set(ROOMS))
    if unknown:
        parser.error(f"no room is called {', '.join(unknown)}; there are: {', '.join(ROOMS)}")
    try:
        written = seed(home, roster=given.profile)
        if home.config.exists():
            _say(f"kept {home.config}")
        else:
            text = yaml.safe_dump(_config(given, rooms), sort_keys=False, allow_unicode=True)
            head = "# Made by `mosaic init`. Every key is explained in config.example.yaml.\n"
            write_atomic(home.config, (head + text).encode())
            written.append("bot/config.yaml")
        load_config(home.config)
    except SeedError as problem:
        show_error(str(problem))
        return USAGE if "preset" in str(problem) else FAILED
    except ConfigError as problem:
        show_error(str(problem))
        return USAGE
    except OSError as problem:
        show_error(f"{home.root} cannot be written: {problem.strerror or problem}. Mend its owner and mode.")
        return FAILED
    _say(f"home {home.root}: {len(written)} files written")
    _say("next: mosaic node · mosaic fleet start · mosaic bot run · mosaic chat")
    return 0


def _config(given: argparse.Namespace, rooms: dict[str, str]) -> dict[str, Any]:
    config: dict[str, Any] = {"connectors": {"local": {"enabled": True}}}
    if given.homeserver:
        matrix = {"homeserver": given.homeserver, "user_id": given.user_id}
        for key in ("password_file", "token_file"):
            if getattr(given, key):
                matrix[key] = str(Path(getattr(given, key)).expanduser().absolute())
        config["connectors"]["matrix"] = matrix
    config["rooms"] = {
        name: {"mode": mode} | ({"matrix": rooms[name]} if name in rooms else {})
        for name, mode in ROOMS.items()
    }
    config["access"] = {"operator": {"matrix": given.operator}, "admin": {"matrix": given.admin}}
    config["supervisor"] = given.supervisor
    return config


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
