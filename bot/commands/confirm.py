"""Questions that wait for `yes CODE`: bound to a person, the words, and what they would touch."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bot.commands.failures import CommandFailed
from fleet.register import confirmations
from fleet.register.confirmations import ConfirmationRow

if TYPE_CHECKING:
    from bot.commands.context import Caller
    from fleet.register.engine import Register
    from fleet.register.tx import Tx

LIFE = timedelta(minutes=2)
ALPHABET = "abcdefghijkmnopqrstuvwxyz"  # no l: it looks like a one


def new_code() -> str:
    """Five letters."""
    return "".join(secrets.choice(ALPHABET) for _ in range(5))


class Confirmations:
    """``code`` gives codes; one that is in use now is tried again."""

    def __init__(
        self, register: Register, now: Callable[[], datetime], code: Callable[[], str] = new_code
    ) -> None:
        self._register = register
        self._now = now
        self._code = code

    async def ask(self, caller: Caller, argv: tuple[str, ...], fingerprint: str) -> str:
        """Remember the question; its code."""
        while True:
            code = self._code()
            if await self._register.write(lambda tx, c=code: self._open(tx, c, caller, argv, fingerprint)):  # type: ignore[misc]
                return code

    def _open(self, tx: Tx, code: str, caller: Caller, argv: tuple[str, ...], fingerprint: str) -> bool:
        return confirmations.open(
            tx,
            code=code,
            connector=caller.surface,
            room=caller.room_id or "",
            person=caller.person,
            argv=argv,
            fingerprint=fingerprint,
            expires_at=self._now() + LIFE,
        )

    async def take(self, code: str, caller: Caller) -> ConfirmationRow:
        """The question of this code, once. Raises CommandFailed that says why not."""
        row, taken = await self._register.write(lambda tx: self._take(tx, code, caller))
        if row is not None and taken:
            return row
        raise CommandFailed(self._why(code, row, caller), 9)

    def _take(self, tx: Tx, code: str, caller: Caller) -> tuple[ConfirmationRow | None, bool]:
        now = self._now()
        row = confirmations.find(tx, code)
        if row is None or row.connector != caller.surface:
            return None, False
        taken = confirmations.take(tx, code, caller.person, now)
        if taken is not None:
            return taken, True
        if row.state == "open" and row.expires_at <= now:
            confirmations.close(tx, code, "expired")
            return confirmations.find(tx, code), False
        return row, False

    async def refuse(self, code: str, caller: Caller) -> str:
        """Close it as refused; the words. Raises CommandFailed that says why not."""

        def work(tx: Tx) -> tuple[ConfirmationRow | None, bool]:
            row = confirmations.find(tx, code)
            if row is None or row.connector != caller.surface or row.person != caller.person:
                return row, False
            return row, row.expires_at > self._now() and confirmations.close(tx, code, "refused")

        row, closed = await self._register.write(work)
        if row is not None and closed:
            return f"❌ refused: `{' '.join(row.argv)}`. Nothing was done."
        raise CommandFailed(self._why(code, row, caller), 9)

    async def overtaken(self, code: str) -> None:
        """What was shown is no longer what would happen."""
        await self._register.write(lambda tx: confirmations.close(tx, code, "overtaken"))

    def _why(self, code: str, row: ConfirmationRow | None, caller: Caller) -> str:
        if row is None:
            return f"No question has the code `{code}`."
        if row.person != caller.person:
            return f"🔒 `{code}` waits for the person who asked."
        if row.state == "expired" or (row.state == "open" and row.expires_at <= self._now()):
            return "⌛ Not confirmed in 2 min. Nothing was done; send it again."
        return {
            "confirmed": f"`{code}` was confirmed already.",
            "refused": f"`{code}` was refused. Send the command again.",
            "overtaken": f"`{code}` was overtaken: things had changed. Send the command again.",
        }.get(row.state, f"`{code}` cannot be used.")
