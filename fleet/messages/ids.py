"""ULIDs: ids that sort by the time they were made. Stdlib only, because the fast CLI path uses them."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_RANDOM_BITS = 80


def is_id(text: str) -> bool:
    """Whether ``text`` is a ULID in its written form (26 characters, Crockford's base 32)."""
    return bool(_ULID.fullmatch(text))


def id_of(milliseconds: int, random_bits: int) -> str:
    """The ULID of a Unix time in milliseconds and 80 random bits."""
    number = (milliseconds & (1 << 48) - 1) << _RANDOM_BITS | random_bits & (1 << _RANDOM_BITS) - 1
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def new_id() -> str:
    """A fresh ULID. Two of one millisecond sort by chance; where order matters use :class:`Ids`."""
    return id_of(time.time_ns() // 1_000_000, secrets.randbits(_RANDOM_BITS))


class Ids:
    """Fresh ULIDs that also sort in the order they were asked for, whatever the clock does."""

    def __init__(
        self,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        random_bits: Callable[[], int] = lambda: secrets.randbits(_RANDOM_BITS - 1),
    ) -> None:
        self._clock_ms = clock_ms
        self._random_bits = random_bits
        self._last = (0, 0)

    def __call__(self) -> str:
        """The next id, greater than every one before it."""
        now_ms = self._clock_ms()
        last_ms, last_bits = self._last
        self._last = (now_ms, self._random_bits()) if now_ms > last_ms else (last_ms, last_bits + 1)
        return id_of(*self._last)
