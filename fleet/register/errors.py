"""What can go wrong with the register as a whole, in words for the person who runs it."""

from __future__ import annotations


class RegisterError(Exception):
    """The register cannot be used, or a write was not committed. The text says what, where and the mend."""


class AlreadyRunning(Exception):
    """Another process holds the register. ``pid`` is what it wrote into the lock file, None if unreadable."""

    def __init__(self, pid: int | None) -> None:
        self.pid = pid
        who = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"The register of this home is in use by {who}. Stop that one first.")
