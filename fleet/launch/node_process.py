"""The node of a home without systemd: started where none lives, watched by whoever needs it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from fleet.files import is_locked
from fleet.home import Home

READY_LIMIT_S = 15.0
LOOK_S = 2.0
LONGEST_WAIT_S = 60.0


def lives(home: Home) -> bool:
    """A node lives while it holds its lock (06-interfaces)."""
    return is_locked(home.node_lock)


async def ensure_node(home: Home, *, env: Mapping[str, str] | None = None) -> str | None:
    """Start a node in a session of its own unless one lives. None when one lives then, else why not.

    It outlives the caller; its output goes to `fleet/run/node.log`.
    """
    if await asyncio.to_thread(lives, home):
        return None
    program = Path(sys.executable).with_name("mosaic")
    environ = {**(os.environ if env is None else env), "MOSAIC_HOME": str(home.root)}
    home.run.mkdir(parents=True, exist_ok=True)
    log = home.run / "node.log"
    try:
        with log.open("ab") as output:
            child = await asyncio.create_subprocess_exec(
                str(program),
                "node",
                env=environ,
                cwd=home.root,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
    except OSError as problem:
        return f"{program} does not start: {problem}"
    for _ in range(int(READY_LIMIT_S / 0.1)):
        if await asyncio.to_thread(lives, home):
            return None
        if child.returncode is not None:
            break
        await asyncio.sleep(0.1)
    return f"the node did not come up; its last words are in {log}"


async def watch_node(
    home: Home,
    tell: Callable[[str], None],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Until cancelled: start the node again when it is gone. ``tell`` gets a line for each time.

    A node that does not come up is tried at growing intervals, at most a minute apart.
    """
    wait_s = LOOK_S
    while True:
        if not await asyncio.to_thread(lives, home):
            problem = await ensure_node(home)
            tell(f"node started: {home.root}" if problem is None else problem)
            wait_s = LOOK_S if problem is None else min(LONGEST_WAIT_S, wait_s * 2)
        await sleep(wait_s)
