"""The checked roster as plain JSON beside the run files, so that a short call need not check it again.

Good for exactly the bytes it was made from (SHA-256), this layout and this Unix user; anything else is no
cache. It is never the truth: deleting it costs one slower call.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fleet.files import write_atomic
from fleet.home import Home
from fleet.model import AgentDef, Lifecycle, Roster
from fleet.roster.file import read_roster_bytes, unix_user

LAYOUT = 1


def cache_path(home: Home) -> Path:
    return home.run / "roster.cache.json"


def load_cached(home: Home) -> Roster | None:
    """The roster from the cache, or None when the file changed, is missing, or the cache is not good."""
    try:
        data = home.roster.read_bytes()
        return _decode(cache_path(home).read_bytes(), data)
    except OSError:
        return None


def current_roster(home: Home) -> Roster:
    """The roster of this home: from the cache while unchanged, else checked anew and cached.

    Raises RosterError. A cache that cannot be written is no error.
    """
    data = read_roster_bytes(home.roster)
    try:
        cached = _decode(cache_path(home).read_bytes(), data)
    except OSError:
        cached = None
    if cached is not None:
        return cached
    from fleet.roster.load import parse_roster  # pydantic and yaml, only when the file changed

    roster = parse_roster(data, home.roster)
    with contextlib.suppress(OSError):  # a read-only home still has a roster
        write_atomic(cache_path(home), encode(roster, data))
    return roster


def encode(roster: Roster, data: bytes) -> bytes:
    """The cache file for the roster that ``data`` gave."""
    body = {"layout": LAYOUT, "key": _key(data), "user": unix_user(), "roster": asdict(roster)}
    return json.dumps(body, ensure_ascii=False).encode()


def _decode(cached: bytes, data: bytes) -> Roster | None:
    try:
        body = json.loads(cached)
        if (body["layout"], body["key"], body["user"]) != (LAYOUT, _key(data), unix_user()):
            return None
        return _roster(body["roster"])
    except (ValueError, KeyError, TypeError):
        return None


def _roster(body: dict[str, Any]) -> Roster:
    agents = tuple(
        AgentDef(**(item | {"lifecycle": Lifecycle(item["lifecycle"])})) for item in body["agents"]
    )
    return Roster(**(body | {"agents": agents, "notes": tuple(body["notes"])}))


def _key(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
