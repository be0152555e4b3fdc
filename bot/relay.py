"""From the spool into the register. A file leaves `new/` only after its record is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from fleet.messages import spool
from fleet.messages.envelope import EnvelopeError, decode
from fleet.register import inbox

if TYPE_CHECKING:
    from fleet.model import Envelope
    from fleet.register.engine import Register, Tx

log = structlog.get_logger("relay")

RESCAN_S = 1.0
BATCH = 256  # files recorded in one commit: a flood shares its syncs


class Relay:
    """Drains `fleet/run/spool/new`, oldest first. ``on_bad`` is told of what went to `dead/`."""

    def __init__(
        self,
        register: Register,
        folder: Path,
        *,
        wake: Callable[[], None],
        on_bad: Callable[[str, str], None],
    ) -> None:
        self._register = register
        self._folder = folder
        self._wake = wake
        self._on_bad = on_bad

    async def run(self) -> None:
        """Until cancelled: at once by file events, else every second."""
        from watchfiles import awatch

        new = self._folder / "new"
        await asyncio.to_thread(spool.prepare, self._folder)
        await self._drain()
        async for _ in awatch(
            new,
            debounce=20,
            step=5,
            rust_timeout=int(RESCAN_S * 1000),
            yield_on_timeout=True,
            recursive=False,
        ):
            await self._drain()

    async def _drain(self) -> None:
        while files := (await asyncio.to_thread(spool.take_new, self._folder))[:BATCH]:
            good, bad = await asyncio.to_thread(_read, files)
            if good:
                await self._register.write(lambda tx, g=good: record(tx, [(e, raw) for _, e, raw in g]))  # type: ignore[misc]
                self._wake()
            await asyncio.to_thread(self._put_away, good, bad)

    def _put_away(self, good: list[tuple[Path, Envelope, str]], bad: list[tuple[Path, str]]) -> None:
        for path, _, _ in good:
            spool.done(self._folder, path)
        for path, reason in bad:
            spool.bury(self._folder, path, reason)
            self._on_bad(path.name, reason)


def _read(files: list[Path]) -> tuple[list[tuple[Path, Envelope, str]], list[tuple[Path, str]]]:
    good: list[tuple[Path, Envelope, str]] = []
    bad: list[tuple[Path, str]] = []
    for path in files:
        try:
            raw = path.read_bytes()
            good.append((path, decode(raw), raw.decode()))
        except FileNotFoundError:
            continue
        except (EnvelopeError, OSError, UnicodeDecodeError) as problem:
            bad.append((path, str(problem)))
    return good, bad


def record(tx: Tx, envelopes: list[tuple[Envelope, str]]) -> int:
    """Journal envelopes by their id in the caller's transaction; how many were new."""
    new = 0
    for envelope, raw in envelopes:
        known = inbox.record(
            tx,
            source="spool",
            external_id=envelope.id,
            kind="envelope",
            room=envelope.dst,
            sender=envelope.src,
            body=raw,
            event_ts=envelope.ts,
        )
        new += known is not None
    return new
