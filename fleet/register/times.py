"""Times of the register: aware datetimes outside, epoch milliseconds (UTC) in its columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def to_ms(value: datetime) -> int:
    """Epoch milliseconds, rounded down. Raises ValueError for a time without zone."""
    if value.tzinfo is None:
        raise ValueError(f"a time without zone: {value!r}")
    return (value - _EPOCH) // _MS


def ms_or_none(value: datetime | None) -> int | None:
    """:func:`to_ms`, None stays None."""
    return None if value is None else to_ms(value)


def from_ms(value: int) -> datetime:
    """The aware UTC datetime of epoch milliseconds, exact to the millisecond."""
    return _EPOCH + timedelta(milliseconds=value)
