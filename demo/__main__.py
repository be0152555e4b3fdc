"""`python -m demo [--once] [--dir FOLDER]`: start everything, play the flows, stay up until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from bot.homeserver import HomeserverError
from demo.layout import PROJECT, Layout
from demo.play import play, summary
from demo.processes import DemoError
from demo.stack import Stack, clear, missing_programs
from fleet.files import try_lock

STOP_LIMIT_S = 30.0
OK, FAILED, RUNNING, STOPPED = 0, 1, 5, 130


def main(argv: list[str] | None = None) -> int:
    """The exit code: 0 all flows worked, 1 something failed, 5 another demo uses the folder."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="play, stop, exit 1 when a flow failed")
    parser.add_argument(
        "--stop", action="store_true", help="end the demo of that folder, or what a killed one left"
    )
    parser.add_argument(
        "--dir", type=Path, default=PROJECT / ".demo", help="the demo's folder (default: .demo)"
    )
    given = parser.parse_args(argv)
    problem = missing_programs()
    if problem is not None:
        return _fail(problem)
    layout = Layout(given.dir.absolute())
    try:
        layout.root.mkdir(parents=True, exist_ok=True)
    except OSError as bad:
        return _fail(f"{layout.root} cannot be a folder ({bad.strerror}). Name another with --dir.")
    if any(layout.root.iterdir()) and not layout.lock.exists():
        return _fail(f"{layout.root} holds files that are not of a demo. Name an empty folder with --dir.")
    lock = try_lock(layout.lock)
    if lock is None and given.stop:
        lock = _stop_running(layout)
    if lock is None:
        return _fail(
            f"A demo runs in {layout.root} already. Stop it with Ctrl-C there, or use --dir.", RUNNING
        )
    try:
        os.truncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        # The mark must be inherited by what libraries start for us too.
        os.environ.update({k: v for k, v in layout.environment().items() if k != "PATH"})
        ended = clear(layout)
        if ended:
            print(f"ended {len(ended)} processes that an earlier run had left", flush=True)
        return OK if given.stop else asyncio.run(_run(layout, once=given.once))
    except (DemoError, HomeserverError) as told:
        return _fail(str(told))
    finally:
        os.close(lock)


async def _run(layout: Layout, *, once: bool) -> int:
    began = time.monotonic()

    def progress(words: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {words}", flush=True)

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set)
    stack = Stack(layout, progress)
    work = asyncio.create_task(_work(stack, stopping, once=once), name="demo")
    stop = asyncio.create_task(stopping.wait(), name="stop")
    try:
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
        try:
            code = await work
        except asyncio.CancelledError:
            code = STOPPED
    finally:
        stop.cancel()
        progress("stopping")
        await stack.stop()
        progress("stopped: no process, no session, no socket is left")
    return code


async def _work(stack: Stack, stopping: asyncio.Event, *, once: bool) -> int:
    print("Starting: a Matrix homeserver, a fleet of five stub agents in tmux, node and bot.", flush=True)
    began = time.monotonic()
    await stack.start()
    started = time.monotonic()
    await stack.write_connection()
    results = await play(stack, started)
    print(f"\n── Summary {'─' * 60}")
    print("\n".join(summary(results)))
    print(f"ready after {started - began:.1f} s, played in {time.monotonic() - started:.1f} s", flush=True)
    code = OK if all(one.ok for one in results) else FAILED
    if once:
        return code
    for line in _how_to_join(stack):
        print(line)
    print("\nEverything is ready. Press Ctrl-C to stop it.", flush=True)
    with contextlib.suppress(asyncio.CancelledError):
        await stopping.wait()
    return code


def _how_to_join(stack: Stack) -> list[str]:
    home = stack.layout.home.root
    shown = _near(home)
    mosaic = _near(PROJECT / ".venv" / "bin" / "mosaic")
    user, password = stack.accounts.operator
    return [
        "",
        "Join with any Matrix client on this machine:",
        f"  homeserver  {stack.operator.base if stack.operator else ''}",
        f"  user        {user}   ({stack.ids['operator']})",
        f"  password    {password}",
        "Or in a terminal:",
        f"  {mosaic} --mosaic-home {shown} chat",
        f"  {mosaic} --mosaic-home {shown} fleet ps",
        f"Look at the agents:  tmux -L {stack.layout.tmux_socket} attach -r -t orchestrator",
        f"For scripts:         {_near(stack.layout.connection)}",
    ]


def _stop_running(layout: Layout) -> int | None:
    """Ask the demo that holds the lock to end; the lock once it has, None when it does not within 30 s."""
    with contextlib.suppress(ValueError, OSError):
        os.kill(int(layout.lock.read_text()), signal.SIGTERM)
    until = time.monotonic() + STOP_LIMIT_S
    while (lock := try_lock(layout.lock)) is None and time.monotonic() < until:
        time.sleep(0.1)
    return lock


def _near(path: Path) -> str:
    """The path as one would type it here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _fail(words: str, code: int = FAILED) -> int:
    print(f"\n{words}", file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
