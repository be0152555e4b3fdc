"""systemd: its view of our units in one call (None where no user manager answers), and a word to it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.host.process import run_program

PATTERNS = ("mosaic-agent@*.service", "mosaic-*.service")


@dataclass(frozen=True, slots=True)
class UnitState:
    """``active`` is the manager's word (active, inactive, failed, activating, …), ``enabled`` is
    `enabled` or `disabled`."""

    active: str
    enabled: str
    sub: str = ""


def agent_unit(agent: str) -> str:
    return f"mosaic-agent@{agent}.service"


async def list_units(*, env: Mapping[str, str] | None = None, timeout_s: float = 5.0) -> Units | None:
    """The state of all our units. None: there is no user manager, or it did not answer in time.

    One process, and none where no manager's socket is in sight. Enablement is read from its links.
    """
    environ = dict(os.environ if env is None else env)
    runtime = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    if not (runtime / "systemd" / "private").exists() and not (runtime / "bus").exists():
        return None
    environ["XDG_RUNTIME_DIR"] = str(runtime)
    done = await run_program(
        *("systemctl", "--user", "list-units", "--all", "--no-pager", "--output=json", *PATTERNS),
        timeout_s=timeout_s,
        env=environ,
    )
    if not done.ok:
        return None
    return Units.parse(done.out, enabled_units(environ))


@dataclass(frozen=True, slots=True)
class Units:
    states: Mapping[str, UnitState]
    enabled: frozenset[str]

    def of_agent(self, agent: str) -> UnitState:
        """The agent's unit; one that the manager has not loaded is inactive."""
        return self.of(agent_unit(agent))

    def of(self, unit: str) -> UnitState:
        enabled = "enabled" if unit in self.enabled else "disabled"
        return self.states.get(unit) or UnitState("inactive", enabled)

    @classmethod
    def parse(cls, data: bytes, enabled: frozenset[str]) -> Units | None:
        """From `list-units --output=json`; None for anything else."""
        try:
            rows = json.loads(data or b"[]")
            states = {
                str(row["unit"]): UnitState(
                    active=str(row["active"]),
                    enabled="enabled" if row["unit"] in enabled else "disabled",
                    sub=str(row.get("sub", "")),
                )
                for row in rows
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return cls(states, enabled)


def enabled_units(environ: Mapping[str, str]) -> frozenset[str]:
    """Names of the units that links under `*.wants` or `*.requires` of the user's configuration start."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".config")
    found: set[str] = set()
    try:
        folders = list((Path(base) / "systemd" / "user").iterdir())
    except OSError:
        return frozenset()
    for folder in folders:
        if folder.suffix in {".wants", ".requires"}:
            try:
                found.update(entry.name for entry in folder.iterdir())
            except OSError:
                continue
    return frozenset(found)


def tell_systemd(env: Mapping[str, str], message: str) -> None:
    """One sd_notify message; nothing where systemd does not listen."""
    address = env.get("NOTIFY_SOCKET")
    if not address:
        return
    line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        line.connect("\0" + address[1:] if address.startswith("@") else address)
        line.sendall(message.encode())
    except OSError:
        return  # a manager that went away is no reason to stop
    finally:
        line.close()
