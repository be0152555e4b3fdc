"""One bot per home: the flock on `bot/register.lock`, with the holder's pid in the file."""

from __future__ import annotations

import os

from fleet.files import try_lock
from fleet.home import Home
from fleet.register.errors import AlreadyRunning

__all__ = ["AlreadyRunning", "take_register_lock"]


def take_register_lock(home: Home) -> int:
    """The open descriptor that holds the lock (it ends with the process or ``os.close``).

    Raises AlreadyRunning when another process holds it, OSError when the file cannot be made.
    """
    fd = try_lock(home.register_lock)
    if fd is None:
        raise AlreadyRunning(_pid_in(home))
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def _pid_in(home: Home) -> int | None:
    try:
        return int(home.register_lock.read_text().strip())
    except (OSError, ValueError):
        return None
