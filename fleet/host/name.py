"""What this host is called in labels like `host:session`."""

from __future__ import annotations

import socket


def this_host() -> str:
    """The short host name, as `hostname -s` gives it."""
    return socket.gethostname().split(".", 1)[0] or "localhost"


def is_here(named: str | None, here: str) -> bool:
    """Whether a roster's ``host`` means this host: absent, our name in its short or long form, localhost."""
    return named is None or named == "localhost" or named == here or named == socket.gethostname()
