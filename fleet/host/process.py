"""Run one short program: never longer than its limit, never a shell, never an exception for its failure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a program. ``code`` is None when it never ended by itself; ``problem`` says why
    (``timeout``, ``not installed``, …) and is None whenever it ran to its end, whatever the code."""

    code: int | None
    out: bytes = b""
    err: bytes = b""
    problem: str | None = None

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def text(self) -> str:
        return self.out.decode("utf-8", "replace")

    @property
    def error(self) -> str:
        """One line for people: the trouble in starting it, else what it wrote to its standard error."""
        return self.problem or self.err.decode("utf-8", "replace").strip() or f"exit code {self.code}"


async def run_program(
    *argv: str,
    input: bytes | None = None,
    timeout_s: float = 5.0,
    env: Mapping[str, str] | None = None,
) -> Finished:
    """Run ``argv`` with its output collected. After ``timeout_s`` seconds, or when the calling task is
    cancelled, its whole process group is killed. Raises nothing but CancelledError."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL if input is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=None if env is None else dict(env),
            start_new_session=True,  # out of reach of our terminal's Ctrl-C, with a group to kill
        )
    except FileNotFoundError:
        return Finished(None, problem=f"{argv[0]} is not installed")
    except (OSError, ValueError) as problem:
        return Finished(None, problem=f"{argv[0]} cannot be started ({problem})")
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate(input)
    except TimeoutError:
        await _kill(process)
        return Finished(None, problem=f"timeout after {timeout_s:g} s")
    except asyncio.CancelledError:
        await _kill(process)
        raise
    return Finished(process.returncode, out, err)


async def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            await process.wait()
