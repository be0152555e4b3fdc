"""The bot's Unix socket (0600): register commands of the terminal, and the local chat surface.

The first line of a connection says which: ``{"op": "run", "argv": […]}`` is answered with one line,
``{"op": "chat"}`` hands the connection to the local connector. Only the bot's own uid is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from bot.render.wire import encode_document

if TYPE_CHECKING:
    from bot.document import Document

log = structlog.get_logger("socket")

FIRST_LINE_LIMIT_S = 10.0
RUN_LIMIT_S = 120.0
LINE_LIMIT = 4 * 1024 * 1024  # bytes of one line

RunCommand = Callable[[list[str], str, int], Awaitable["Document"]]
Attach = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str], Awaitable[None]]


class BotSocket:
    """``run`` gets (argv, user, peer pid), ``attach`` a chat connection; None where the surface is off."""

    def __init__(self, path: Path, *, run: RunCommand, attach: Attach | None) -> None:
        self._path = path
        self._run = run
        self._attach = attach
        self._server: asyncio.AbstractServer | None = None
        self._open: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen. A socket file that an earlier run left is replaced (the register lock is ours by now)."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.unlink(missing_ok=True)
        old = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=LINE_LIMIT)
        finally:
            os.umask(old)

    async def stop(self) -> None:
        """Stop listening, end every connection, remove the file."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._open):
            task.cancel()
        if self._open:
            await asyncio.wait(self._open, timeout=2)
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
        try:
            pid, uid = _peer(writer)
            if uid != os.getuid():
                return
            line = await asyncio.wait_for(reader.readline(), FIRST_LINE_LIMIT_S)
            request = orjson.loads(line) if line.strip() else {}
            user = pwd.getpwuid(uid).pw_name
            if request.get("op") == "run":
                argv = [str(word) for word in request.get("argv") or ()]
                document = await asyncio.wait_for(self._run(argv, user, pid), RUN_LIMIT_S)
                writer.write(
                    orjson.dumps({"document": encode_document(document), "exit_code": document.exit_code})
                    + b"\n"
                )
                await writer.drain()
            elif request.get("op") == "chat" and self._attach is not None:
                await self._attach(reader, writer, user)
            else:
                told = (
                    "the local surface is off (connectors.local.enabled)"
                    if request.get("op") == "chat"
                    else "unknown op"
                )
                writer.write(orjson.dumps({"error": told}) + b"\n")
                await writer.drain()
        except (orjson.JSONDecodeError, TimeoutError, ConnectionError, ValueError) as problem:
            log.info("connection ended", reason=str(problem))
        finally:
            if task is not None:
                self._open.discard(task)
            with contextlib.suppress(ConnectionError, OSError):
                writer.close()
                await writer.wait_closed()


def _peer(writer: asyncio.StreamWriter) -> tuple[int, int]:
    """(pid, uid) of the other end, as the kernel knows them."""
    sock: socket.socket = writer.get_extra_info("socket")
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", raw)
    return pid, uid
