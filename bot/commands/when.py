"""Times and ages in words. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta


def age(delta: timedelta) -> str:
    """`14 s`, `6 min`, `2 h 5 min`, `3 d`."""
    seconds = max(0, int(delta.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d"


def local(when: datetime | None) -> str:
    """In this machine's zone, named; `-` for none."""
    return "-" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def seconds_of(text: str) -> float | None:
    """`90s`, `30m`, `1h`, `2d`; None for anything else."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    number, unit = text[:-1], text[-1:].lower()
    if unit not in units or not number.isascii() or not number.isdigit():
        return None
    return float(int(number) * units[unit])
