"""What an answer is, independent of any surface. Commands and reports return it; `bot.render` shows it.

Blocks are few on purpose. A renderer decides how each looks on its surface; a document never holds markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias


class Tone(StrEnum):
    """How a line is meant; a renderer may add a mark or a colour, but the words must stand alone."""

    PLAIN = "plain"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    DIM = "dim"


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph of plain words (no markup is read from it)."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Heading:
    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Key/value lines."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Preformatted text, shown as it stands."""

    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    key: str
    title: str
    right: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of strings. ``narrow`` is the same facts as lines of at most 32 characters for phones and
    Discord (38 in Matrix are allowed, but one form serves all); terminals draw the columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    narrow: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG on disk that shows what the text says; ``alt`` is one sentence with the same facts."""

    path: Path
    alt: str


@dataclass(frozen=True, slots=True)
class Footer:
    """A dim last line: time, count, age of evidence."""

    text: str


Block: TypeAlias = Text | Heading | Bullets | Pairs | Code | Table | Picture | Footer


@dataclass(frozen=True, slots=True)
class Document:
    """An answer. ``data`` is what ``--json`` prints: JSON-able, complete, unknown is null."""

    blocks: tuple[Block, ...]
    data: Mapping[str, Any] | list[Any] | None = field(default=None)
    ok: bool = True
    exit_code: int = 0

    @classmethod
    def line(cls, text: str, *, tone: Tone = Tone.PLAIN, data: Mapping[str, Any] | None = None) -> Document:
        """The common answer: one sentence."""
        return cls((Text(text, tone),), data if data is not None else {"text": text})

    @classmethod
    def failure(cls, text: str, *, exit_code: int = 1, data: Mapping[str, Any] | None = None) -> Document:
        """An expected failure, said in words: what happened, where, the mend."""
        return cls(
            (Text(text, Tone.BAD),),
            data if data is not None else {"error": text},
            ok=False,
            exit_code=exit_code,
        )
