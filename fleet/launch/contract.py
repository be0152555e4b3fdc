"""The system prompt of an agent: what all must know, its role, its peers. Reads files, writes none."""

from __future__ import annotations

import socket
from pathlib import Path

from fleet.home import Home
from fleet.launch.comms import CommsMiss, comms_block
from fleet.model import Roster

_COMMON = ("CONSTITUTION.md", "SOUL.md", "USER.md", "TOOLS.md")


def compose_contract(
    home: Home, runtime: str, role: str | None, *, roster: Roster | None = None, agent: str | None = None
) -> str:
    """The whole prompt: constitution, soul, user, tools, the role's contract, what the runtime needs, each
    followed by its `*.local.md` overlay, and the comms block of ``agent``. Parts that are not there are
    left out; a missing peer list is no reason not to start (ENV-19). Raises nothing for missing files."""
    if role is None and roster is not None and agent is not None and (entry := roster.get(agent)):
        role = entry.agent_class
    files = [home.root / name for name in _COMMON]
    if role:
        files.append(role_file(home, role))
    files.append(home.fleet / "runtimes" / f"{runtime}.md")
    parts = [text for file in files for text in _with_overlay(file)]
    if roster is not None and agent is not None:
        try:
            own = roster.get(agent)
            host = (own.host if own else None) or socket.gethostname()
            parts.append(
                comms_block(roster, agent, host=host, send=str(home.send_tool), path=str(home.roster))
            )
        except CommsMiss:
            pass
    return "\n\n".join(parts) + "\n"


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
