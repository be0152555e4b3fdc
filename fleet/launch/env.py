"""An agent's env file: generated keys first, the operator's lines after them untouched (ENV-02…06, 24)."""

from __future__ import annotations

import re

from fleet.files import write_atomic
from fleet.home import Home
from fleet.model import AgentDef

_BARE = re.compile(r"[A-Za-z0-9_./:@%+=,~-]*")
_KEY = re.compile(rb"([A-Za-z_][A-Za-z0-9_]*)=")


class EnvError(ValueError):
    """A value cannot stand in an env file; the text names key and mend."""


def generate(agent: AgentDef) -> list[tuple[str, str]]:
    """The keys that the roster decides, in their fixed order. Optional ones only where the entry has them."""
    pairs = [
        ("MOSAIC_AGENT_NAME", agent.name),
        ("MOSAIC_AGENT_RUNTIME", agent.runtime),
        ("MOSAIC_AGENT_MODEL", agent.model_hint or ""),
        ("MOSAIC_AGENT_WORKDIR", agent.working_directory),
        ("MOSAIC_TMUX_SOCKET", agent.socket),
    ]
    if agent.yolo is not None:
        pairs.append(("MOSAIC_AGENT_YOLO", "true" if agent.yolo else "false"))
    if agent.command is not None:
        pairs.append(("MOSAIC_AGENT_COMMAND", agent.command))
    if agent.channels is not None:
        pairs.append(("MOSAIC_AGENT_CHANNELS", agent.channels))
    return pairs


def line(key: str, value: str) -> str:
    """``KEY=value``, bare where it may be, else single-quoted; an empty value is a bare ``KEY=`` (ENV-04).

    Raises EnvError for a quote or a line break inside: systemd, bash and we would read them differently.
    """
    if _BARE.fullmatch(value):
        return f"{key}={value}"
    if "'" in value or any(ord(char) < 32 for char in value):
        raise EnvError(
            f"{key}: a single quote or a line break cannot stand in an env file; use a script instead"
        )
    return f"{key}='{value}'"


def merge(agent: AgentDef, old: bytes) -> bytes:
    """The new file: the generated block, then what ``old`` had besides it, in its order and bytes.

    Keys that the roster no longer has (`_YOLO`, `_CHANNELS`) are the operator's like any other line: only
    what is generated now is taken out. Raises EnvError.
    """
    pairs = generate(agent)
    ours = {key.encode() for key, _ in pairs}
    block = "".join(f"{line(key, value)}\n" for key, value in pairs).encode()
    kept = b"".join(
        row for row in old.splitlines(keepends=True) if not ((found := _KEY.match(row)) and found[1] in ours)
    )
    if kept and not kept.endswith(b"\n"):
        kept += b"\n"
    return block + kept


def write_env(home: Home, agent: AgentDef) -> bool:
    """Bring `fleet/agents/<name>.env` up to date; whether it changed. Raises EnvError and OSError."""
    path = home.env_file(agent.name)
    old = path.read_bytes() if path.exists() else b""
    new = merge(agent, old)
    if new == old:
        return False
    write_atomic(path, new, 0o600)
    return True
