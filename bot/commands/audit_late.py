"""Chains what terminals did without the bot (`run/audit.d`), marked late; each file once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.commands.audit_file import read_lines, take_files
from fleet.register import audit, inbox

if TYPE_CHECKING:
    from fleet.home import Home
    from fleet.register.engine import Register
    from fleet.register.tx import Tx

SOURCE = "audit.d"


async def chain_late(home: Home, register: Register) -> int:
    """Append every line that lies there; how many. For the bot's start, and now and then while it runs.

    Raises OSError and RegisterError; nothing is lost then, the next call goes on.
    """
    count = 0
    for path in await asyncio.to_thread(take_files, home):
        if await inbox.get_cursor(register, SOURCE, path.name) is None:  # else: a crash before the removal
            lines = await asyncio.to_thread(read_lines, path)
            await register.write(lambda tx, p=path, found=lines: _chain(tx, p, found))  # type: ignore[misc]
            count += len(lines)
        await asyncio.to_thread(path.unlink, missing_ok=True)
    return count


def _chain(tx: Tx, path: Path, lines: list[dict[str, Any]]) -> None:
    for line in lines:
        took = line.get("duration_ms")
        audit.append(
            tx,
            who=str(line.get("who", "unknown")),
            place=str(line.get("place", "cli")),
            what=str(line.get("what", "")),
            outcome=str(line.get("outcome", "unknown")),
            duration_ms=took if isinstance(took, int) else None,
            detail=f"at {line.get('at', 'unknown')}",
            late=True,
        )
    inbox.set_cursor(tx, SOURCE, path.name, str(len(lines)))
