"""What this machine must have before a fleet can run here, said in one paragraph."""

from __future__ import annotations

import shutil


def lacking() -> str | None:
    """What is missing and its mend, or None. Looks at PATH alone: no process is started for it."""
    if shutil.which("tmux") is None:
        return "tmux is not installed, so no fleet can run. Install the package tmux, 3.3 or later."
    return None
