"""Round trips of the bot beside a bare client's echo on the same homeserver, pair by pair.

Each pair sends `!ping`, `!fleet ps` and a word to the echo client, one after another, and notes when the
answer is seen by the person's client. The difference of medians is the bot's own share; its CPU time comes
from the kernel. Targets: docs/benchmarks.md.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from demo.layout import PROJECT
from demo.matrix_client import MatrixClient
from demo.stack import Stack

LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds of one kind of round trip, in order; ``cpu_ms`` is the bot's per command."""

    name: str
    ms: list[float]
    cpu_ms: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.ms)

    @property
    def p95(self) -> float:
        return sorted(self.ms)[int(0.95 * (len(self.ms) - 1))]


def cpu_s(pid: int) -> float:
    """User and system CPU seconds of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(stack: Stack, pairs: int) -> list[Figures]:
    """``pairs`` interleaved round trips of each kind."""
    operator = stack.people[0]
    echo_user = ("echo", "echo-password")
    await stack.register(*echo_user)
    room = await operator.create_room("echo", invite=[f"@echo:{operator.user_id.partition(':')[2]}"])
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.echo",
        stack.url,
        *echo_user,
        room,
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        await asyncio.wait_for(child.stdout.readline(), LIMIT_S)
        return await _pairs(stack, operator, room, pairs)
    finally:
        child.kill()
        await child.wait()


async def _pairs(stack: Stack, operator: MatrixClient, echo_room: str, pairs: int) -> list[Figures]:
    ops, bot = stack.rooms["ops"], stack.programs.pids["bot"]
    kinds = {"echo": (echo_room, "word"), "ping": (ops, "!ping"), "fleet ps": (ops, "!fleet ps")}
    times: dict[str, list[float]] = {name: [] for name in kinds}
    cpu = dict.fromkeys(kinds, 0.0)
    for number in range(pairs + 5):
        for name, (room, text) in kinds.items():
            before = cpu_s(bot)
            took = await _one(operator, room, text)
            if number >= 5:  # the first ones warm up
                times[name].append(took)
                cpu[name] += cpu_s(bot) - before
    return [
        Figures(name, found, None if name == "echo" else 1000 * cpu[name] / pairs)
        for name, found in times.items()
    ]


async def _one(operator: MatrixClient, room: str, text: str) -> float:
    after = len(operator.seen)
    began = time.perf_counter()
    event = await operator.send(room, text)
    await operator.wait_for(lambda e: e.reply_to == event, LIMIT_S, after=after)
    return 1000 * (time.perf_counter() - began)
