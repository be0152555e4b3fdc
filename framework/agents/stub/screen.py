"""The stub's picture on the terminal, drawn below what was printed for good."""

from __future__ import annotations

import os
import shutil
import unicodedata


class Screen:
    """Draws below what was printed: the work line, the prompt or a dialog, the status line."""

    def __init__(self, out: int) -> None:
        self._out = out
        self._above = 0  # rows between the first drawn row and the cursor

    def show(self, printed: list[str], bottom: list[str], cursor: tuple[int, int]) -> None:
        """Print ``printed`` for good and draw ``bottom`` anew, the cursor at (row, column) of it."""
        text = "\x1b[?25l\r" + (f"\x1b[{self._above}A" if self._above else "") + "\x1b[J"
        for line in printed:
            text += "".join(f"{part}\r\n" for part in wrap(line, self.width))
        text += "\r\n".join(cut(line, self.width) for line in bottom)
        row, column = cursor
        up = len(bottom) - 1 - row
        text += "\r" + (f"\x1b[{up}A" if up else "") + (f"\x1b[{column}C" if column else "") + "\x1b[?25h"
        self._above = row
        self.write(text)

    def forget(self) -> None:
        self._above = 0
        self.write("\x1b[2J\x1b[H")

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(self._out, data) :]

    @property
    def width(self) -> int:
        return max(20, shutil.get_terminal_size((80, 24)).columns)


def cells(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Cf", "Me", "Mn"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def wrap(line: str, width: int) -> list[str]:
    rows, row, used = [], "", 0
    for char in line.replace("\t", "    "):
        size = cells(char)
        if used + size > width - 1:
            rows.append(row)
            row, used = "", 0
        row, used = row + char, used + size
    return [*rows, row]


def cut(line: str, width: int) -> str:
    return wrap(line, width)[0]
