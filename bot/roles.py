"""The roles of people; a higher one includes the lower."""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """What the configuration's lists make of a person."""

    NOBODY = 0
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3
