"""Terminal bytes into keys and pastes. Pure but for its own buffer; times are given."""

from __future__ import annotations

import re

CSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)")
PASTE_ON, PASTE_OFF = b"\x1b[200~", b"\x1b[201~"
ESCAPE_WAIT_S = 0.05  # a lone ESC is the key only when nothing follows it
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Keyboard:
    """``feed`` gives what came whole: ``("key", bytes)`` and ``("paste", text)``, in order."""

    def __init__(self) -> None:
        self._pending = b""
        self._paste: bytes | None = None
        self.escape_at: float | None = None

    def feed(self, data: bytes, now: float) -> list[tuple[str, bytes | str]]:
        self._pending += data
        self.escape_at = None
        found: list[tuple[str, bytes | str]] = []
        while self._pending:
            if self._paste is not None:
                text = self._paste_end()
                if text is None:
                    break
                found.append(("paste", text))
            elif self._pending.startswith(PASTE_ON):
                self._paste, self._pending = b"", self._pending[len(PASTE_ON) :]
            else:
                size = self._key_size()
                if size == 0:
                    if self._pending.startswith(b"\x1b"):
                        self.escape_at = now + ESCAPE_WAIT_S
                    break
                found.append(("key", self._pending[:size]))
                self._pending = self._pending[size:]
        return found

    def expire(self, now: float) -> list[tuple[str, bytes | str]]:
        """The ESC key, once nothing followed for long enough."""
        if self.escape_at is None or now < self.escape_at:
            return []
        self._pending = self._pending[1:]
        return [("key", b"\x1b"), *self.feed(b"", now)]

    def _paste_end(self) -> str | None:
        """The whole paste, or None while its end has not come."""
        assert self._paste is not None
        data = self._paste + self._pending
        end = data.find(PASTE_OFF, max(0, len(self._paste) - len(PASTE_OFF)))
        if end < 0:
            self._paste, self._pending = data, b""
            return None
        self._paste, self._pending = None, data[end + len(PASTE_OFF) :]
        text = data[:end].decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        return UNPRINTABLE.sub("", text)

    def _key_size(self) -> int:
        """Bytes of the next key; 0 while its rest has not come."""
        first = self._pending[0]
        if first == 0x1B:
            if found := CSI.match(self._pending):
                return found.end()
            waits = len(self._pending) == 1 or (self._pending[1:2] in b"[O" and len(self._pending) < 16)
            return 0 if waits else 1
        size = 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
        return 0 if len(self._pending) < size else size
