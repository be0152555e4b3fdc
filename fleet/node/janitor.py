"""Old mail goes: what was settled long ago is kept only as long as somebody may put its id again."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime, timedelta
from pathlib import Path

from fleet.home import Home

KEEP = timedelta(days=14)


def sweep(home: Home, now: datetime) -> int:
    """Remove files of `cur/`, `dead/` and `tmp/` older than 14 days from all mailboxes and the spool; how
    many. What cannot be removed stays. Blocking."""
    oldest_s = (now - KEEP).timestamp()
    boxes = [home.spool]
    with contextlib.suppress(OSError):
        boxes += [Path(entry.path) for entry in os.scandir(home.run / "mail") if entry.is_dir()]
    return sum(_sweep(box / place, oldest_s) for box in boxes for place in ("cur", "dead", "tmp"))


def _sweep(folder: Path, oldest_s: float) -> int:
    removed = 0
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return 0
    for entry in entries:
        try:
            if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < oldest_s:
                Path(entry.path).unlink()
                removed += 1
        except OSError:
            continue
    return removed
