"""Audit lines of acts that a terminal did while no bot was there: `run/audit.d/<day>.jsonl`.

One appended line per act, whole or not at all; the bot takes them at its start and chains them, marked late.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleet.home import Home

FOLDER = "audit.d"
FIELD_LIMIT = 1000  # characters; a line stays below what one write(2) appends undivided


def append_line(home: Home, at: datetime, **fields: Any) -> None:
    """Add one line. Raises OSError for a disk that does not take it."""
    folder = home.run / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    short = {k: v[:FIELD_LIMIT] if isinstance(v, str) else v for k, v in fields.items()}
    line = json.dumps({"at": at.astimezone(UTC).isoformat(), **short}) + "\n"
    day = folder / f"{at.astimezone(UTC):%Y%m%d}.jsonl"
    fd = os.open(day, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


def take_files(home: Home) -> list[Path]:
    """Set aside what lies there, so that later lines go to new files; oldest first. Remove each when its
    lines are chained. Files that an earlier start set aside and did not finish come again."""
    folder = home.run / FOLDER
    for path in sorted(folder.glob("*.jsonl")):
        path.replace(path.with_name(f"{path.stem}-{path.stat().st_mtime_ns}.taken"))
    return sorted(folder.glob("*.taken"))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of one file; a torn line (power loss) is left out."""
    found = []
    for line in path.read_text("utf-8", "replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            found.append(record)
    return found
