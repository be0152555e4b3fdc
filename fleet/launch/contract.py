"""The system prompt of an agent: what all must know, its role, its peers. Reads files, writes none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from fleet.home import Home
from fleet.host.name import this_host
from fleet.launch.comms import comms_block
from fleet.model import Roster

_COMMON = ("CONSTITUTION.md", "SOUL.md", "USER.md", "TOOLS.md")


def compose_contract(
    home: Home,
    runtime: str,
    role: str | None = None,
    *,
    roster: Roster | None = None,
    agent: str | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """The whole prompt: constitution, soul, user, tools, the role's contract, what the runtime needs, each
    followed by its `*.local.md` overlay, and the comms block of ``agent``. Parts that are not there are
    left out; a missing peer list is no reason not to start (ENV-19). Raises nothing for missing files.

    ``role`` is a class or an agent's name; without it and ``agent`` it is the agent that
    `MOSAIC_AGENT_NAME` in ``env`` names (ENV-18). ``roster`` is read from the home where none is given.
    """
    fleet = roster or _roster(home)
    if fleet is not None and agent is None:
        if role is None:
            agent = (os.environ if env is None else env).get("MOSAIC_AGENT_NAME") or None
        elif fleet.get(role):
            agent, role = role, None
    own = fleet.get(agent) if fleet is not None and agent is not None else None
    role = role or (own.agent_class if own else None)
    files = [home.root / name for name in _COMMON]
    if role:
        files.append(role_file(home, role))
    files.append(home.fleet / "runtimes" / f"{runtime}.md")
    parts = [text for file in files for text in _with_overlay(file)]
    if fleet is not None and own is not None:
        host = own.host or this_host()
        parts.append(comms_block(fleet, own.name, host=host, send=str(home.send_tool), path=str(home.roster)))
    return "\n\n".join(parts) + "\n"


def _roster(home: Home) -> Roster | None:
    from fleet.roster.cache import current_roster
    from fleet.roster.problem import RosterError

    try:
        return current_roster(home)
    except (RosterError, OSError):
        return None  # an agent starts without its peer list rather than not at all


def role_file(home: Home, role: str) -> Path:
    """The contract of a class; a class of the operator's own has a worker's."""
    file = home.fleet / "roles" / f"{role}.md"
    return file if file.is_file() else home.fleet / "roles" / "code.md"


def _with_overlay(file: Path) -> list[str]:
    found = []
    for path in (file, file.with_name(f"{file.stem}.local{file.suffix}")):
        try:
            text = path.read_text("utf-8", "replace")
        except OSError:
            continue
        if body := _without_front_matter(text).strip():
            found.append(body)
    return found


def _without_front_matter(text: str) -> str:
    """The prose: the front-matter is for code, which reads rights from it."""
    if not text.startswith("---\n"):
        return text
    _, end, rest = text[4:].partition("\n---\n")
    return rest if end else text
