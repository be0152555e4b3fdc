"""What may be wrong with a roster, and how that is said."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it stands (``line`` counts from 1; None when no line can be named), what it is
    and its mend. ``key`` is written as a path, like ``agents[2].runtime``; empty for the whole file."""

    file: Path
    line: int | None
    key: str
    text: str
    mend: str = ""

    def __str__(self) -> str:
        place = " ".join(part for part in (f"line {self.line}" if self.line else "", self.key) if part)
        said = f"{place}: {self.text}" if place else self.text
        whole = f"{said}. {self.mend}" if self.mend else f"{said}."
        return "".join(char if char.isprintable() else "?" for char in whole)  # values may hold anything


class RosterError(Exception):
    """The roster cannot be used. ``problems`` is never empty; ``str()`` is one paragraph for people."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: list[Problem] = list(problems)
        super().__init__(self._paragraph())

    def _paragraph(self) -> str:
        file = self.problems[0].file
        if len(self.problems) == 1:
            return f"The roster {file} cannot be used: {self.problems[0]}"
        shown = " ".join(f"({n}) {problem}" for n, problem in enumerate(self.problems[:10], 1))
        more = len(self.problems) - 10
        tail = f" And {more} more." if more > 0 else ""
        return f"The roster {file} cannot be used, {len(self.problems)} mistakes: {shown}{tail}"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A mend for a mistyped word: the nearest known one, else the whole list."""
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    if near:
        return f"Did you mean `{near[0]}`?"
    return f"Known here: {', '.join(known)}."
