"""Drawing in a child process: the drawing library is large, and the bot that asks stays small."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

DRAW_LIMIT_S = 60.0  # the first one of all builds a font list


class PictureError(Exception):
    """No picture; the text is one line that says why."""


async def draw(chart: Mapping[str, Any], path: Path, cache: Path) -> Path:
    """Draw ``chart`` as a PNG at ``path`` and return it. ``cache`` is a folder for the library's own files,
    where `MPLCONFIGDIR` names none.

    Raises PictureError.
    """
    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread(cache.mkdir, parents=True, exist_ok=True)
    environment = {"MPLCONFIGDIR": str(cache), **os.environ, "MPLBACKEND": "agg"}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot.render.charts",
        str(path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(DRAW_LIMIT_S):
            _, told = await child.communicate(orjson.dumps(chart))
    except TimeoutError as problem:
        raise PictureError(f"drawing took longer than {DRAW_LIMIT_S:.0f} s") from problem
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    if child.returncode != 0:
        words = told.decode(errors="replace").strip().splitlines()
        raise PictureError(words[-1][:200] if words else f"drawing ended with code {child.returncode}")
    return path
