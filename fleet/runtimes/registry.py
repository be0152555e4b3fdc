"""Which adapter speaks for which runtime. A program whose adapter does not exist yet is treated as custom."""

from __future__ import annotations

from dataclasses import replace

from fleet.model import AgentDef
from fleet.runtimes.base import Runtime
from fleet.runtimes.custom import CustomRuntime
from fleet.runtimes.stub import StubRuntime


def adapter(runtime: str) -> Runtime:
    """The adapter of this runtime; for programs without one, the custom adapter under their name."""
    if runtime == "stub":
        return StubRuntime()
    return CustomRuntime(name=runtime)


def adapter_for(agent: AgentDef) -> Runtime:
    """The adapter of this agent, with the reset command of its roster entry where it has one."""
    found = adapter(agent.runtime)
    if agent.reset_command and isinstance(found, StubRuntime | CustomRuntime):
        return replace(found, reset_command=agent.reset_command)
    return found
