"""The deliverers of all agents on this host: one worker each, made and ended as the roster changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import structlog

from fleet.model import AgentDef
from fleet.node.deliver import Deliverer, Desk
from fleet.runtimes.registry import adapter_for

log = structlog.get_logger("crew")

MAIL_LOOK_S = 1.0


class Crew:
    """Owns every worker task; :meth:`close` ends them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._agents: dict[str, AgentDef] = {}
        self._workers: dict[str, tuple[Deliverer, asyncio.Task[None]]] = {}

    def agent(self, name: str) -> AgentDef | None:
        """The roster entry of an agent of this host."""
        return self._agents.get(name)

    def agents(self) -> tuple[AgentDef, ...]:
        return tuple(self._agents.values())

    def wake(self, name: str) -> None:
        """Mail came for this agent, or its state changed."""
        worker = self._workers.get(name)
        if worker:
            worker[0].wake()

    async def become(self, agents: Iterable[AgentDef]) -> list[str]:
        """Have a worker for exactly these agents; the names that left."""
        wanted = {agent.name: agent for agent in agents}
        changed = [name for name, agent in self._agents.items() if wanted.get(name) != agent]
        await self._end(changed, limit_s=3.0)
        self._agents = wanted
        for name, agent in wanted.items():
            if name not in self._workers:
                worker = Deliverer(agent, adapter_for(agent), self._desk)
                task = asyncio.create_task(worker.run(), name=f"deliver {name}")
                self._workers[name] = (worker, task)
        return [name for name in changed if name not in wanted]

    async def watch_mail(self, folder: Path) -> None:
        """Wake whose mailbox got a file: at once by file events, and everybody each second without."""
        from watchfiles import awatch

        async for changes in awatch(
            folder,
            debounce=10,
            step=5,
            rust_timeout=int(MAIL_LOOK_S * 1000),
            yield_on_timeout=True,
            watch_filter=lambda _, path: "/new/" in path,
        ):
            names = {Path(path).parent.parent.name for _, path in changes} or set(self._workers)
            for name in names:
                self.wake(name)

    async def close(self, limit_s: float) -> None:
        """End all workers; what one is typing may be finished within ``limit_s`` seconds."""
        await self._end(list(self._workers), limit_s=limit_s)

    async def _end(self, names: list[str], limit_s: float) -> None:
        ending = [self._workers.pop(name) for name in names if name in self._workers]
        for worker, _ in ending:
            worker.retire()
        if not ending:
            return
        tasks = [task for _, task in ending]
        _, late = await asyncio.wait(tasks, timeout=limit_s)
        for task in late:
            task.cancel()  # its mark stands; the next one settles it
        await asyncio.gather(*tasks, return_exceptions=True)
