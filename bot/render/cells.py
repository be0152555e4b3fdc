"""How wide text stands on a screen, and cutting it to a width. Pure."""

from __future__ import annotations

import unicodedata


def width(text: str) -> int:
    """Columns that ``text`` takes: wide and emoji characters two, combining ones none."""
    return sum(_one(char) for char in text)


def clip(text: str, columns: int) -> str:
    """At most ``columns`` wide; what is cut ends in `…`."""
    if width(text) <= columns:
        return text
    kept, used = [], 0
    for char in text:
        used += _one(char)
        if used > columns - 1:
            break
        kept.append(char)
    return "".join(kept) + "…"


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Exactly ``columns`` wide."""
    text = clip(text, columns)
    blank = " " * (columns - width(text))
    return blank + text if right else text + blank


def one_line(text: str) -> str:
    """Line breaks and control characters as blanks, so that one row stays one row."""
    return "".join(char if char.isprintable() else " " for char in text)


def _one(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Cf", "Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
