"""Start and end one agent's session on this host. The work itself is the launcher script's."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.files import write_atomic
from fleet.home import Home
from fleet.host.process import run_program
from fleet.host.tmux import Tmux
from fleet.launch.env import EnvError, write_env
from fleet.model import AgentDef

START_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Started:
    """The session lives. ``already`` says that it lived before; ``warnings`` are lines for people."""

    name: str
    already: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    name: str
    reason: str


def stopped_file(home: Home, agent: str) -> Path:
    """Exists while a person wants this agent stopped; no supervisor undoes that."""
    return home.run / "stopped" / agent


async def start_agent(
    home: Home,
    agent: AgentDef,
    *,
    by_person: bool = True,
    env: Mapping[str, str] | None = None,
    timeout_s: float = START_LIMIT_S,
) -> Started | Failed:
    """Bring the env file up to date and run the launcher. A live session is left alone (its heartbeat is
    made if missing). ``by_person`` also takes back a recorded stop; a supervisor passes False and gets
    Failed for an agent that a person stopped. Raises nothing but CancelledError."""
    if agent.ssh is not None:
        return Failed(agent.name, f"{agent.name} lives on {agent.host or agent.ssh}; start it there")
    if not home.start_tool.is_file():
        return Failed(agent.name, f"there is no {home.start_tool}; seed the home first: mosaic init")
    try:
        refused = await asyncio.to_thread(_prepare, home, agent, by_person)
    except (EnvError, OSError) as problem:
        return Failed(agent.name, f"the env file of {agent.name} cannot be written: {problem}")
    if refused:
        return Failed(agent.name, refused)
    environ = launch_environment(home, agent, os.environ if env is None else env)
    done = await run_program(str(home.start_tool), agent.name, timeout_s=timeout_s, env=environ)
    lines = [text for text in done.err.decode("utf-8", "replace").splitlines() if text.strip()]
    if not done.ok:
        reason = " ".join(text.removeprefix("ERROR: ") for text in lines) or done.error
        return Failed(agent.name, reason)
    return Started(agent.name, "runs already" in done.text, tuple(lines))


async def stop_agent(home: Home, agent: AgentDef, *, by_person: bool = True) -> Failed | None:
    """End exactly this agent's session and record that a person wanted it. None when it is done (also when
    there was no session), Failed with the reason when tmux could not be asked."""
    if agent.ssh is not None:
        return Failed(agent.name, f"{agent.name} lives on {agent.host or agent.ssh}; stop it there")
    if by_person:
        try:
            await asyncio.to_thread(write_atomic, stopped_file(home, agent.name), b"")
        except OSError as problem:
            return Failed(agent.name, f"the stop of {agent.name} cannot be recorded: {problem}")
    if await Tmux(agent.socket).kill_session(agent.name):
        return None
    return Failed(
        agent.name, f"tmux socket {agent.socket or 'default'} does not answer; {agent.name} may still run"
    )


def launch_environment(home: Home, agent: AgentDef, env: Mapping[str, str]) -> dict[str, str]:
    """What the launcher needs, without what belongs to another agent's pane. `mosaic` is found on PATH."""
    kept = {key: value for key, value in env.items() if not key.startswith("MOSAIC_AGENT_")}
    kept.pop("MOSAIC_TMUX_SOCKET", None)
    kept.pop("TMUX", None)
    kept.pop("TMUX_PANE", None)
    programs = str(Path(sys.executable).parent)
    path = kept.get("PATH", os.defpath)
    if programs not in path.split(os.pathsep):
        path = f"{programs}{os.pathsep}{path}"
    return kept | {
        "PATH": path,
        "MOSAIC_HOME": str(home.root),
        "MOSAIC_AGENT_NAME": agent.name,
        "MOSAIC_AGENT_CLASS": agent.agent_class,
    }


def _prepare(home: Home, agent: AgentDef, by_person: bool) -> str | None:
    stopped = stopped_file(home, agent.name)
    if stopped.exists():
        if not by_person:
            return f"{agent.name} was stopped by a person; mosaic fleet start {agent.name} starts it again"
        stopped.unlink(missing_ok=True)
    home.run.mkdir(parents=True, exist_ok=True)
    write_env(home, agent)
    kept = (
        home.run / f"{agent.name}.class"
    )  # the env file's keys are fixed; the launcher reads the class here
    if not kept.exists() or kept.read_text("utf-8") != agent.agent_class:
        write_atomic(kept, agent.agent_class.encode())
    return None
