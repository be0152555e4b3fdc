"""The node: one per host and home. Builds the parts, runs them, stops them; nothing is made at import."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from fleet.files import try_lock
from fleet.home import Home
from fleet.host.name import is_here, this_host
from fleet.host.systemd import tell_systemd
from fleet.launch.start import Failed, start_agent
from fleet.messages import spool
from fleet.messages.ids import new_id
from fleet.model import AgentDef
from fleet.node.crew import Crew
from fleet.node.deliver import Desk
from fleet.node.janitor import sweep
from fleet.node.listen import open_door
from fleet.node.panes import Panes
from fleet.node.receiver import Receiver
from fleet.node.restart import Restarter, stopped_mark
from fleet.node.tracks import Tracks
from fleet.node.turns import Place
from fleet.node.typing_in import Timing
from fleet.node.watch import Watch
from fleet.roster.cache import current_roster
from fleet.roster.load import RosterError

log = structlog.get_logger("node")

ROSTER_LOOK_S = 1.0
SWEEP_S = 3600.0
LOCK_TRIES = 20  # about a second: whoever asks whether a node lives holds the lock for a moment
LOCK_PAUSE_S = 0.05
STOP_LIMIT_S = 4.0
EXIT_RUNNING = 5
EXIT_ROSTER = 3

Start = Callable[[AgentDef], Awaitable[str | None]]


async def run_node(
    home: Home,
    *,
    supervise: bool | None = None,
    host: str | None = None,
    env: Mapping[str, str] | None = None,
    timing: Timing | None = None,
    start: Start | None = None,
    stop: asyncio.Event | None = None,
) -> int:
    """Run the node of this home until SIGTERM, SIGINT or ``stop``; the exit code of `mosaic node`.

    0 after an orderly stop (within five seconds) · 1 it could not listen or a part of it failed · 3 the
    roster is not usable · 5 a node of this home runs already. ``supervise``: start agents again that
    ended; by default unless systemd started us. ``host`` is this host's name in labels.
    """
    environ = os.environ if env is None else env
    await asyncio.to_thread(home.run.mkdir, 0o700, True, True)
    held = await _hold(home.node_lock)
    if held is None:
        pid = home.node_lock.read_text("utf-8").strip() or "unknown"
        print(f"A node of {home.root} runs already (pid {pid}); one per home.", file=sys.stderr)  # noqa: T201
        return EXIT_RUNNING
    try:
        os.ftruncate(held, 0)
        os.write(held, f"{os.getpid()}\n".encode())
        try:
            roster = await asyncio.to_thread(current_roster, home)
        except RosterError as problem:
            print(problem, file=sys.stderr)  # noqa: T201 - the terminal's answer, before any log
            return EXIT_ROSTER
        watched = "INVOCATION_ID" in environ or "NOTIFY_SOCKET" in environ
        node = Node(
            home,
            Place(host or this_host(), roster.tenant_id, new_id()),
            supervise=not watched if supervise is None else supervise,
            timing=timing or Timing(),
            start=start or _starter(home),
        )
        return await node.run(environ, stop or asyncio.Event())
    finally:
        os.close(held)


class Node:
    """The parts of one node run, wired."""

    def __init__(self, home: Home, place: Place, *, supervise: bool, timing: Timing, start: Start) -> None:
        self._home = home
        self._place = place
        self._panes = Panes(time.monotonic)
        self._tracks = Tracks(home, place, now=_now, on_change=self._changed)
        desk = Desk(home, self._panes, self._tracks, _now, time.monotonic, asyncio.sleep, timing)
        self._crew = Crew(desk)
        self._restarter = Restarter(home, self._tracks, start=start, clock=time.monotonic, now=_now)
        self._supervise = supervise
        self._stamp: tuple[int, int, int] | None = None

    async def run(self, env: Mapping[str, str], stop: asyncio.Event) -> int:
        """Start everything, wait for the stop or the first part that fails, stop everything."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        receiver = Receiver(self._home, self._tracks, self._panes, agents=self._crew.agent, now=_now)
        runner = web.AppRunner(receiver.app(), access_log=None, shutdown_timeout=1.0)
        watch = Watch(
            self._tracks,
            self._panes,
            agents=self._crew.agents,
            now=_now,
            clock=time.monotonic,
            on_seen=self._seen,
        )
        tasks: list[asyncio.Task[None]] = []
        code = 0
        try:
            await asyncio.to_thread(spool.prepare, self._home.spool)
            await asyncio.to_thread((self._home.run / "mail").mkdir, 0o700, True, True)
            await self._reload(first=True)
            await runner.setup()
            door = await open_door(runner, self._home, env)
            parts: dict[str, Coroutine[Any, Any, None]] = {
                "mail": self._crew.watch_mail(self._home.run / "mail"),
                "watch": watch.run(),
                "roster": self._follow_roster(),
                "sweep": self._sweep(),
            }
            tasks = [asyncio.create_task(part, name=name) for name, part in parts.items()]
            tell_systemd(env, "READY=1")
            log.info("node runs", host=self._place.host, port=door.port, node_start=self._place.node_start)
            code = await self._wait(tasks, stop)
        except OSError as problem:
            print(f"The node cannot start: {problem}", file=sys.stderr)  # noqa: T201
            code = 1
        finally:
            tell_systemd(env, "STOPPING=1")
            await self._stop(tasks, runner)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        return code

    async def _wait(self, tasks: list[asyncio.Task[None]], stop: asyncio.Event) -> int:
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        broken = [task for task in tasks if task.done()]
        for task in broken:
            problem = None if task.cancelled() else task.exception()
            log.error("a part of the node ended", part=task.get_name(), problem=repr(problem))
        return 1 if broken else 0

    async def _stop(self, tasks: list[asyncio.Task[None]], runner: web.AppRunner) -> None:
        """Within five seconds: no new work, what is being typed is finished, then the rest."""
        for task in tasks:
            task.cancel()
        await self._crew.close(STOP_LIMIT_S - 1.0)
        await self._restarter.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()
        await asyncio.to_thread(self._home.node_socket.unlink, True)

    def _changed(self, agent: str) -> None:
        self._crew.wake(agent)

    async def _seen(self, agent: AgentDef, alive: bool | None) -> None:
        if self._supervise:
            await self._restarter.seen(agent, alive)

    # --- the roster --------------------------------------------------------------------------------------

    async def _follow_roster(self) -> None:
        while True:
            await asyncio.sleep(ROSTER_LOOK_S)
            await self._reload(first=False)

    async def _reload(self, *, first: bool) -> None:
        """Take over a changed roster. One that cannot be used is logged; what runs goes on as it was."""
        stamp = await asyncio.to_thread(_stamp, self._home.roster)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            roster = await asyncio.to_thread(current_roster, self._home)
        except RosterError as problem:
            log.error("the roster cannot be used; the last good one stays", problem=str(problem))
            return
        mine = [agent for agent in roster.agents if is_here(agent.host, self._place.host)]
        for agent in mine:
            if self._crew.agent(agent.name) is None:
                await self._tracks.load(agent.name)
                ran = self._tracks.get(agent.name).status not in {None, "ended"}
                if first and ran and not stopped_mark(self._home, agent.name):
                    self._restarter.expect(agent.name)
        for name in await self._crew.become(mine):
            self._tracks.forget(name)

    async def _sweep(self) -> None:
        while True:
            await asyncio.to_thread(sweep, self._home, _now())
            await asyncio.sleep(SWEEP_S)


async def _hold(path: Path) -> int | None:
    """The lock that says that a node lives, or None when another node has it."""
    for _ in range(LOCK_TRIES):
        held = try_lock(path)
        if held is not None:
            return held
        await asyncio.sleep(LOCK_PAUSE_S)
    return None


def _now() -> datetime:
    return datetime.now(UTC)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def _starter(home: Home) -> Start:
    async def start(agent: AgentDef) -> str | None:
        outcome = await start_agent(home, agent, by_person=False)
        return outcome.reason if isinstance(outcome, Failed) else None

    return start
