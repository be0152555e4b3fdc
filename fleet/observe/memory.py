"""What a failed reading leaves of an earlier good one. Pure.

One failed read is no verdict: the last good listing stays, with its age. A socket that failed three times
over at least 15 seconds is unreachable; it is never dead, because that needs positive evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from fleet.host.panes import Listing
from fleet.observe.sources import Seen, SocketRead, Sources

FAILS = 3
FAILS_OVER_S = 15.0

Fails = dict[str, tuple[int, datetime]]  # per source: how many in a row, and when the first was
_UNITS = "systemd"


def remember(before: Sources | None, fresh: Sources, fails: Fails) -> tuple[Sources, Fails]:
    """The sources to judge by: fresh where the reading succeeded, else the last good one."""
    count: Fails = {}
    sockets: dict[str, SocketRead] = {}
    runtimes = dict(fresh.runtimes)
    for socket, read in fresh.sockets.items():
        old = before.sockets.get(socket) if before else None
        if read.listing.state is not Listing.FAILED:
            sockets[socket] = read
            continue
        key = f"tmux {socket}"
        count[key] = _more(fails, key, fresh.at)
        lost = _lost(count[key], fresh.at)
        if old is None or old.listing.state is Listing.FAILED:
            sockets[socket] = replace(read, unreachable=lost)
            continue
        sockets[socket] = replace(old, problem=read.problem, unreachable=lost)
        runtimes |= _of_socket(old, before.runtimes if before else {})
    units = fresh.units
    if units is None and before is not None and before.units is not None:
        count[_UNITS] = _more(fails, _UNITS, fresh.at)
        units = None if _lost(count[_UNITS], fresh.at) else before.units
    return replace(fresh, sockets=sockets, runtimes=runtimes, units=units), count


def _more(fails: Fails, key: str, now: datetime) -> tuple[int, datetime]:
    times, since = fails.get(key, (0, now))
    return times + 1, since


def _lost(count: tuple[int, datetime], now: datetime) -> bool:
    times, since = count
    return times >= FAILS and (now - since).total_seconds() >= FAILS_OVER_S


def _of_socket(read: SocketRead, runtimes: Mapping[int, Seen]) -> dict[int, Seen]:
    return {pane.pid: runtimes[pane.pid] for pane in read.listing.panes if pane.pid in runtimes}
