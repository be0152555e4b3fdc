"""The roster as the running bot knows it: loaded again when the file changes, the last good one kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from fleet.model import Roster
from fleet.roster.load import RosterError, load_roster

log = structlog.get_logger("roster")


class RosterSource:
    """``problem`` holds the text of the last load that failed, None when the file is good."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._roster: Roster | None = None
        self.problem: str | None = None

    async def get(self) -> Roster:
        """The roster now. Raises RosterError only while there never was a good one."""
        return await asyncio.to_thread(self._get)

    def _get(self) -> Roster:
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_ino)
        except OSError:
            seen = None
        if self._roster is not None and seen == self._seen:
            return self._roster
        try:
            self._roster = load_roster(self._path)
            self.problem = None
        except RosterError as problem:
            self.problem = str(problem)
            if self._roster is None:
                raise
            if seen != self._seen:
                log.warning("roster not loaded, the last good one is kept", problem=self.problem)
        self._seen = seen
        return self._roster

    @property
    def latest(self) -> Roster:
        """The last good one; empty before the first load."""
        return self._roster or Roster(agents=(), tenant_id="")
