"""The demo's processes: started each in a session of its own, found by their mark, ended by pid.

The mark stands in a process's environment, where all that it starts inherits it. So a run whose demo was
killed can be cleared away by the next one, and nothing is ever ended by name. A node or bot that a person
started anew for the demo's home carries no mark; it is known by the lock that it holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from demo.layout import MARK, PROJECT, Layout
from fleet.files import is_locked

POLL_S = 0.05


class DemoError(Exception):
    """The demo cannot go on: what happened, where, the mend."""


def marked(layout: Layout) -> dict[int, int]:
    """Every living process of this folder: pid → pidfd (the caller closes them).

    Those that carry its mark, and what somebody else started for its home: a node, a bot, an agent. A
    person's shell that merely names the home is not one. A process that only waits to be reaped is not
    living; this process itself is left out.
    """
    served = _served_by(layout)
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        pid = int(entry.name)
        with contextlib.suppress(OSError):
            # The descriptor first: it names this very process, whoever has the number later.
            fd = os.pidfd_open(pid)
            try:
                mine = pid in served or _is_ours(layout, (entry / "environ").read_bytes().split(b"\0"))
            except OSError:
                mine = False
            if mine:
                found[pid] = fd
            else:
                os.close(fd)
    return found


def _is_ours(layout: Layout, environ: list[bytes]) -> bool:
    if os.fsencode(f"{MARK}={layout.root}") in environ:
        return True
    at_home = os.fsencode(f"MOSAIC_HOME={layout.home.root}") in environ
    return at_home and any(one.startswith(b"MOSAIC_AGENT_NAME=") for one in environ)


def _served_by(layout: Layout) -> set[int]:
    """Who holds the locks of the home: its node and its bot, whoever started them."""
    found = set()
    for path in (layout.home.node_lock, layout.home.register_lock):
        with contextlib.suppress(OSError, ValueError):
            if is_locked(path):
                found.add(int(path.read_text()))
    return found


def end_marked(layout: Layout, limit_s: float = 6.0) -> list[int]:
    """Ask every marked process to end, then end what is still there; the pids that were found at first.

    Blocks up to ``limit_s`` twice. Repeats until none is left, because an ending program may start another.
    """
    first = marked(layout)
    fds, pids = first, list(first)
    until = time.monotonic() + limit_s
    number = signal.SIGTERM
    while fds:
        for fd in fds.values():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, number)
        wait_until = time.monotonic() + 1.0
        while time.monotonic() < wait_until and any(_lives(pid) for pid in fds):
            time.sleep(POLL_S)
        for fd in fds.values():
            os.close(fd)
        if time.monotonic() > until:
            number = signal.SIGKILL
        fds = marked(layout)
        if time.monotonic() > until + limit_s:
            for fd in fds.values():
                os.close(fd)
            raise DemoError(
                f"These processes of {layout.root} do not end: {', '.join(map(str, fds))}. End them yourself."
            )
    return pids


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Programs:
    """Starts long-running programs with their output in a log file each, and runs short ones."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._running: dict[str, asyncio.subprocess.Process] = {}

    @property
    def pids(self) -> dict[str, int]:
        return {name: child.pid for name, child in self._running.items()}

    async def start(self, name: str, argv: Sequence[str]) -> int:
        """Start it in a session of its own; its pid."""
        with (self._layout.logs / f"{name}.log").open("ab") as log:
            child = await asyncio.create_subprocess_exec(
                *argv,
                cwd=PROJECT,
                env=self._layout.environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running[name] = child
        return child.pid

    def check(self, name: str) -> None:
        """Raises DemoError when the program has ended by itself."""
        child = self._running[name]
        if child.returncode is not None:
            log = self._layout.logs / f"{name}.log"
            words = log.read_text(errors="replace").strip()[-1500:]
            raise DemoError(
                f"The {name} ended with code {child.returncode}. Its last words ({log}):\n{words}"
            )

    async def stop(self, name: str, limit_s: float = 8.0) -> None:
        """SIGTERM, after ``limit_s`` SIGKILL; returns when it is gone."""
        child = self._running.pop(name, None)
        if child is None or child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        try:
            await asyncio.wait_for(child.wait(), limit_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def run(self, *argv: str, limit_s: float = 60.0, cwd: Path = PROJECT) -> tuple[int, str]:
        """Run to its end: exit code and all it said. Raises DemoError after ``limit_s``."""
        child = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env=self._layout.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(limit_s):
                said, _ = await child.communicate()
        except TimeoutError as problem:
            raise DemoError(f"`{' '.join(argv)}` took longer than {limit_s:.0f} s") from problem
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        return child.returncode or 0, said.decode(errors="replace").strip()
