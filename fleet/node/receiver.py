"""The event door: POST /v1/events on loopback and on the node's Unix socket.

An event is a claim about its own agent only. Where the sender's process can be known it must be in that
agent's pane; where it cannot, the event counts but is marked unverified.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Literal

import structlog
from aiohttp import web
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from fleet.home import Home
from fleet.host.panes import Listing
from fleet.host.procs import ancestry, read_process
from fleet.messages.redact import redact
from fleet.model import AgentDef
from fleet.node.events import Event, EventKind
from fleet.node.panes import Panes
from fleet.node.tracks import Tracks
from fleet.node.turns import tokens_in
from fleet.runtimes.registry import adapter_for

log = structlog.get_logger("receiver")

BODY_LIMIT_BYTES = 4 * 1024 * 1024
TAIL_BYTES = 256 * 1024  # of a transcript, when a turn's beginning was missed
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


class EventBody(BaseModel):
    """The body of an event; keys that are not ours are left aside."""

    v: Literal[1]
    agent: str = Field(min_length=1, max_length=64)
    event: EventKind
    runtime: str | None = Field(None, max_length=64)
    session_id: str | None = Field(None, max_length=256)
    turn_id: str | None = Field(None, max_length=256)
    pid: int | None = Field(None, gt=0)
    ts: AwareDatetime | None = None
    text: str | None = None
    last_message: str | None = None
    reason: str | None = Field(None, max_length=2000)
    question: str | None = Field(None, max_length=256)
    options: list[str] | None = Field(None, max_length=20)
    task: str | None = Field(None, max_length=256)
    model: str | None = Field(None, max_length=256)


class Receiver:
    """``agents`` gives the present roster entry of a name on this host, or None."""

    def __init__(
        self,
        home: Home,
        tracks: Tracks,
        panes: Panes,
        *,
        agents: Callable[[str], AgentDef | None],
        now: Callable[[], datetime],
    ) -> None:
        self._home = home
        self._tracks = tracks
        self._panes = panes
        self._agents = agents
        self._now = now
        self._known: dict[tuple[str, int], int] = {}  # (agent, pid) → start ticks of a checked process

    def app(self) -> web.Application:
        """The aiohttp application for both listeners."""
        app = web.Application(client_max_size=BODY_LIMIT_BYTES, middlewares=[_only_local])
        app.router.add_post("/v1/events", self._post)
        app.router.add_get("/v1/health", self._health)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"v": 1, "node_start": self._tracks.place.node_start})

    async def _post(self, request: web.Request) -> web.Response:
        try:
            body = EventBody.model_validate_json(await request.read())
        except web.HTTPRequestEntityTooLarge:
            return _refuse(413, f"the event is larger than {BODY_LIMIT_BYTES} bytes; nothing was taken")
        except ValidationError as problem:
            first = problem.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the body"
            return _refuse(400, f"{where}: {first['msg']}; see `POST /v1/events` in the docs for the format")
        agent = self._agents(body.agent)
        if agent is None:
            return _refuse(
                404, f"no agent {body.agent!r} on this host; add it to the roster, or fix the name"
            )
        verified = await self._from_its_pane(agent, body.pid, _peer_pid(request))
        if verified is False:
            log.warning("foreign event", agent=agent.name, pid=body.pid, kind=body.event.value)
            return _refuse(
                403, f"process {body.pid} is not in the pane of {agent.name}; an agent reports on itself"
            )
        try:
            await self._take(agent, body, verified=verified is True)
        except OSError as problem:
            log.error("event not kept", agent=agent.name, problem=str(problem))
            return _refuse(503, f"the event could not be kept ({problem}); try again")
        return web.json_response({"ok": True, "verified": verified is True})

    async def _take(self, agent: AgentDef, body: EventBody, *, verified: bool) -> None:
        event = Event(
            agent=agent.name,
            kind=body.event,
            ts=(body.ts or self._now()).astimezone(UTC),
            runtime=body.runtime,
            session_id=body.session_id,
            turn_id=body.turn_id,
            pid=body.pid,
            text=body.text,
            last_message=body.last_message,
            reason=body.reason,
            question=body.question,
            options=tuple(body.options or ()),
            task=body.task,
            model=body.model,
            source="event" if verified else "unverified",
        )
        screen = await self._screen(agent) if event.kind is EventKind.BLOCKED else None
        tokens = await self._missed(agent, event) if event.kind is EventKind.TURN_ENDED else ()
        await self._tracks.take(event, screen=screen, tokens=tokens)

    async def _missed(self, agent: AgentDef, event: Event) -> tuple[str, ...]:
        """Whose turn it was, from the transcript, when its beginning never reached us."""
        track = self._tracks.get(agent.name)
        if event.turn_id is None or (
            track.turn_open and track.state is not None and track.state.turn_id == event.turn_id
        ):
            return ()
        runtime = adapter_for(agent)
        end = await asyncio.to_thread(runtime.transcript_end, self._home, agent.name)
        if not end:
            return ()
        start = max(0, end - TAIL_BYTES)
        taken = await asyncio.to_thread(runtime.submitted_since, self._home, agent.name, start)
        return tuple(token for one in taken if one.turn_id == event.turn_id for token in tokens_in(one.text))

    async def _screen(self, agent: AgentDef) -> str | None:
        listing = await self._panes.fresh(agent.socket)
        pane = listing.of_session(agent.name)
        text = await self._panes.tmux(agent.socket).capture(pane.pane_id) if pane else None
        return None if text is None else redact(text).strip("\n")

    async def _from_its_pane(self, agent: AgentDef, claimed: int | None, peer: int | None) -> bool | None:
        """Whether the sender is below the agent's pane; None when that cannot be known."""
        pid = peer or claimed
        if pid is None:
            return None
        process = await asyncio.to_thread(read_process, pid)
        if process is None:
            return None
        if self._known.get((agent.name, pid)) == process.start_ticks:
            return True
        listing = await self._panes.fresh(agent.socket)
        pane = listing.of_session(agent.name)
        if listing.state is not Listing.OK or pane is None:
            return None
        chain = await asyncio.to_thread(ancestry, pid)
        if chain is None:
            return None
        inside = any(one.pid == pane.pid for one in chain)
        if inside:
            self._known = {key: v for key, v in self._known.items() if key[0] != agent.name}
            self._known[agent.name, pid] = process.start_ticks
        return inside


@web.middleware
async def _only_local(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A web page that resolves its own name to 127.0.0.1 must not reach us: the Host must be loopback."""
    transport = request.transport
    unix = transport is not None and transport.get_extra_info("socket").family == socket.AF_UNIX
    host = request.headers.get("Host", "").rsplit(":", 1)[0]
    if not unix and host not in _LOOPBACK:
        return _refuse(403, f"Host {host!r} is not this machine's loopback")
    if request.headers.get("Origin"):
        return _refuse(403, "calls from web pages are not taken")
    return await handler(request)


def _refuse(status: int, text: str) -> web.Response:
    return web.json_response({"ok": False, "error": text}, status=status)


def _peer_pid(request: web.Request) -> int | None:
    """The process at the other end of a Unix socket; over TCP nobody can tell."""
    transport = request.transport
    line = transport.get_extra_info("socket") if transport else None
    if line is None or line.family != socket.AF_UNIX:
        return None
    data = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", data)[0]
    return pid or None
