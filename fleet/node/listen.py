"""The node's two listeners: a loopback port and a Unix socket, both written to `fleet/node.json`."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from fleet.files import write_atomic
from fleet.home import Home

FIRST_PASSED_FD = 3  # systemd's protocol of socket activation


@dataclass(frozen=True, slots=True)
class Door:
    port: int
    socket: str


def known_port(home: Home) -> int:
    """The port of an earlier start, 0 when there is none: hook settings were made from it."""
    try:
        port = json.loads(home.node_json.read_bytes())["port"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return port if isinstance(port, int) and 0 < port < 65536 else 0


def passed_sockets(env: Mapping[str, str]) -> list[socket.socket]:
    """Listening sockets that systemd handed over; empty otherwise."""
    if env.get("LISTEN_PID") != str(os.getpid()) or not env.get("LISTEN_FDS", "").isdigit():
        return []
    found = []
    for number in range(FIRST_PASSED_FD, FIRST_PASSED_FD + int(env["LISTEN_FDS"])):
        os.set_inheritable(number, False)
        found.append(socket.socket(fileno=number))
    return found


async def open_door(runner: web.AppRunner, home: Home, env: Mapping[str, str]) -> Door:
    """Listen and write `node.json`. The port of an earlier start is taken again.

    Raises OSError, in words, when it cannot be bound.
    """
    port: int | None = None
    path: str | None = None
    for given in passed_sockets(env):
        await web.SockSite(runner, given).start()
        if given.family == socket.AF_UNIX:
            path = given.getsockname()
        else:
            port = given.getsockname()[1]
    port = port if port is not None else await _tcp(runner, home)
    path = path if path is not None else await _unix(runner, home.node_socket)
    write_atomic(home.node_json, json.dumps({"port": port, "socket": path}).encode() + b"\n")
    return Door(port, path)


async def _tcp(runner: web.AppRunner, home: Home) -> int:
    """The home's own port, picked once: running programs report there, so it is never changed silently."""
    wanted = known_port(home)
    line = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        line.bind(("127.0.0.1", wanted))
    except OSError as problem:
        line.close()
        if wanted == 0:
            raise
        raise OSError(
            f"its port 127.0.0.1:{wanted} is in use ({problem.strerror}). End the program that has it; "
            f"or remove {home.node_json}, so that another port is picked, and restart the agents after it."
        ) from problem
    await web.SockSite(runner, line).start()
    port: int = line.getsockname()[1]
    return port


async def _unix(runner: web.AppRunner, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)  # left by an earlier run: node.lock is ours by now
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(before)
    return str(path)
