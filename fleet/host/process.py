"""Run one short program: never longer than its limit, never a shell, never an exception for its failure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass

_PIPE_LIMIT_BYTES = 1 << 20


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
    loop = asyncio.get_running_loop()
    try:
        # What create_subprocess_exec does, but with the transport in hand, see _kill().
        transport, protocol = await loop.subprocess_exec(
            lambda: asyncio.subprocess.SubprocessStreamProtocol(limit=_PIPE_LIMIT_BYTES, loop=loop),
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
    process = asyncio.subprocess.Process(transport, protocol, loop)
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate(input)
    except TimeoutError:
        _kill(transport)
        return Finished(None, problem=f"timeout after {timeout_s:g} s")
    except asyncio.CancelledError:
        _kill(transport)
        raise
    return Finished(process.returncode, out, err)


def _kill(transport: asyncio.SubprocessTransport) -> None:
    """End the group and let go of its pipes. Waiting for them to close could take for ever: a tmux client
    hands its own to the server, and a server that hangs keeps them. The loop reaps the process."""
    if transport.get_returncode() is None:  # else its number may be another's by now
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
    transport.close()
