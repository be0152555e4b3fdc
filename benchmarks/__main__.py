"""`make bench`: start the whole product on real parts, measure, print a table.

``python -m benchmarks [--pairs 300]``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.roundtrip import Figures, measure
from demo.layout import Layout
from demo.stack import Stack, clear


async def run(pairs: int) -> list[Figures]:
    """Start, measure, stop."""
    folder = Path(tempfile.mkdtemp(prefix="mosaic-bench-"))
    layout = Layout(folder / "stack")
    layout.root.mkdir()
    clear(layout)
    stack = Stack(layout, print)
    try:
        await stack.start()
        await stack.fleet.mosaic("schedule", "pause", "first-report")
        return await measure(stack, pairs)
    finally:
        await stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--pairs", type=int, default=300)
    wanted = parser.parse_args()
    figures = asyncio.run(run(wanted.pairs))
    by_name = {f.name: f for f in figures}
    print(f"\n{wanted.pairs} interleaved pairs, load {os.getloadavg()[0]:.1f}\n")
    print(f"{'round trip':<12}{'median ms':>10}{'p95 ms':>10}{'bot CPU ms':>12}")
    for f in figures:
        cpu = f"{f.cpu_ms:.1f}" if f.cpu_ms is not None else "-"
        print(f"{f.name:<12}{f.median:>10.1f}{f.p95:>10.1f}{cpu:>12}")
    ping, echo, ps = by_name["ping"], by_name["echo"], by_name["fleet ps"]
    print(
        f"\nping - echo: {ping.median - echo.median:+.1f} ms ({ping.median / echo.median:.2f} x); aim 15 ms"
    )
    print(f"fleet ps - ping: {ps.median - ping.median:+.1f} ms; target <= 10 ms")


if __name__ == "__main__":
    main()
