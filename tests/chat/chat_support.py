"""What the chat tests share beside their fixtures."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Awaitable, Callable

from bot.homeserver import Homeserver
from demo.matrix_client import MatrixClient

PASSWORD = "correct horse"

Person = Callable[[str], Awaitable[MatrixClient]]
_numbers = itertools.count(1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def new_account(server: Homeserver, name: str) -> str:
    """An account nobody used before; returns its id. The password is PASSWORD."""
    return await server.register(f"{name}{next(_numbers)}", PASSWORD)
