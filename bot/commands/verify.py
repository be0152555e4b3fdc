"""`fleet verify`: what is wrong with this fleet on this host, each with its mend."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.commands.context import Context
from bot.document import Bullets, Document, Footer, Heading, Tone
from fleet.files import is_locked
from fleet.home import Home
from fleet.model import Roster


@dataclass(frozen=True, slots=True)
class Finding:
    """``error`` findings make the exit code 1; the others are warnings."""

    error: bool
    text: str


async def verify(context: Context, args: dict[str, Any]) -> Document:
    """Roster, socket, tools, env files, node. Warnings alone are exit 0."""
    roster = await context.roster()  # a broken one is said by the dispatcher, with exit code 3
    found = await asyncio.to_thread(findings, context.home, roster, socket_folder())
    errors = [f.text for f in found if f.error]
    warnings = [f.text for f in found if not f.error]
    data = {"errors": errors, "warnings": warnings, "agents": len(roster.agents)}
    if not found:
        return Document.line(
            f"All well: {len(roster.agents)} agents, nothing to mend.", tone=Tone.GOOD, data=data
        )
    head = Heading(f"{len(errors)} error{'' if len(errors) == 1 else 's'}, {len(warnings)} warnings")
    lines = (*(f"ERROR {text}" for text in errors), *(f"warning {text}" for text in warnings))
    boundary = Footer(
        "Everything of this Unix user can type into any of these panes: rights guard mistakes only."
    )
    blocks = (head, Bullets(lines), boundary)
    return Document(blocks, data, ok=True, exit_code=1 if errors else 0)


def socket_folder() -> Path:
    """Where tmux keeps this user's sockets."""
    return Path(os.environ.get("TMUX_TMPDIR") or "/tmp") / f"tmux-{os.getuid()}"  # noqa: S108 - tmux's own place


def findings(home: Home, roster: Roster, sockets: Path) -> list[Finding]:
    """Look at the files. Raises nothing for what is missing: that is what it reports."""
    found = [Finding(False, note) for note in roster.notes]
    if not roster.agents:
        found.append(Finding(False, f"roster: no agents. Add some to {home.roster}."))
    if shutil.which("tmux") is None:
        found.append(Finding(True, "tmux is not installed. Install the package tmux (3.3 or later)."))
    for tool in (home.send_tool, home.start_tool):
        if not os.access(tool, os.X_OK):
            found.append(
                Finding(True, f"{tool} is missing or not executable. Run `mosaic init` to seed it again.")
            )
    for agent in roster.agents:
        if agent.host is None and not home.env_file(agent.name).exists():
            mend = f"`mosaic fleet start {agent.name}` writes it."
            text = f"{agent.name}: no {home.env_file(agent.name)} yet. {mend}"
            found.append(Finding(False, text))
    if not is_locked(home.node_lock):
        found.append(
            Finding(False, "the node does not run: events and deliveries wait. Start `mosaic node`.")
        )
    found += _socket_findings(sockets)
    return found


def _socket_findings(folder: Path) -> list[Finding]:
    try:
        info = folder.lstat()
    except OSError:
        return []
    found = []
    if stat.S_ISLNK(info.st_mode) or info.st_uid != os.getuid():
        found.append(Finding(True, f"{folder} is not yours: whoever owns it can type into panes. Remove it."))
    elif info.st_mode & 0o077:
        text = f"{folder} is open to others (mode {info.st_mode & 0o777:03o}). Run `chmod 700 {folder}`."
        found.append(Finding(True, text))
    return found
