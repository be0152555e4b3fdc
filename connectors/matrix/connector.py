"""Matrix as a connector: sign-in, the loop that follows the rooms, and posting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import structlog

from connectors.matrix import content as build
from connectors.matrix.outcome import judge
from connectors.matrix.rooms import Membership
from connectors.matrix.session import SessionStore, SignIn
from connectors.matrix.sync import Refused, sync_once
from connectors.matrix.wire import Reply, Unreachable, Wire, room_path
from connectors.protocol import (
    Batch,
    Capabilities,
    Content,
    LinkState,
    Outcome,
    RemoteFile,
    StartError,
    Status,
    Target,
    Unavailable,
)

log = structlog.get_logger("matrix")

T = TypeVar("T")
QUIET_S = 30.0  # a position that stands behind no event is handed on at most this often
TYPING_MS = 30_000
YOUNG_OUTAGE_TRIES = 60


def backoff_s(failures: int, *, refused: bool) -> float:
    """Seconds before the next try, after ``failures`` (from 1 on).

    An unreachable server is asked every 2 s while the outage is young, so that people are answered soon after
    a restart; a server that refuses, or stays away, every 30 s.
    """
    cap = 30.0 if refused or failures > YOUNG_OUTAGE_TRIES else 2.0
    return float(min(cap, 0.25 * 2 ** min(failures - 1, 10)))


class _Stopping(Exception):
    """``stop`` was called while something was waited for."""


class MatrixConnector:
    """One account on one homeserver. ``rooms`` are joined; other rooms only on an allowed id's invite.

    ``store`` holds the sign-in (token and device id). A dead token is replaced with ``password``; without one
    the connector stops and says so.
    """

    name = "matrix"
    capabilities = Capabilities(html=True, message_limit=14_000)

    def __init__(
        self,
        homeserver: str,
        user_id: str,
        password: str | None,
        token: str | None,
        store: Path,
        rooms: frozenset[str] = frozenset(),
        allowed_inviters: frozenset[str] = frozenset(),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._wire = Wire(homeserver, user_id)
        self._members = Membership(self._wire, rooms, allowed_inviters)
        self._sign_in = SignIn(self._wire, user_id, password, token, SessionStore(store))
        self._me = user_id
        self._clock = clock
        self._sleep = sleep
        self._status = Status(LinkState.CONNECTING, clock())
        self._signed_in = False
        self._joined = False
        self._cursor: str | None = None
        self._lock: asyncio.Lock | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def me(self) -> str:
        return self._me

    @property
    def status(self) -> Status:
        return self._status

    def _is(self, state: LinkState, detail: str = "") -> None:
        old = self._status
        if (old.state, old.detail) == (state, detail):
            return
        since = old.since if old.state is state else self._clock()
        self._status = Status(state, since, detail)
        log.info("link", state=state.value, detail=detail)

    async def probe(self) -> str | None:
        """Before :meth:`start`: None when the sign-in works, else what is wrong and the mend.

        The caller says it; the status is left alone, so that it is said once.
        """
        try:
            self._me = (await self._sign_in.ensure()).user_id
        except StartError as problem:
            return str(problem)
        except Unreachable as problem:
            return (
                f"Matrix does not work: {problem}. Check connectors.matrix.homeserver, "
                "and that the homeserver runs and can be reached from here."
            )
        self._signed_in = True
        return None

    async def start(self, cursor: str | None) -> None:
        """Sign in, join, and mark the position from which on events count.

        A homeserver that is away is no StartError: the connector is DOWN then, and :meth:`events` tries on.
        """
        self._cursor = cursor or None
        self._stopping = asyncio.Event()
        try:
            await self._ensure_signed_in()
            await self._ensure_joined()
            if self._cursor is None:
                self._cursor = (await sync_once(self._wire, self._members, self._me, None)).cursor
        except (Unreachable, Refused) as problem:
            self._is(LinkState.DOWN, str(problem))
            return
        self._is(LinkState.UP, self._members.trouble())

    async def stop(self) -> None:
        """End :meth:`events` and disconnect."""
        if self._stopping is not None:
            self._stopping.set()
        await self._wire.close()

    async def events(self) -> AsyncIterator[Batch]:
        """Batches for ever; ends after :meth:`stop`, or STOPPED when only a person can mend the sign-in."""
        failures = 0
        quiet_since: datetime | None = None
        if self._cursor is not None:
            yield Batch((), self._cursor)
        while True:
            try:
                batch = await self._unless_stopping(self._step())
            except _Stopping:
                return
            except StartError:
                return  # the status says why
            except (Unreachable, Refused) as problem:
                failures += 1
                if not await self._wait_after(problem, failures):
                    return
                continue
            failures = 0
            self._is(LinkState.UP, self._members.trouble())
            now = self._clock()
            moved = batch.cursor != self._cursor
            if batch.events or (
                moved and (quiet_since is None or now - quiet_since >= timedelta(seconds=QUIET_S))
            ):
                yield batch
                quiet_since = now
            self._cursor = batch.cursor

    async def _step(self) -> Batch:
        await self._ensure_signed_in()
        await self._ensure_joined()
        batch = await sync_once(self._wire, self._members, self._me, self._cursor)
        if not batch.events and batch.cursor == self._cursor:
            await self._sleep(0.1)  # a server that does not hold an idle sync must not be asked without pause
        return batch

    async def _wait_after(self, problem: Unreachable | Refused, failures: int) -> bool:
        """Say what is wrong and wait before the next try; False when stopped meanwhile."""
        wait = backoff_s(failures, refused=isinstance(problem, Refused))
        if isinstance(problem, Refused):
            if problem.reply.token_is_dead:
                self._signed_in = False
                wait = 0.0 if failures == 1 else wait
            elif problem.reply.status == 400 and self._cursor is not None:
                # The server does not know the position (it was set up anew): asking again cannot help.
                log.warning("position refused, going on from now", reason=str(problem))
                self._cursor = None
            wait = problem.reply.retry_after_s or wait
        self._is(LinkState.DOWN, str(problem))
        self._joined = False
        try:
            await self._unless_stopping(self._pause(wait))
        except _Stopping:
            return False
        return True

    async def _pause(self, seconds: float) -> None:
        await self._sleep(seconds)

    async def _ensure_signed_in(self) -> None:
        """Raises StartError (and is STOPPED then) or Unreachable."""
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            if self._signed_in:
                return
            try:
                self._me = (await self._sign_in.ensure()).user_id
            except StartError as problem:
                self._is(LinkState.STOPPED, str(problem))
                raise
            self._signed_in = True

    async def _ensure_joined(self) -> None:
        if not self._joined:
            await self._members.join_configured()
            self._joined = True

    async def _unless_stopping(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``; raises _Stopping (and cancels it) when :meth:`stop` comes first."""
        if self._stopping is None:
            self._stopping = asyncio.Event()
        task = asyncio.create_task(work, name="matrix work")
        stopped = asyncio.create_task(self._stopping.wait(), name="matrix stop")
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and not stopped.done():
                return task.result()
            raise _Stopping
        finally:
            for each in (task, stopped):
                each.cancel()
            await asyncio.wait({task, stopped}, timeout=3)
            if not task.cancelled() and task.done():
                task.exception()  # looked at, so that it is not reported as forgotten

    async def _ask(self, request: Callable[[], Awaitable[Reply]]) -> Reply:
        """A request as a signed-in user; a dead token is replaced once. Raises StartError, Unreachable."""
        await self._ensure_signed_in()
        token = self._wire.token
        reply = await request()
        if reply.token_is_dead:
            if self._wire.token == token:
                self._signed_in = False
            await self._ensure_signed_in()
            reply = await request()
        return reply

    async def _put(self, path: str, body: Mapping[str, Any]) -> Outcome:
        try:
            return judge(await self._ask(lambda: self._wire.call("PUT", path, body)))
        except (StartError, Unreachable) as problem:
            return Unavailable(str(problem))

    async def send(self, target: Target, content: Content, txn: str) -> Outcome:
        body = build.message(target, content)
        return await self._put(room_path(target.room, "send", "m.room.message", txn), body)

    async def edit(self, target: Target, ref: str, content: Content, txn: str) -> Outcome:
        return await self._put(
            room_path(target.room, "send", "m.room.message", txn), build.edit(ref, content)
        )

    async def react(self, target: Target, ref: str, emoji: str, txn: str) -> Outcome:
        return await self._put(room_path(target.room, "send", "m.reaction", txn), build.reaction(ref, emoji))

    async def redact(self, target: Target, ref: str, txn: str) -> Outcome:
        return await self._put(room_path(target.room, "redact", ref, txn), {})

    async def upload(self, target: Target, content: Content, txn: str) -> Outcome:
        """Store the file, then post it: only the post shows, and that once per transaction."""
        file = content.file
        if file is None:
            return await self.send(target, content, txn)
        data = await asyncio.to_thread(file.path.read_bytes)
        try:
            stored = await self._ask(lambda: self._wire.upload(data, file.name, file.mime))
        except (StartError, Unreachable) as problem:
            return Unavailable(str(problem))
        if not stored.ok:
            return judge(stored)
        body = build.media(target, content, str(stored.body.get("content_uri", "")), data)
        return await self._put(room_path(target.room, "send", "m.room.message", txn), body)

    async def typing(self, room: str, on: bool) -> None:
        """A sign of life; when it cannot be given nothing else suffers."""
        body = {"typing": True, "timeout": TYPING_MS} if on else {"typing": False}
        outcome = await self._put(f"{room_path(room, 'typing')}/{quote(self._me, safe='')}", body)
        log.debug("typing", room=room, on=on, outcome=type(outcome).__name__)

    async def download(self, file: RemoteFile, to: Path, limit_bytes: int) -> bool:
        server, _, media = file.ref.removeprefix("mxc://").partition("/")
        if not server or not media or (file.size_bytes or 0) > limit_bytes:
            return False
        try:
            await self._ensure_signed_in()
            return await self._wire.download(server, media, to, limit_bytes)
        except (StartError, Unreachable) as problem:
            log.warning("file not fetched", ref=file.ref, reason=str(problem))
            return False
