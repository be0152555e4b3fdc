"""The reader's side of heartbeat protocol v1: `fleet/run/<agent>.hb`. Reading never raises.

A heartbeat proves the launcher and its pane; it is never the life of the program.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from fleet.home import Home
from fleet.model import Health, Heartbeat

DEFAULT_INTERVAL_S = 15.0
STALE_FACTOR = 3
MAX_INTERVAL_S = 3600.0  # a file that claims more would look healthy for ever
_SIZE_LIMIT_BYTES = 4096
_STATUSES = frozenset({"ok", "busy"})


def own_interval_s(env: Mapping[str, str] | None = None) -> float:
    """`MOSAIC_HEARTBEAT_INTERVAL` in seconds; not a positive number: 15 (HB-02)."""
    return (
        _interval((os.environ if env is None else env).get("MOSAIC_HEARTBEAT_INTERVAL")) or DEFAULT_INTERVAL_S
    )


def parse(data: bytes, now: datetime, *, default_interval_s: float = DEFAULT_INTERVAL_S) -> Heartbeat:
    """Judge the bytes of a heartbeat file. Healthy up to three intervals (its own, else the default),
    then stale. Empty, binary, or cut before its status: unknown, with nothing else said."""
    try:
        text = data[:_SIZE_LIMIT_BYTES].decode("utf-8")
    except UnicodeDecodeError:
        return Heartbeat()
    if "\0" in text:
        return Heartbeat()
    lines = text.split("\n")
    fields: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if equals:
            fields.setdefault(key.strip(), value.strip())
    if lines[-1].startswith("interval="):
        fields.pop("interval", None)  # not ended by a newline: its digits may be cut
    ts = parse_time(fields.get("ts"))
    if ts is None or fields.get("status") not in _STATUSES:
        return Heartbeat()
    pid = fields.get("pid", "")
    read = Heartbeat(
        ts=ts,
        pid=int(pid) if pid.isascii() and pid.isdigit() and len(pid) < 10 else None,
        status=fields["status"],
        interval_s=_interval(fields.get("interval")),
        model=fields.get("model") or None,
        task=fields.get("task") or None,
        task_since=parse_time(fields.get("task_since")),
    )
    return aged(read, now, default_interval_s=default_interval_s)


def aged(read: Heartbeat, now: datetime, *, default_interval_s: float = DEFAULT_INTERVAL_S) -> Heartbeat:
    """The same heartbeat judged at ``now``; one in the future is as old as now."""
    if read.ts is None:
        return read
    age_s = max(0.0, (now - read.ts).total_seconds())
    fresh = age_s <= STALE_FACTOR * (read.interval_s or default_interval_s)
    return replace(read, age_s=age_s, health=Health.HEALTHY if fresh else Health.STALE)


def scan(
    home: Home, now: datetime, *, default_interval_s: float = DEFAULT_INTERVAL_S
) -> dict[str, Heartbeat]:
    """Every heartbeat of the run folder by agent name; a file that cannot be read is unknown."""
    found = read_folder(home.run, ".hb", _SIZE_LIMIT_BYTES)
    return {
        name: parse(data, now, default_interval_s=default_interval_s) if data is not None else Heartbeat()
        for name, data in found.items()
    }


def read_folder(folder: Path, suffix: str, limit_bytes: int) -> dict[str, bytes | None]:
    """The first bytes of each ``*suffix`` file by its stem; None for one that cannot be read."""
    found: dict[str, bytes | None] = {}
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(suffix)]
    except OSError:
        return found
    for name in names:
        if name.startswith("."):
            continue  # the temporary file of an atomic write
        try:
            fd = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            found[name.removesuffix(suffix)] = None
            continue
        try:
            found[name.removesuffix(suffix)] = os.read(fd, limit_bytes)
        except OSError:
            found[name.removesuffix(suffix)] = None
        finally:
            os.close(fd)
    return found


def parse_time(text: str | None) -> datetime | None:
    """An RFC 3339 time as aware UTC; None for anything else, also for a time without a zone."""
    if not text or len(text) < 20:
        return None
    try:
        when = datetime.fromisoformat(text)
        return when.astimezone(UTC) if when.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _interval(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and 0 < number <= MAX_INTERVAL_S else None
